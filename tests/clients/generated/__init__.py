"""openai-python's own generated tests against the server, with the ids that they name."""
