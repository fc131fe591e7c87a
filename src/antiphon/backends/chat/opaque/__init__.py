"""What a chat server says for itself alone: gathered from its answer, and sent back to its own kind in the same fields."""
