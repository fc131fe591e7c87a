"""Sandboxes: processes that run code of models, and reach nothing of the machine."""
