"""Routes whose requests are passed on to backends: embeddings, rerank, completions, images, audio."""
