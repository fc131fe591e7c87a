"""A request's JSON → structs, or a 400 that names the field."""
