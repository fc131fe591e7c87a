"""Connections of a PostgreSQL store: their settings, their faults, and the one that listens."""
