"""Agents and other clients of the server: how they are started and configured."""
