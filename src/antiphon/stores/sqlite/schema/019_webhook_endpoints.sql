-- Webhook endpoints of owners. Secrets are sealed; the one before it signs, too, until `old_until`.
CREATE TABLE webhook_endpoints (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    event_types BLOB NOT NULL,
    secret TEXT NOT NULL,
    hint TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    old_secret TEXT NOT NULL,
    old_until INTEGER NOT NULL
) STRICT;

CREATE INDEX webhook_endpoints_by_owner ON webhook_endpoints (owner, number);
