-- name: files
INSERT INTO antiphon.files (id, owner, filename, purpose, media_type, size, created_at, expires_at, content)
VALUES (:id, :owner, :filename, :purpose, :media_type, :size, :created_at, :expires_at, :content)
ON CONFLICT (id) DO NOTHING

-- name: contents
-- Before its rows; of a file that was there before, nothing.
INSERT INTO antiphon.contents (owner, file, start, size, expires_at)
SELECT :owner::text, number, :start::bigint, :size::bigint, :expires_at::bigint FROM antiphon.files
WHERE id = :file_id AND content IS NULL
ON CONFLICT (file, start) WHERE file IS NOT NULL DO NOTHING

-- name: content_rows
INSERT INTO antiphon.content_rows (content, start, row)
SELECT content.number, :start::bigint, :row::bytea FROM antiphon.contents AS content
WHERE content.file = (SELECT number FROM antiphon.files WHERE id = :file_id) AND content.start = :content_start::bigint
ON CONFLICT (content, start) DO NOTHING
