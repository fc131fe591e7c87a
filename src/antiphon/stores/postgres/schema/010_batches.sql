-- Batches: requests of a file, answered one by one. `open` until it has ended and nothing is left to do for it; `details` is what
-- it was made with, `progress` what has become of it since. The row is rewritten often: room is left in the pages.
CREATE TABLE antiphon.batches (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    owner text NOT NULL,
    front text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    status text NOT NULL,
    cancelling_at bigint,
    keep_until bigint,  -- NULL: it has not ended, or is kept for ever
    total bigint NOT NULL DEFAULT 0,
    completed bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    input_tokens bigint NOT NULL DEFAULT 0,
    cached_tokens bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    reasoning_tokens bigint NOT NULL DEFAULT 0,
    open boolean NOT NULL DEFAULT true,
    worker text,
    lease_until double precision,
    fence bigint NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,
    details bytea NOT NULL,
    progress bytea NOT NULL
) WITH (fillfactor = 70);

CREATE INDEX batches_by_owner ON antiphon.batches (owner, front, number);

CREATE INDEX batches_open ON antiphon.batches (number) WHERE open;

CREATE INDEX batches_open_by_owner ON antiphon.batches (owner) WHERE open;

CREATE INDEX batches_by_expiry ON antiphon.batches (keep_until) WHERE keep_until IS NOT NULL;

-- `state`: 0 waits, 1 asked, 2 answered. The answer goes into a file when the batch ends.
CREATE TABLE antiphon.batch_lines (
    batch bigint NOT NULL REFERENCES antiphon.batches ON DELETE CASCADE,
    line bigint NOT NULL,
    custom_id text NOT NULL,
    start bigint NOT NULL,
    size bigint NOT NULL,
    state integer NOT NULL DEFAULT 0,
    asked integer NOT NULL DEFAULT 0,
    failed boolean NOT NULL DEFAULT false,
    body bytea,
    PRIMARY KEY (batch, line),
    UNIQUE (batch, custom_id)
) WITH (fillfactor = 70);

ALTER TABLE antiphon.batch_lines ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE INDEX batch_lines_waiting ON antiphon.batch_lines (batch, line) WHERE state = 0;

CREATE INDEX batch_lines_asked ON antiphon.batch_lines (batch, line) WHERE state = 1;
