"""Anthropic's Messages API: another front end over the same machine."""
