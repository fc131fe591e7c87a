"""Backends that speak Responses themselves."""
