"""Commands for models on this machine, in Ollama's words: `pull`, `list`, `rm`, `ps`, `run`."""
