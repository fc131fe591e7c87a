"""The store in an SQLite file: one class per noun."""
