"""`POST /v1/chat/completions`, relayed to a backend."""
