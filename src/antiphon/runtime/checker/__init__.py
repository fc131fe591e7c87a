"""Checks of JSON Schemas and answers in processes of their own: what a client's schema costs or breaks ends there."""
