-- name: taken
SELECT 1 FROM vector_stores WHERE id = :id

-- name: insert
INSERT INTO vector_stores (id, owner, created_at, last_active_at, expires_at, name, description, metadata, expires_days)
VALUES (:id, :owner, :created_at, :last_active_at, :expires_at, :name, :description, :metadata, :expires_days)

-- name: number
SELECT number FROM vector_stores WHERE id = :id AND owner = :owner

-- name: get
SELECT number, id, created_at, last_active_at, name, description, metadata, expires_days FROM vector_stores
WHERE id = :id AND owner = :owner

-- name: counts
SELECT status, count(*), sum(usage_bytes) FROM vector_store_files WHERE store = :store AND NOT gone GROUP BY status

-- name: list
SELECT number, id, created_at, last_active_at, name, description, metadata, expires_days FROM vector_stores
WHERE owner = :owner AND number > :low AND number < :high ORDER BY number LIMIT :limit

-- name: list_descending
SELECT number, id, created_at, last_active_at, name, description, metadata, expires_days FROM vector_stores
WHERE owner = :owner AND number > :low AND number < :high ORDER BY number DESC LIMIT :limit

-- name: count
SELECT count(*) FROM vector_stores WHERE owner = :owner

-- name: update
UPDATE vector_stores SET
    name = :name, metadata = :metadata, expires_days = :expires_days, last_active_at = :last_active_at, expires_at = :expires_at
WHERE id = :id AND owner = :owner RETURNING 1

-- name: touch
UPDATE vector_stores SET last_active_at = :now, expires_at = :now + 86400 * expires_days
WHERE id = :id AND owner = :owner AND last_active_at < :now AND (expires_at IS NULL OR expires_at > :now)

-- name: remove
DELETE FROM vector_stores WHERE number = :store

-- name: remove_batches
DELETE FROM file_batches WHERE store = :store

-- name: remove_files
DELETE FROM vector_store_files WHERE store = :store

-- name: not_indexed
UPDATE vector_stores SET indexed = 0, chunks = 0, next_chunk = 1, embedding_model = '', dimensions = 0 WHERE number = :store

-- name: indexed
UPDATE vector_stores SET indexed = 1 WHERE number = :store AND NOT indexed RETURNING 1

-- name: is_indexed
SELECT number, chunks FROM vector_stores WHERE id = :id AND owner = :owner AND indexed

-- name: expired
-- Those that still have files: an expired vector store itself stays.
SELECT number FROM vector_stores WHERE expires_at <= :now
    AND (indexed OR EXISTS (SELECT 1 FROM vector_store_files WHERE store = vector_stores.number)) LIMIT :limit

-- name: insert_batch
INSERT INTO file_batches (id, store, created_at) VALUES (:id, :store, :created_at) RETURNING number

-- name: attach
INSERT INTO vector_store_files (store, file_id, filename, created_at, status, attributes, chunk_tokens, chunk_overlap, batch)
VALUES (:store, :file_id, :filename, :created_at, 'in_progress', :attributes, :chunk_tokens, :chunk_overlap, :batch)
ON CONFLICT (store, file_id) DO UPDATE SET
    status = 'in_progress', error_code = '', error_message = '', attributes = excluded.attributes,
    chunk_tokens = excluded.chunk_tokens, chunk_overlap = excluded.chunk_overlap, batch = excluded.batch,
    worker = NULL, lease_until = NULL, fence = fence + 1, crashes = 0

-- name: file_count
SELECT count(*) FROM vector_store_files WHERE store = :store AND NOT gone

-- name: file
SELECT file_id, filename, created_at, status, usage_bytes, error_code, error_message, attributes, chunk_tokens, chunk_overlap
FROM vector_store_files WHERE store = :store AND file_id = :file_id AND NOT gone

-- name: file_number
SELECT number FROM vector_store_files WHERE store = :store AND file_id = :file_id AND NOT gone

-- name: files
SELECT file_id, filename, created_at, status, usage_bytes, error_code, error_message, attributes, chunk_tokens, chunk_overlap
FROM vector_store_files
WHERE store = :store AND number > :low AND number < :high AND NOT gone AND (:status IS NULL OR status = :status)
    AND (:batch IS NULL OR batch = :batch)
ORDER BY number LIMIT :limit

-- name: files_descending
SELECT file_id, filename, created_at, status, usage_bytes, error_code, error_message, attributes, chunk_tokens, chunk_overlap
FROM vector_store_files
WHERE store = :store AND number > :low AND number < :high AND NOT gone AND (:status IS NULL OR status = :status)
    AND (:batch IS NULL OR batch = :batch)
ORDER BY number DESC LIMIT :limit

-- name: set_attributes
UPDATE vector_store_files SET attributes = :attributes
WHERE store = :store AND file_id = :file_id AND NOT gone

-- name: file_chunks
SELECT store, first_chunk, chunks FROM vector_store_files WHERE number = :number

-- name: detach
DELETE FROM vector_store_files WHERE number = :number

-- name: batch
SELECT number, created_at, cancelled FROM file_batches WHERE id = :batch_id AND store = :store

-- name: batch_counts
SELECT status, count(*), sum(usage_bytes) FROM vector_store_files WHERE batch = :batch AND NOT gone GROUP BY status

-- name: cancel_batch
UPDATE file_batches SET cancelled = 1 WHERE number = :batch

-- name: batch_in_progress
SELECT number FROM vector_store_files WHERE batch = :batch AND status = 'in_progress'

-- name: cancel_file
UPDATE vector_store_files SET status = 'cancelled', fence = fence + 1, worker = NULL, lease_until = NULL
WHERE number = :number

-- name: waiting
SELECT 1 FROM vector_store_files WHERE status = 'in_progress' AND (lease_until IS NULL OR lease_until <= :now) LIMIT 1

-- name: claim
UPDATE vector_store_files SET
    crashes = crashes + (worker IS NOT NULL), worker = :worker, lease_until = :lease_until, fence = fence + 1
WHERE number = (
    SELECT number FROM vector_store_files
    WHERE status = 'in_progress' AND (lease_until IS NULL OR lease_until <= :now) AND store NOT IN (
        SELECT number FROM vector_stores WHERE owner IN (SELECT value FROM json_each(:without))
    )
    ORDER BY worker IS NOT NULL OR crashes > 0, number LIMIT 1
)
RETURNING number, store, fence, crashes, file_id, filename, created_at, status, usage_bytes, error_code, error_message,
    attributes, chunk_tokens, chunk_overlap

-- name: whose
SELECT id, owner FROM vector_stores WHERE number = :store

-- name: heartbeat
UPDATE vector_store_files SET lease_until = :lease_until
WHERE number = :number AND fence = :fence AND status = 'in_progress' RETURNING 1

-- name: release
UPDATE vector_store_files SET worker = NULL, lease_until = NULL WHERE number = :number AND fence = :fence RETURNING 1

-- name: held
SELECT store, chunks FROM vector_store_files WHERE number = :number AND fence = :fence AND status = 'in_progress'

-- name: room
SELECT next_chunk, chunks FROM vector_stores WHERE number = :store

-- name: grow
UPDATE vector_stores SET next_chunk = next_chunk + :added, chunks = chunks + :added WHERE number = :store

-- name: shrink
UPDATE vector_stores SET chunks = chunks - :removed WHERE number = :store

-- name: completed
UPDATE vector_store_files SET
    status = 'completed', usage_bytes = :usage_bytes, first_chunk = :first_chunk, chunks = :chunks, worker = NULL,
    lease_until = NULL
WHERE number = :number

-- name: failed
UPDATE vector_store_files SET
    status = 'failed', usage_bytes = 0, error_code = :code, error_message = :message, worker = NULL, lease_until = NULL
WHERE number = :number

-- name: emptied
UPDATE vector_store_files SET chunks = 0, first_chunk = 0, usage_bytes = 0 WHERE number = :number

-- name: gone
SELECT number FROM vector_store_files WHERE gone LIMIT :limit

-- name: attributes
SELECT file_id, attributes FROM vector_store_files WHERE store = :store AND chunks > 0 AND NOT gone

-- name: ranges
SELECT first_chunk, chunks, file_id FROM vector_store_files WHERE store = :store AND chunks > 0 AND NOT gone
ORDER BY first_chunk

-- name: drop_other_drafts
DELETE FROM vector_drafts WHERE file = :file AND model <> :model

-- name: drafted
SELECT digest FROM vector_drafts WHERE file = :file

-- name: draft
INSERT INTO vector_drafts (file, digest, model, code, vector) VALUES (:file, :digest, :model, :code, :vector)
ON CONFLICT (file, digest) DO UPDATE SET model = excluded.model, code = excluded.code, vector = excluded.vector

-- name: draft_code
SELECT code FROM vector_drafts WHERE file = :file AND digest = :digest

-- name: remove_drafts
DELETE FROM vector_drafts WHERE file = :file

-- name: remove_drafts_of_store
DELETE FROM vector_drafts WHERE file IN (SELECT number FROM vector_store_files WHERE store = :store)

-- name: embedding_of
SELECT embedding_model, dimensions FROM vector_stores WHERE number = :store

-- name: embedded
UPDATE vector_stores SET embedding_model = :model, dimensions = :dimensions WHERE number = :store

-- name: searched
SELECT number, chunks, embedding_model, dimensions FROM vector_stores WHERE id = :id AND owner = :owner AND embedding_model <> ''
