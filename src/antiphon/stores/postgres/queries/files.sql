-- name: insert
INSERT INTO antiphon.files (id, owner, filename, purpose, media_type, size, created_at, expires_at, content)
VALUES (:id, :owner, :filename, :purpose, :media_type, :size, :created_at, :expires_at, :content)
ON CONFLICT (id) DO NOTHING RETURNING 1

-- name: get
SELECT id, filename, purpose, media_type, size, created_at, expires_at FROM antiphon.files
WHERE id = :id AND owner = :owner AND (expires_at IS NULL OR expires_at > :now::double precision)

-- name: content
SELECT content FROM antiphon.files
WHERE id = :id AND owner = :owner AND (expires_at IS NULL OR expires_at > :now::double precision)

-- name: live_number
SELECT number FROM antiphon.files
WHERE id = :id AND owner = :owner AND (expires_at IS NULL OR expires_at > :now::double precision)

-- name: list
SELECT id, filename, purpose, media_type, size, created_at, expires_at FROM antiphon.files
WHERE owner = :owner AND number > :after AND (:purpose::text IS NULL OR purpose = :purpose)
    AND (expires_at IS NULL OR expires_at > :now::double precision)
ORDER BY number LIMIT :limit

-- name: list_descending
SELECT id, filename, purpose, media_type, size, created_at, expires_at FROM antiphon.files
WHERE owner = :owner AND number < :after AND (:purpose::text IS NULL OR purpose = :purpose)
    AND (expires_at IS NULL OR expires_at > :now::double precision)
ORDER BY number DESC LIMIT :limit

-- name: remove
DELETE FROM antiphon.files WHERE id = :id AND owner = :owner RETURNING 1

-- name: purge
WITH gone AS (
    DELETE FROM antiphon.files WHERE number = ANY (ARRAY(
        SELECT number FROM antiphon.files WHERE expires_at <= :now::bigint ORDER BY expires_at LIMIT :limit
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone
