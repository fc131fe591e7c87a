-- name: taken
SELECT 1 FROM files WHERE id = :id

-- name: insert
INSERT INTO files (id, owner, filename, purpose, media_type, size, created_at, expires_at)
VALUES (:id, :owner, :filename, :purpose, :media_type, :size, :created_at, :expires_at) RETURNING number

-- name: insert_content
INSERT INTO file_contents (file, content) VALUES (:file, :content)

-- name: get
SELECT id, filename, purpose, media_type, size, created_at, expires_at FROM files
WHERE id = :id AND owner = :owner AND (expires_at IS NULL OR expires_at > :now)

-- name: content
SELECT content FROM file_contents WHERE file = (
    SELECT number FROM files WHERE id = :id AND owner = :owner AND (expires_at IS NULL OR expires_at > :now)
)

-- name: number
SELECT number FROM files WHERE id = :id AND owner = :owner

-- name: live_number
SELECT number FROM files WHERE id = :id AND owner = :owner AND (expires_at IS NULL OR expires_at > :now)

-- name: list
SELECT id, filename, purpose, media_type, size, created_at, expires_at FROM files
WHERE owner = :owner AND number > :after AND (:purpose IS NULL OR purpose = :purpose)
    AND (expires_at IS NULL OR expires_at > :now)
ORDER BY number LIMIT :limit

-- name: list_descending
SELECT id, filename, purpose, media_type, size, created_at, expires_at FROM files
WHERE owner = :owner AND number < :after AND (:purpose IS NULL OR purpose = :purpose)
    AND (expires_at IS NULL OR expires_at > :now)
ORDER BY number DESC LIMIT :limit

-- name: expired
SELECT number FROM files WHERE expires_at <= :now LIMIT :limit

-- name: remove
DELETE FROM files WHERE number = :file

-- name: remove_content
DELETE FROM file_contents WHERE file = :file
