"""Prompt caches of backends: prompts that stay the beginning of the next, what is told where they do not."""
