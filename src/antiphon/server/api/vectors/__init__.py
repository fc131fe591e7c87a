"""Handlers of `/v1/vector_stores`."""
