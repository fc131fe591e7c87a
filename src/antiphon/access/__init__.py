"""Who may do what, and how much: callers, keys, limits, prices."""
