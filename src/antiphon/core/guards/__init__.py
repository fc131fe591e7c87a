"""Guards: what they look at, what they say, and text that is held back until it was looked at."""
