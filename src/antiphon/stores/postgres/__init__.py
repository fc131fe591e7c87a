"""PostgreSQL store: one class per noun; any number of servers can share the database. Needs `antiphon[postgres]`."""
