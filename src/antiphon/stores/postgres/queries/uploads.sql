-- name: insert
INSERT INTO antiphon.uploads (
    id, owner, filename, purpose, media_type, size, created_at, expires_at, file_id, file_seconds, status
) VALUES (
    :id, :owner, :filename, :purpose, :media_type, :size, :created_at, :expires_at, :file_id, :file_seconds, :status
) ON CONFLICT (id) DO NOTHING RETURNING 1

-- name: get
SELECT id, owner, filename, purpose, media_type, size, created_at, expires_at, file_id, file_seconds, status
FROM antiphon.uploads WHERE id = :id AND owner = :owner AND expires_at > :now::double precision

-- name: pending
SELECT count(*) FROM antiphon.uploads
WHERE owner = :owner AND status = 'pending' AND expires_at > :now::double precision

-- name: lock
SELECT 1 FROM antiphon.uploads WHERE id = :upload AND status = 'pending' FOR UPDATE

-- name: count_parts
SELECT count(*) FROM antiphon.upload_parts WHERE upload = :upload

-- name: insert_part
INSERT INTO antiphon.upload_parts (id, upload, created_at, size, content)
VALUES (:id, :upload, :created_at, :size, :content) ON CONFLICT (id) DO NOTHING

-- name: parts
SELECT id, upload, created_at, size, content FROM antiphon.upload_parts WHERE upload = :upload ORDER BY number

-- name: end
UPDATE antiphon.uploads SET status = :status::text
WHERE id = :id AND owner = :owner AND status IN ('pending', :status::text) RETURNING 1

-- name: purge
WITH gone AS (
    DELETE FROM antiphon.uploads WHERE number = ANY (ARRAY(
        SELECT number FROM antiphon.uploads WHERE expires_at <= :now::bigint ORDER BY expires_at LIMIT :limit
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone
