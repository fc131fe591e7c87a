"""Connections to PostgreSQL: address, settings, faults."""
