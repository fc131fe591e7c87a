-- Vector stores and their files. A chunk's number counts within its vector store; the chunks of a file have numbers in a row.
CREATE TABLE antiphon.vector_stores (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    owner text NOT NULL,
    created_at bigint NOT NULL,
    last_active_at bigint NOT NULL,
    expires_at bigint,  -- NULL: never
    name text NOT NULL,
    description text NOT NULL,
    metadata bytea NOT NULL,
    expires_days integer,
    next_chunk bigint NOT NULL DEFAULT 1,
    chunks bigint NOT NULL DEFAULT 0,
    words bigint NOT NULL DEFAULT 0  -- of all chunks
);

CREATE INDEX vector_stores_by_owner ON antiphon.vector_stores (owner, number);

CREATE INDEX vector_stores_by_expiry ON antiphon.vector_stores (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE antiphon.file_batches (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    store bigint NOT NULL REFERENCES antiphon.vector_stores ON DELETE CASCADE,
    created_at bigint NOT NULL,
    cancelled boolean NOT NULL DEFAULT false
);

CREATE INDEX file_batches_by_store ON antiphon.file_batches (store);

-- The lease is rewritten often: room is left in the pages.
CREATE TABLE antiphon.vector_store_files (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store bigint NOT NULL REFERENCES antiphon.vector_stores ON DELETE CASCADE,
    file_id text NOT NULL,
    filename text NOT NULL,
    created_at bigint NOT NULL,
    status text NOT NULL,
    usage_bytes bigint NOT NULL DEFAULT 0,
    error_code text NOT NULL DEFAULT '',
    error_message text NOT NULL DEFAULT '',
    attributes bytea NOT NULL,
    chunk_tokens integer,
    chunk_overlap integer,
    batch bigint,  -- file_batches.number
    first_chunk bigint NOT NULL DEFAULT 0,
    chunks bigint NOT NULL DEFAULT 0,
    words bigint NOT NULL DEFAULT 0,
    worker text,
    lease_until double precision,
    fence integer NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,
    gone boolean NOT NULL DEFAULT false,  -- deleted among the uploaded files; its chunks are still to be removed
    UNIQUE (store, file_id)
) WITH (fillfactor = 70);

CREATE INDEX vector_store_files_by_store ON antiphon.vector_store_files (store, number);

CREATE INDEX vector_store_files_by_file ON antiphon.vector_store_files (file_id);

CREATE INDEX vector_store_files_by_batch ON antiphon.vector_store_files (batch) WHERE batch IS NOT NULL;

CREATE INDEX vector_store_files_in_progress ON antiphon.vector_store_files (number) WHERE status = 'in_progress';

CREATE INDEX vector_store_files_gone ON antiphon.vector_store_files (number) WHERE gone;

CREATE TABLE antiphon.vector_chunks (
    store bigint NOT NULL,  -- vector_stores.number
    number bigint NOT NULL,
    file bigint NOT NULL REFERENCES antiphon.vector_store_files ON DELETE CASCADE,
    text text NOT NULL,
    PRIMARY KEY (store, number)
);

CREATE INDEX vector_chunks_by_file ON antiphon.vector_chunks (file, number);

-- In which chunks of a file a word is, how often, and how many words each of those chunks has: BM25 needs no more.
CREATE TABLE antiphon.vector_words (
    store bigint NOT NULL,
    word text COLLATE "C" NOT NULL,
    file bigint NOT NULL REFERENCES antiphon.vector_store_files ON DELETE CASCADE,
    chunks bigint[] NOT NULL,
    times integer[] NOT NULL,
    lengths integer[] NOT NULL,
    PRIMARY KEY (store, word, file)
);

CREATE INDEX vector_words_by_file ON antiphon.vector_words (file);

-- Whoever deletes a file, also by its expiry and also an older version of this server, takes it out of all vector stores.
CREATE FUNCTION antiphon.leave_vector_stores() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE antiphon.vector_store_files SET gone = true, status = 'cancelled', fence = fence + 1 WHERE file_id = OLD.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER deleted_files_leave_vector_stores AFTER DELETE ON antiphon.files
    FOR EACH ROW EXECUTE FUNCTION antiphon.leave_vector_stores();
