"""Batches: requests of a file, as OpenAI and Anthropic have them. `work` answers them, by the handlers of their routes."""
