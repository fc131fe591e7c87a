"""Which backend answers: models, routes, endpoints, and calls that wait."""
