-- name: insert
INSERT INTO antiphon.vector_stores (
    id, owner, created_at, last_active_at, expires_at, name, description, metadata, expires_days
)
VALUES (:id, :owner, :created_at, :last_active_at, :expires_at, :name, :description, :metadata, :expires_days)
ON CONFLICT (id) DO NOTHING RETURNING 1

-- name: number
SELECT number FROM antiphon.vector_stores WHERE id = :id AND owner = :owner

-- name: lock
SELECT number FROM antiphon.vector_stores WHERE id = :id AND owner = :owner FOR UPDATE

-- name: get
SELECT number, id, created_at, last_active_at, name, description, metadata, expires_days FROM antiphon.vector_stores
WHERE id = :id AND owner = :owner

-- name: counts
SELECT store, status, count(*), sum(usage_bytes)::bigint FROM antiphon.vector_store_files
WHERE store = ANY (:stores) AND NOT gone GROUP BY store, status

-- name: list
SELECT number, id, created_at, last_active_at, name, description, metadata, expires_days FROM antiphon.vector_stores
WHERE owner = :owner AND number > :low AND number < :high ORDER BY number LIMIT :limit

-- name: list_descending
SELECT number, id, created_at, last_active_at, name, description, metadata, expires_days FROM antiphon.vector_stores
WHERE owner = :owner AND number > :low AND number < :high ORDER BY number DESC LIMIT :limit

-- name: count
SELECT count(*) FROM antiphon.vector_stores WHERE owner = :owner

-- name: update
UPDATE antiphon.vector_stores SET
    name = :name, metadata = :metadata, expires_days = :expires_days, last_active_at = :last_active_at, expires_at = :expires_at
WHERE id = :id AND owner = :owner RETURNING 1

-- name: touch
-- A search does not wait for a file that is completed at the moment: the next search notes the use.
UPDATE antiphon.vector_stores SET last_active_at = :now::bigint, expires_at = :now::bigint + 86400 * expires_days
WHERE number = ANY (ARRAY(
    SELECT number FROM antiphon.vector_stores
    WHERE id = ANY (:ids) AND owner = :owner AND last_active_at < :now::bigint
        AND (expires_at IS NULL OR expires_at > :now::bigint)
    FOR UPDATE SKIP LOCKED
))

-- name: remove
DELETE FROM antiphon.vector_stores WHERE id = :id AND owner = :owner RETURNING 1

-- name: purge
-- Those that still have files: an expired vector store itself stays.
WITH expired AS (
    UPDATE antiphon.vector_stores AS s SET chunks = 0, words = 0, embedding_model = '', dimensions = 0 WHERE number = ANY (ARRAY(
        SELECT number FROM antiphon.vector_stores AS t WHERE expires_at <= :now::bigint
            AND EXISTS (SELECT 1 FROM antiphon.vector_store_files WHERE store = t.number)
        ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ))
    RETURNING number
), batches AS (
    DELETE FROM antiphon.file_batches WHERE store = ANY (ARRAY(SELECT number FROM expired))
), files AS (
    DELETE FROM antiphon.vector_store_files WHERE store = ANY (ARRAY(SELECT number FROM expired))
)
SELECT count(*) FROM expired

-- name: insert_batch
INSERT INTO antiphon.file_batches (id, store, created_at) VALUES (:id, :store, :created_at) RETURNING number

-- name: attach
INSERT INTO antiphon.vector_store_files (
    store, file_id, filename, created_at, status, attributes, chunk_tokens, chunk_overlap, batch
)
SELECT :store::bigint, file_id, filename, created_at, 'in_progress', attributes, chunk_tokens, chunk_overlap, :batch::bigint
FROM unnest(:file_ids::text[], :filenames::text[], :created::bigint[], :attributes::bytea[], :tokens::integer[],
    :overlaps::integer[]) AS f (file_id, filename, created_at, attributes, chunk_tokens, chunk_overlap)
ON CONFLICT (store, file_id) DO UPDATE SET
    status = 'in_progress', error_code = '', error_message = '', attributes = excluded.attributes,
    chunk_tokens = excluded.chunk_tokens, chunk_overlap = excluded.chunk_overlap, batch = excluded.batch,
    worker = NULL, lease_until = NULL, fence = antiphon.vector_store_files.fence + 1, crashes = 0

-- name: file_count
-- How many files there will be together with these.
SELECT count(*) FROM (
    SELECT file_id FROM antiphon.vector_store_files WHERE store = :store AND NOT gone
    UNION SELECT unnest(:file_ids::text[])
) AS f

-- name: file
SELECT f.file_id, f.filename, f.created_at, f.status, f.usage_bytes, f.error_code, f.error_message, f.attributes,
    f.chunk_tokens, f.chunk_overlap
FROM antiphon.vector_store_files AS f JOIN antiphon.vector_stores AS s ON s.number = f.store
WHERE s.id = :id AND s.owner = :owner AND f.file_id = :file_id AND NOT f.gone

-- name: file_number
SELECT number FROM antiphon.vector_store_files WHERE store = :store AND file_id = :file_id AND NOT gone

-- name: files
SELECT file_id, filename, created_at, status, usage_bytes, error_code, error_message, attributes, chunk_tokens, chunk_overlap
FROM antiphon.vector_store_files
WHERE store = :store AND number > :low AND number < :high AND NOT gone AND (:status::text IS NULL OR status = :status)
    AND (:batch::bigint IS NULL OR batch = :batch)
ORDER BY number LIMIT :limit

-- name: files_descending
SELECT file_id, filename, created_at, status, usage_bytes, error_code, error_message, attributes, chunk_tokens, chunk_overlap
FROM antiphon.vector_store_files
WHERE store = :store AND number > :low AND number < :high AND NOT gone AND (:status::text IS NULL OR status = :status)
    AND (:batch::bigint IS NULL OR batch = :batch)
ORDER BY number DESC LIMIT :limit

-- name: set_attributes
UPDATE antiphon.vector_store_files SET attributes = :attributes
WHERE store = :store AND file_id = :file_id AND NOT gone
RETURNING file_id, filename, created_at, status, usage_bytes, error_code, error_message, attributes, chunk_tokens, chunk_overlap

-- name: detach
DELETE FROM antiphon.vector_store_files WHERE number = ANY (:numbers) RETURNING store, chunks, words

-- name: batch
SELECT b.number, b.created_at, b.cancelled
FROM antiphon.file_batches AS b JOIN antiphon.vector_stores AS s ON s.number = b.store
WHERE b.id = :batch_id AND s.id = :id AND s.owner = :owner

-- name: batch_counts
SELECT status, count(*) FROM antiphon.vector_store_files WHERE batch = :batch AND NOT gone GROUP BY status

-- name: batch_in_progress
SELECT number FROM antiphon.vector_store_files WHERE batch = :batch AND status = 'in_progress' ORDER BY number FOR UPDATE

-- name: cancel_batch
UPDATE antiphon.file_batches SET cancelled = true WHERE number = :batch

-- name: cancel_files
UPDATE antiphon.vector_store_files SET status = 'cancelled', fence = fence + 1, worker = NULL, lease_until = NULL
WHERE number = ANY (:numbers)

-- name: content
SELECT c.text FROM antiphon.vector_chunks AS c
JOIN antiphon.vector_store_files AS f ON f.number = c.file JOIN antiphon.vector_stores AS s ON s.number = f.store
WHERE s.id = :id AND s.owner = :owner AND f.file_id = :file_id AND NOT f.gone AND c.number >= f.first_chunk + :start::bigint
ORDER BY c.number LIMIT :limit

-- name: claim
UPDATE antiphon.vector_store_files AS f SET
    crashes = f.crashes + (f.worker IS NOT NULL)::integer, worker = :worker, lease_until = clock(:lease_until),
    fence = f.fence + 1
FROM antiphon.vector_stores AS s
WHERE s.number = f.store AND f.number = (
    SELECT number FROM antiphon.vector_store_files
    WHERE status = 'in_progress' AND (lease_until IS NULL OR lease_until <= clock(:now)) AND store <> ALL (ARRAY(
        SELECT number FROM antiphon.vector_stores WHERE owner = ANY (:without::text[])
    ))
    ORDER BY worker IS NOT NULL OR crashes > 0, number LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING s.id, s.owner, f.number, f.fence, f.crashes, f.file_id, f.filename, f.created_at, f.status, f.usage_bytes,
    f.error_code, f.error_message, f.attributes, f.chunk_tokens, f.chunk_overlap

-- name: heartbeat
UPDATE antiphon.vector_store_files SET lease_until = clock(:lease_until)
WHERE number = :number AND fence = :fence AND status = 'in_progress' RETURNING 1

-- name: release
UPDATE antiphon.vector_store_files SET worker = NULL, lease_until = NULL
WHERE number = :number AND fence = :fence RETURNING 1

-- name: held
-- The vector store's row is locked first, by all who change its sums.
SELECT s.number, s.next_chunk, s.chunks, f.chunks, f.words
FROM antiphon.vector_stores AS s, antiphon.vector_store_files AS f
WHERE s.number = f.store AND f.number = :number AND f.fence = :fence AND f.status = 'in_progress'
FOR UPDATE OF s, f

-- name: remove_chunks
WITH texts AS (
    DELETE FROM antiphon.vector_chunks WHERE file = ANY (:numbers)
), codes AS (
    DELETE FROM antiphon.vector_codes WHERE file = ANY (:numbers)
), vectors AS (
    DELETE FROM antiphon.vector_embeddings WHERE file = ANY (:numbers)
)
DELETE FROM antiphon.vector_words WHERE file = ANY (:numbers)

-- name: shrink
-- What files take away from their vector stores' sums.
UPDATE antiphon.vector_stores AS s SET chunks = s.chunks - f.chunks, words = s.words - f.words
FROM (
    SELECT store, sum(chunks) AS chunks, sum(words) AS words FROM antiphon.vector_store_files
    WHERE number = ANY (:numbers) GROUP BY store
) AS f
WHERE s.number = f.store

-- name: emptied
UPDATE antiphon.vector_store_files SET chunks = 0, words = 0, first_chunk = 0, usage_bytes = 0 WHERE number = ANY (:numbers)

-- name: insert_chunks
INSERT INTO antiphon.vector_chunks (store, number, file, text)
SELECT :store::bigint, :first::bigint + c.place - 1, :file::bigint, c.text
FROM unnest(:texts::text[]) WITH ORDINALITY AS c (text, place)

-- name: insert_words
-- A line per word: the word, then its chunks, occurrences and lengths as arrays. Lists of parameters would cost as much as all the
-- rest: the driver looks at each of their values.
INSERT INTO antiphon.vector_words (store, word, file, chunks, times, lengths)
SELECT :store::bigint, split_part(w, E'\t', 1), :file::bigint, split_part(w, E'\t', 2)::bigint[],
    split_part(w, E'\t', 3)::integer[], split_part(w, E'\t', 4)::integer[]
FROM string_to_table(:lines::text, E'\n') AS w

-- name: completed
-- The last statement of an ingestion: the file's own row, what it adds to the vector store's sums, its drafts.
WITH grown AS (
    UPDATE antiphon.vector_stores SET
        next_chunk = next_chunk + :chunks::bigint, chunks = chunks + :chunks::bigint, words = words + :words::bigint
    WHERE number = :store
), drafts AS (
    DELETE FROM antiphon.vector_drafts WHERE file = :number
)
UPDATE antiphon.vector_store_files SET
    status = 'completed', usage_bytes = :usage_bytes, first_chunk = :first, chunks = :chunks, words = :words, worker = NULL,
    lease_until = NULL
WHERE number = :number

-- name: failed
UPDATE antiphon.vector_store_files SET
    status = 'failed', usage_bytes = 0, error_code = :code, error_message = :message, worker = NULL, lease_until = NULL
WHERE number = :number

-- name: gone
SELECT number FROM antiphon.vector_store_files WHERE gone LIMIT :limit FOR UPDATE SKIP LOCKED

-- name: attributes
SELECT f.file_id, f.attributes FROM antiphon.vector_store_files AS f JOIN antiphon.vector_stores AS s ON s.number = f.store
WHERE s.id = :id AND s.owner = :owner AND f.chunks > 0 AND NOT f.gone

-- name: search
-- BM25 as FTS5 computes it, without `numeric`, which would take most of the time; `wanted` NULL: all files. Each row says how many
-- chunks there are, and how many of them have which word; without hits there is one row that says it.
WITH shelf AS MATERIALIZED (
    SELECT number, chunks, words::double precision / chunks AS average FROM antiphon.vector_stores
    WHERE id = :id AND owner = :owner AND chunks > 0
), postings AS MATERIALIZED (
    SELECT p.word, p.file, p.chunks, p.times, p.lengths FROM antiphon.vector_words AS p
    WHERE p.store = (SELECT number FROM shelf) AND p.word = ANY (:words)
), counted AS MATERIALIZED (
    SELECT word, sum(cardinality(chunks))::double precision AS n FROM postings GROUP BY word
), weights AS MATERIALIZED (
    SELECT c.word, s.average, 2.2::double precision * greatest(
        0.000001::double precision, ln((s.chunks::double precision - c.n + 0.5) / (c.n + 0.5))
    ) AS part
    FROM counted AS c, shelf AS s
), scored AS (
    SELECT chunk, file, sum(
        part * times / (times + 0.3::double precision + 0.9::double precision * length / average)
    ) AS score
    FROM (
        SELECT file, w.part, w.average, unnest(chunks) AS chunk, unnest(times) AS times, unnest(lengths) AS length
        FROM postings JOIN weights AS w USING (word)
    ) AS p
    GROUP BY chunk, file
), best AS (
    SELECT s.chunk, s.score, f.file_id, f.filename, f.attributes
    FROM scored AS s JOIN antiphon.vector_store_files AS f ON f.number = s.file
    WHERE NOT f.gone AND (:wanted::text[] IS NULL OR f.file_id = ANY (:wanted))
    ORDER BY round(s.score * 1000000000) DESC, s.chunk LIMIT :limit
)
SELECT s.chunks, (SELECT array_agg(word) FROM counted), (SELECT array_agg(n::bigint) FROM counted),
    b.chunk, b.score, b.file_id, b.filename, b.attributes, c.text
FROM shelf AS s LEFT JOIN (
    best AS b JOIN antiphon.vector_chunks AS c ON c.store = (SELECT number FROM shelf) AND c.number = b.chunk
) ON true
ORDER BY round(b.score * 1000000000) DESC, b.chunk

-- name: drop_other_drafts
DELETE FROM antiphon.vector_drafts WHERE file = :file AND model <> :model

-- name: drafted
SELECT digest FROM antiphon.vector_drafts WHERE file = :file

-- name: draft
INSERT INTO antiphon.vector_drafts (file, digest, model, code, vector)
SELECT :file::bigint, d.digest, :model::text, d.code, d.vector::real[]
FROM unnest(:digests::bytea[], :codes::bit varying[], :vectors::text[]) AS d (digest, code, vector)
ON CONFLICT (file, digest) DO UPDATE SET model = excluded.model, code = excluded.code, vector = excluded.vector

-- name: remove_drafts
DELETE FROM antiphon.vector_drafts WHERE file = ANY (:numbers)

-- name: embedding_of
SELECT embedding_model, dimensions FROM antiphon.vector_stores WHERE number = :store

-- name: embedded
UPDATE antiphon.vector_stores SET embedding_model = :model, dimensions = :dimensions WHERE number = :store

-- name: remove_vectors
WITH codes AS (DELETE FROM antiphon.vector_codes WHERE store = :store)
DELETE FROM antiphon.vector_embeddings WHERE store = :store

-- name: settle_codes
INSERT INTO antiphon.vector_codes (store, number, file, code)
SELECT :store::bigint, :first::bigint + d.place - 1, :file::bigint, v.code
FROM unnest(:digests::bytea[]) WITH ORDINALITY AS d (digest, place)
JOIN antiphon.vector_drafts AS v ON v.file = :file AND v.digest = d.digest
RETURNING 1

-- name: settle_vectors
INSERT INTO antiphon.vector_embeddings (store, number, file, vector)
SELECT :store::bigint, :first::bigint + d.place - 1, :file::bigint, v.vector
FROM unnest(:digests::bytea[]) WITH ORDINALITY AS d (digest, place)
JOIN antiphon.vector_drafts AS v ON v.file = :file AND v.digest = d.digest

-- name: searched
SELECT number, chunks, embedding_model, dimensions FROM antiphon.vector_stores WHERE id = :id AND owner = :owner

-- name: shortlist
-- The vectors whose codes differ from the query's in the fewest bits; `wanted` NULL: of all files.
WITH near AS MATERIALIZED (
    SELECT c.number FROM antiphon.vector_codes AS c
    WHERE c.store = :store AND (:wanted::text[] IS NULL OR c.file IN (
        SELECT number FROM antiphon.vector_store_files WHERE store = :store AND file_id = ANY (:wanted) AND NOT gone
    ))
    ORDER BY bit_count(c.code # :code::bit varying), c.number LIMIT :most
)
SELECT v.number, v.vector FROM near JOIN antiphon.vector_embeddings AS v ON v.store = :store AND v.number = near.number

-- name: nearest
-- The same with pgvector, which puts them in order as well. Each row says which model the vectors are by; of another one there is a
-- row without a chunk. A vector is looked up by its number, so that the planner does not read all of them.
WITH shelf AS MATERIALIZED (
    SELECT number, chunks, embedding_model, embedding_model = :model AND dimensions = :dimensions AS fits
    FROM antiphon.vector_stores WHERE id = :id AND owner = :owner
), query AS MATERIALIZED (
    SELECT :vector::text::vector AS vector
), near AS MATERIALIZED (
    SELECT c.number, c.file FROM antiphon.vector_codes AS c
    WHERE c.store = (SELECT number FROM shelf WHERE fits) AND (:wanted::text[] IS NULL OR c.file IN (
        SELECT number FROM antiphon.vector_store_files
        WHERE store = (SELECT number FROM shelf) AND file_id = ANY (:wanted) AND NOT gone
    ))
    ORDER BY bit_count(c.code # :code::bit varying), c.number
    LIMIT (SELECT (:least::double precision + :share::double precision * chunks)::bigint FROM shelf)
), measured AS (
    SELECT near.number, near.file, (
        SELECT v.vector::vector <=> query.vector FROM antiphon.vector_embeddings AS v
        WHERE v.store = (SELECT number FROM shelf) AND v.number = near.number
    ) AS distance
    FROM near, query ORDER BY distance, near.number LIMIT 2 * :limit::bigint
), best AS (
    SELECT m.number, m.distance, f.file_id, f.filename, f.attributes
    FROM measured AS m JOIN antiphon.vector_store_files AS f ON f.number = m.file
    WHERE NOT f.gone ORDER BY m.distance, m.number LIMIT :limit
)
SELECT s.embedding_model, b.number, 1 - b.distance, b.file_id, b.filename, b.attributes, c.text
FROM shelf AS s LEFT JOIN (
    best AS b JOIN antiphon.vector_chunks AS c ON c.store = (SELECT number FROM shelf) AND c.number = b.number
) ON true
ORDER BY b.distance, b.number

-- name: found
SELECT c.number, f.file_id, f.filename, f.attributes, c.text
FROM antiphon.vector_chunks AS c JOIN antiphon.vector_store_files AS f ON f.number = c.file
WHERE c.store = :store AND c.number = ANY (:numbers) AND NOT f.gone

-- name: has_pgvector
SELECT to_regtype('vector') IS NOT NULL
