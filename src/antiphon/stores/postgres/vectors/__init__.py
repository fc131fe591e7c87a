"""The parts of PostgresVectorStores."""
