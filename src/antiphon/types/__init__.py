"""The wire vocabulary: structs whose tags are the specification's own strings. No behaviour."""
