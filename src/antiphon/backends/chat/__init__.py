"""Backends that speak chat completions."""
