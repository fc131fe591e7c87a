"""Logs, metrics, traces: what an operator sees."""
