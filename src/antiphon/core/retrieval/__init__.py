"""Search in texts: words, chunks, ranking, filters. Pure."""
