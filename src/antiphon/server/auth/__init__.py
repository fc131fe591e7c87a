"""Authentication: API keys, JSON Web Tokens, Host and Origin."""
