"""What people and tools read of the API: the playground, `/docs`, `/openapi.json`."""
