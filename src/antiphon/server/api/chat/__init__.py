"""`POST /v1/chat/completions`, handed on to a backend."""
