"""Decisions: questions about one input, asked of a model."""
