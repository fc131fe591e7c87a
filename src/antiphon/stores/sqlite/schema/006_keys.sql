-- Clients' keys: only a keyed digest of each, and what it may do (body, a JSON object).
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    created_at REAL NOT NULL,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    secret BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Limits: core/gcra.py tells what the value means.
CREATE TABLE meters (
    name TEXT PRIMARY KEY,
    value REAL NOT NULL,
    expires_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX meters_by_expiry ON meters (expires_at);

-- How many slots a server process holds under a name; after `until` it counts as dead.
CREATE TABLE slots (
    name TEXT NOT NULL,
    holder TEXT NOT NULL,
    taken INTEGER NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (name, holder)
) STRICT, WITHOUT ROWID;

CREATE INDEX slots_by_holder ON slots (holder);
