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

-- name: single_row
SELECT substr(content, :start + 1, :most) FROM file_contents WHERE file = :file

-- name: content_at
SELECT number, start FROM contents WHERE file = :file AND start <= :start ORDER BY start DESC LIMIT 1

-- name: row_at
SELECT substr(row, :start - start + 1) FROM content_rows WHERE content = :content AND start <= :start
ORDER BY start DESC LIMIT 1

-- name: begin
INSERT INTO contents (owner, expires_at) VALUES (:owner, :expires_at) RETURNING number

-- name: grow
UPDATE contents SET size = :size WHERE number = :content AND file IS NULL AND expires_at > 0 RETURNING number

-- name: append
INSERT INTO content_rows (content, start, row) VALUES (:content, :start, :row)

-- name: join_file
UPDATE contents SET file = :file, start = :start WHERE number = :content AND file IS NULL AND expires_at > 0 RETURNING size

-- name: give_up
UPDATE contents SET expires_at = 0 WHERE number = :content AND file IS NULL

-- name: rows_left
SELECT row.number FROM contents AS content JOIN content_rows AS row ON row.content = content.number
WHERE content.file IS NULL AND content.expires_at <= :now LIMIT :limit

-- name: remove_row
DELETE FROM content_rows WHERE number = :number

-- name: remove_contents
DELETE FROM contents WHERE file IS NULL AND expires_at <= :now

-- name: usage
SELECT count(*), coalesce(sum(size), 0) + (
    SELECT coalesce(sum(size), 0) FROM contents WHERE owner = :owner AND file IS NULL
) FROM files WHERE owner = :owner

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
