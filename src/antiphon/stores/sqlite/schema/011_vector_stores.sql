-- Vector stores and their files. The chunks of the vector store with the number N are the rows of a full-text index of its
-- own, `vector_chunks_N` (words, text), made with its first file: how large others are costs it nothing, and it is dropped as a
-- whole. The chunks of a file have numbers in a row.
CREATE TABLE vector_stores (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_active_at INTEGER NOT NULL,
    expires_at INTEGER,  -- NULL: never
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    metadata BLOB NOT NULL,
    expires_days INTEGER,
    next_chunk INTEGER NOT NULL DEFAULT 1,
    chunks INTEGER NOT NULL DEFAULT 0,
    indexed INTEGER NOT NULL DEFAULT 0  -- whether `vector_chunks_N` exists
) STRICT;

CREATE INDEX vector_stores_by_owner ON vector_stores (owner, number);

CREATE INDEX vector_stores_by_expiry ON vector_stores (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE file_batches (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    store INTEGER NOT NULL,  -- vector_stores.number
    created_at INTEGER NOT NULL,
    cancelled INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX file_batches_by_store ON file_batches (store);

CREATE TABLE vector_store_files (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    store INTEGER NOT NULL,  -- vector_stores.number
    file_id TEXT NOT NULL,
    filename TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    status TEXT NOT NULL,
    usage_bytes INTEGER NOT NULL DEFAULT 0,
    error_code TEXT NOT NULL DEFAULT '',
    error_message TEXT NOT NULL DEFAULT '',
    attributes BLOB NOT NULL,
    chunk_tokens INTEGER,
    chunk_overlap INTEGER,
    batch INTEGER,  -- file_batches.number
    first_chunk INTEGER NOT NULL DEFAULT 0,
    chunks INTEGER NOT NULL DEFAULT 0,
    worker TEXT,
    lease_until REAL,
    fence INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    gone INTEGER NOT NULL DEFAULT 0,  -- deleted among the uploaded files; its chunks are still to be removed
    UNIQUE (store, file_id)
) STRICT;

CREATE INDEX vector_store_files_by_store ON vector_store_files (store, number);

CREATE INDEX vector_store_files_by_file ON vector_store_files (file_id);

CREATE INDEX vector_store_files_by_batch ON vector_store_files (batch) WHERE batch IS NOT NULL;

CREATE INDEX vector_store_files_by_chunk ON vector_store_files (store, first_chunk) WHERE chunks > 0;

CREATE INDEX vector_store_files_in_progress ON vector_store_files (number) WHERE status = 'in_progress';

CREATE INDEX vector_store_files_gone ON vector_store_files (number) WHERE gone;

-- Whoever deletes a file, also by its expiry and also an older version of this server, takes it out of all vector stores.
CREATE TRIGGER deleted_files_leave_vector_stores AFTER DELETE ON files
BEGIN
    UPDATE vector_store_files SET gone = 1, status = 'cancelled', fence = fence + 1 WHERE file_id = OLD.id;
END;
