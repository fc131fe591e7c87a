"""Access control: callers, API keys, rate limits, budgets, prices."""
