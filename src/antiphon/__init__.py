"""Antiphon: the self-hosted server for the Responses API. Any model, one complete API."""

__version__ = "0.1.0"
