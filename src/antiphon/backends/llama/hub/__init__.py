"""Models from a hub: found, downloaded, kept."""
