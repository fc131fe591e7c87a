-- Containers of the code interpreter: what of them outlives their processes. `holder` has one in use until `held_until`; `calls`
-- tells a server whether the variables that it has are still those of the last call.
CREATE TABLE containers (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    memory INTEGER NOT NULL,
    idle INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    last_active_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    holder TEXT NOT NULL DEFAULT '',
    held_until REAL NOT NULL DEFAULT 0,
    calls INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX containers_by_owner ON containers (owner, number);

CREATE INDEX containers_by_expiry ON containers (expires_at);

-- The content stands apart, so that a list of files does not touch its pages.
CREATE TABLE container_files (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    container TEXT NOT NULL,  -- containers.id
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    source TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    version INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE UNIQUE INDEX container_files_by_path ON container_files (container, path);

CREATE TABLE container_contents (
    file INTEGER PRIMARY KEY,  -- container_files.number
    content BLOB NOT NULL
) STRICT;
