-- All tables stand in a schema of their own: the database may be shared with other programs, and no query leans on
-- the session's search_path, which a pooler between server and database may change.
--
-- Large columns are kept out of line and uncompressed (EXTERNAL): other columns are read without them, and a slice of
-- a body without the rest.

-- A response's number is above its parent's: it tells a chain's direction, and stands for the response elsewhere.
CREATE TABLE antiphon.responses (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    owner text NOT NULL,
    model text NOT NULL,
    status text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    background boolean NOT NULL,
    previous_response_id text,
    conversation_id text,
    output_start integer NOT NULL,
    output_end integer NOT NULL,
    foreign_ids bytea,  -- a JSON object; NULL where there are none
    input bytea NOT NULL,
    body bytea NOT NULL
);

ALTER TABLE antiphon.responses
    ALTER COLUMN input SET STORAGE EXTERNAL,
    ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE INDEX responses_by_expiry ON antiphon.responses (expires_at) WHERE expires_at IS NOT NULL;

-- Items whose ids are not derived from their response's: the highest generation is the newest.
CREATE TABLE antiphon.foreign_items (
    generation bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner text NOT NULL,
    item_id text NOT NULL,
    response bigint NOT NULL,  -- responses.number
    position integer NOT NULL  -- input items from 0, output items follow
);

CREATE INDEX foreign_items_by_id ON antiphon.foreign_items (owner, item_id, generation DESC);

CREATE INDEX foreign_items_by_response ON antiphon.foreign_items (response);

CREATE TABLE antiphon.conversations (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    owner text NOT NULL,
    created_at bigint NOT NULL,
    metadata bytea NOT NULL
);

CREATE TABLE antiphon.conversation_items (
    conversation bigint NOT NULL REFERENCES antiphon.conversations ON DELETE CASCADE,
    place bigint GENERATED ALWAYS AS IDENTITY,  -- sequence number of the item
    id text NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (conversation, place),
    UNIQUE (id, conversation)
);

ALTER TABLE antiphon.conversation_items ALTER COLUMN body SET STORAGE EXTERNAL;

-- The lease is rewritten often: room is left in the pages, and no index names what changes.
CREATE TABLE antiphon.jobs (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    response_id text NOT NULL UNIQUE,
    owner text NOT NULL,
    worker text,
    lease_until double precision,  -- NULL: nobody had it yet
    fence integer NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    cancelled boolean NOT NULL DEFAULT false,
    followed_until timestamptz,  -- until then somebody elsewhere wants to be told of new events
    request bytea NOT NULL
) WITH (fillfactor = 70);

ALTER TABLE antiphon.jobs ALTER COLUMN request SET STORAGE EXTERNAL;

CREATE TABLE antiphon.checkpoints (
    job bigint PRIMARY KEY REFERENCES antiphon.jobs ON DELETE CASCADE,
    body bytea NOT NULL
);

-- No reference to responses: it would cost a check per event. Who deletes a response deletes its events.
CREATE TABLE antiphon.events (
    response bigint NOT NULL,  -- responses.number
    sequence_number integer NOT NULL,
    type text NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (response, sequence_number)
);

CREATE TABLE antiphon.files (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    owner text NOT NULL,
    filename text NOT NULL,
    purpose text NOT NULL,
    media_type text NOT NULL,
    size bigint NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    content bytea NOT NULL
);

ALTER TABLE antiphon.files ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE INDEX files_by_owner ON antiphon.files (owner, number);

CREATE INDEX files_by_expiry ON antiphon.files (expires_at) WHERE expires_at IS NOT NULL;

-- Events that webhooks have not taken yet. Secrets are not here: the configuration has them, by URL.
CREATE TABLE antiphon.deliveries (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL,
    url text NOT NULL,
    owner text NOT NULL,
    due double precision NOT NULL,
    attempts integer NOT NULL,
    body bytea NOT NULL,
    UNIQUE (id, url)
);

CREATE INDEX deliveries_by_due ON antiphon.deliveries (due);

-- Clients' keys: only a keyed digest of each, and what it may do (body, a JSON object).
CREATE TABLE antiphon.keys (
    id text PRIMARY KEY,
    owner text NOT NULL,
    digest bytea NOT NULL UNIQUE,
    created_at double precision NOT NULL,
    body bytea NOT NULL
);

CREATE TABLE antiphon.secrets (
    name text PRIMARY KEY,
    secret bytea NOT NULL
);

-- Limits: core/gcra.py tells what the value means.
CREATE TABLE antiphon.meters (
    name text PRIMARY KEY,
    value double precision NOT NULL,
    expires_at double precision NOT NULL
) WITH (fillfactor = 50);

-- How many slots a server process holds under a name; after `until` it counts as dead.
CREATE TABLE antiphon.slots (
    name text NOT NULL,
    holder text NOT NULL,
    taken integer NOT NULL,
    until double precision NOT NULL,
    PRIMARY KEY (name, holder)
) WITH (fillfactor = 50);

CREATE INDEX slots_by_holder ON antiphon.slots (holder);

-- How far an import from another store has come.
CREATE TABLE antiphon.imports (
    source text NOT NULL,
    noun text NOT NULL,
    position bytea NOT NULL,
    PRIMARY KEY (source, noun)
);
