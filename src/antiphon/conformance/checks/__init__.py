"""The checks: a file for each area."""
