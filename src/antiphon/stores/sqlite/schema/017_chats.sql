-- Stored chat completions. `pairs` are the metadata's, each as a JSON text in a JSON array; the contents stand last.
CREATE TABLE chats (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    model TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    pairs TEXT NOT NULL,
    metadata BLOB NOT NULL,
    body BLOB NOT NULL,
    messages BLOB NOT NULL
) STRICT;

CREATE INDEX chats_by_owner ON chats (owner, number);
CREATE INDEX chats_by_expiry ON chats (expires_at) WHERE expires_at IS NOT NULL;
