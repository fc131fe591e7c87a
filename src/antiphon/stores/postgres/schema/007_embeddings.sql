-- Vectors of chunks, all of a vector store by one model: codes (one bit per dimension) and the vectors themselves, apart, so that
-- codes can be compared without reading vectors. pgvector, where it is there, compares them as they are: its types take real[].
ALTER TABLE antiphon.vector_stores
    ADD COLUMN embedding_model text NOT NULL DEFAULT '',
    ADD COLUMN dimensions integer NOT NULL DEFAULT 0;

CREATE TABLE antiphon.vector_codes (
    store bigint NOT NULL,  -- vector_stores.number
    number bigint NOT NULL,
    file bigint NOT NULL,
    code bit varying NOT NULL,
    PRIMARY KEY (store, number)
);

CREATE INDEX vector_codes_by_file ON antiphon.vector_codes (file);

CREATE TABLE antiphon.vector_embeddings (
    store bigint NOT NULL,
    number bigint NOT NULL,
    file bigint NOT NULL,
    vector real[] NOT NULL,
    PRIMARY KEY (store, number)
);

ALTER TABLE antiphon.vector_embeddings ALTER COLUMN vector SET STORAGE EXTERNAL;  -- packing does not make vectors smaller

CREATE INDEX vector_embeddings_by_file ON antiphon.vector_embeddings (file);

-- Vectors of a file that is being ingested, by the digests of its texts: whoever takes it over goes on behind them.
CREATE TABLE antiphon.vector_drafts (
    file bigint NOT NULL,
    digest bytea NOT NULL,
    model text NOT NULL,
    code bit varying NOT NULL,
    vector real[] NOT NULL,
    PRIMARY KEY (file, digest)
);

ALTER TABLE antiphon.vector_drafts ALTER COLUMN vector SET STORAGE EXTERNAL;

-- What belongs to a file goes with it, by one statement for all: a foreign key would be checked for each word that is inserted, which
-- is a third of what ingestion costs. Whoever inserts holds the file's row.
ALTER TABLE antiphon.vector_chunks DROP CONSTRAINT vector_chunks_file_fkey;

ALTER TABLE antiphon.vector_words DROP CONSTRAINT vector_words_file_fkey;

CREATE FUNCTION antiphon.remove_chunks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM antiphon.vector_chunks WHERE file IN (SELECT number FROM gone);
    DELETE FROM antiphon.vector_words WHERE file IN (SELECT number FROM gone);
    DELETE FROM antiphon.vector_codes WHERE file IN (SELECT number FROM gone);
    DELETE FROM antiphon.vector_embeddings WHERE file IN (SELECT number FROM gone);
    DELETE FROM antiphon.vector_drafts WHERE file IN (SELECT number FROM gone);
    RETURN NULL;
END
$$;

CREATE TRIGGER chunks_go_with_their_files AFTER DELETE ON antiphon.vector_store_files
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION antiphon.remove_chunks();
