"""The log of responses: what lists show of each stored response."""
