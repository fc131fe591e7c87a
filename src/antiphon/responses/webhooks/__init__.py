"""Webhooks: receivers of events, and deliveries to them."""
