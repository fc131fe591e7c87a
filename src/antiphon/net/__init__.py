"""Network: HTTP client, guard against private URLs, socket writes."""
