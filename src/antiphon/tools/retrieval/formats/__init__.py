"""Documents → text. Runs in the reading process (`retrieval.child`) only."""
