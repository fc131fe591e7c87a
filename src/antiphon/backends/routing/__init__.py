"""Routing: models, routes, endpoints, and queues of calls."""
