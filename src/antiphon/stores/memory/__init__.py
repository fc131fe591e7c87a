"""The store in memory: one class per noun."""
