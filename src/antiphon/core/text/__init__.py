"""Texts and bytes: server-sent events, thoughts and calls hidden in text, long values."""
