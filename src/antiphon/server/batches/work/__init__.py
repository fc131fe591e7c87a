"""Batches at work: requests of a file, answered one by one while nobody waits."""
