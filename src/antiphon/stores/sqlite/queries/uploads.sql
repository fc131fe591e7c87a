-- name: taken
SELECT 1 FROM uploads WHERE id = :id

-- name: insert
INSERT INTO uploads (
    id, owner, filename, purpose, media_type, size, created_at, expires_at, file_id, file_seconds, status
) VALUES (
    :id, :owner, :filename, :purpose, :media_type, :size, :created_at, :expires_at, :file_id, :file_seconds, :status
)

-- name: get
SELECT id, owner, filename, purpose, media_type, size, created_at, expires_at, file_id, file_seconds, status FROM uploads
WHERE id = :id AND owner = :owner AND expires_at > :now

-- name: pending
SELECT count(*) FROM uploads WHERE owner = :owner AND status = 'pending' AND expires_at > :now

-- name: is_pending
SELECT 1 FROM uploads WHERE id = :upload AND status = 'pending'

-- name: count_parts
SELECT count(*) FROM upload_parts WHERE upload = :upload

-- name: insert_part
INSERT INTO upload_parts (id, upload, created_at, size, content) VALUES (:id, :upload, :created_at, :size, :content)

-- name: parts
SELECT id, upload, created_at, size, content FROM upload_parts WHERE upload = :upload ORDER BY number

-- name: end
UPDATE uploads SET status = :status WHERE id = :id AND owner = :owner AND status IN ('pending', :status) RETURNING 1

-- name: expired
DELETE FROM uploads WHERE number IN (SELECT number FROM uploads WHERE expires_at <= :now LIMIT :limit) RETURNING id

-- name: remove_parts
DELETE FROM upload_parts WHERE upload = :upload
