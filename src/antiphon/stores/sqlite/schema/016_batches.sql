-- Batches: requests of a file, answered one by one. `open` until it has ended and nothing is left to do for it; `details` is what
-- it was made with, `progress` what has become of it since.
CREATE TABLE batches (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    front TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    status TEXT NOT NULL,
    cancelling_at INTEGER,
    keep_until INTEGER,  -- NULL: it has not ended, or is kept for ever
    total INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    cached_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    reasoning_tokens INTEGER NOT NULL DEFAULT 0,
    open INTEGER NOT NULL DEFAULT 1,
    worker TEXT,
    lease_until REAL,
    fence INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    details BLOB NOT NULL,
    progress BLOB NOT NULL
) STRICT;

CREATE INDEX batches_by_owner ON batches (owner, front, number);

CREATE INDEX batches_open ON batches (number) WHERE open = 1;

CREATE INDEX batches_open_by_owner ON batches (owner) WHERE open = 1;

CREATE INDEX batches_by_expiry ON batches (keep_until) WHERE keep_until IS NOT NULL;

-- `state`: 0 waits, 1 asked, 2 answered. The answer stands last; it goes into a file when the batch ends.
CREATE TABLE batch_lines (
    batch INTEGER NOT NULL,  -- batches.number
    line INTEGER NOT NULL,
    custom_id TEXT NOT NULL,
    start INTEGER NOT NULL,
    size INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    asked INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    body BLOB,
    PRIMARY KEY (batch, line)
) STRICT;

CREATE UNIQUE INDEX batch_lines_by_custom_id ON batch_lines (batch, custom_id);

CREATE INDEX batch_lines_waiting ON batch_lines (batch, line) WHERE state = 0;

CREATE INDEX batch_lines_asked ON batch_lines (batch, line) WHERE state = 1;
