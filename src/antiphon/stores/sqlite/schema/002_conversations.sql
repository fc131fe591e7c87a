CREATE TABLE conversations (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    metadata BLOB NOT NULL
) STRICT;

-- Clustered by conversation: place, the rowid in statements, = number << 24 | position.
CREATE TABLE conversation_items (
    place INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE INDEX conversation_items_by_id ON conversation_items (id);
