"""The fast path of text."""
