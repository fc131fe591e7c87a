"""The nouns of a store, one Protocol each. No noun's module imports another's."""
