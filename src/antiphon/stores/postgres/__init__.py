"""The store in a PostgreSQL database, which any number of servers may share: one class per noun. Needs `antiphon[postgres]`."""
