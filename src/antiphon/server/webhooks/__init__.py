"""Webhooks of owners over HTTP."""
