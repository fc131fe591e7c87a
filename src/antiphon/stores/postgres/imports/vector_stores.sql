-- name: vector_stores
-- Its sums grow with the chunks of its files (chunks.py).
INSERT INTO antiphon.vector_stores (
    id, owner, created_at, last_active_at, expires_at, name, description, metadata, expires_days, next_chunk
) VALUES (
    :id, :owner, :created_at, :last_active_at, :expires_at, :name, :description, :metadata, :expires_days, :next_chunk
) ON CONFLICT (id) DO NOTHING

-- name: file_batches
INSERT INTO antiphon.file_batches (id, store, created_at, cancelled)
SELECT :id::text, number, :created_at::bigint, :cancelled::boolean FROM antiphon.vector_stores WHERE id = :store_id
ON CONFLICT (id) DO NOTHING

-- name: vector_store_files
INSERT INTO antiphon.vector_store_files (
    store, file_id, filename, created_at, status, usage_bytes, error_code, error_message, attributes, chunk_tokens,
    chunk_overlap, batch
)
SELECT store.number, :file_id::text, :filename::text, :created_at::bigint, :status::text, :usage_bytes::bigint,
    :error_code::text, :error_message::text, :attributes::bytea, :chunk_tokens::integer, :chunk_overlap::integer,
    (SELECT number FROM antiphon.file_batches WHERE id = :batch_id)
FROM antiphon.vector_stores AS store WHERE store.id = :store_id
ON CONFLICT (store, file_id) DO NOTHING

-- name: empty_file
-- A file whose chunks are still to be copied.
SELECT store, number FROM antiphon.vector_store_files
WHERE store = (SELECT number FROM antiphon.vector_stores WHERE id = :store_id) AND file_id = :file_id
    AND status = 'completed' AND chunks = 0
FOR UPDATE

-- name: code
INSERT INTO antiphon.vector_codes (store, number, file, code)
VALUES (:store, :number, :file, :code) ON CONFLICT DO NOTHING

-- name: vector
INSERT INTO antiphon.vector_embeddings (store, number, file, vector)
VALUES (:store, :number, :file, :vector) ON CONFLICT DO NOTHING
