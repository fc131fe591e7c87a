"""The protocol core: synchronous, no I/O, no clock, no randomness."""
