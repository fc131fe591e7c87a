"""Lists of responses: the log."""
