-- What is rewritten often (the lease) stands apart from what is large (the request, the checkpoint).
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY,
    response_id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    worker TEXT,
    lease_until REAL,  -- NULL: nobody had it yet
    fence INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE job_requests (
    job INTEGER PRIMARY KEY,
    request BLOB NOT NULL
) STRICT;

CREATE TABLE checkpoints (
    job INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE events (
    response INTEGER NOT NULL,  -- responses.place
    sequence_number INTEGER NOT NULL,
    type TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (response, sequence_number)
) STRICT, WITHOUT ROWID;
