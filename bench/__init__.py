"""Measure this checkout: `scripts/bench` (the harness), `bench/micro` (single parts)."""
