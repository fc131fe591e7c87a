-- Vectors of chunks. The vector store with the number N has, from its first vector on, the tables `vector_embeddings_N` (number,
-- vector: half floats) and `vector_codes_N` (first, codes: one bit per dimension, of chunks with numbers in a row), all of one model.
ALTER TABLE vector_stores ADD COLUMN embedding_model TEXT NOT NULL DEFAULT '';

ALTER TABLE vector_stores ADD COLUMN dimensions INTEGER NOT NULL DEFAULT 0;

-- Vectors of a file that is being ingested, by its number and the digests of its texts: whoever takes it over goes on behind them.
CREATE TABLE vector_drafts (
    file INTEGER NOT NULL,  -- vector_store_files.number
    digest BLOB NOT NULL,
    model TEXT NOT NULL,
    code BLOB NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (file, digest)
) STRICT, WITHOUT ROWID;
