"""Prompt caches of backends: what they did for a conversation, and why not more."""
