"""Model hub: find, download and cache models."""
