-- name: insert
INSERT INTO antiphon.files (id, owner, filename, purpose, media_type, size, created_at, expires_at, content)
VALUES (:id, :owner, :filename, :purpose, :media_type, :size, :created_at, :expires_at, :content)
ON CONFLICT (id) DO NOTHING RETURNING 1

-- name: get
SELECT id, filename, purpose, media_type, size, created_at, expires_at FROM antiphon.files
WHERE id = :id AND owner = :owner AND (expires_at IS NULL OR expires_at > :now::double precision)

-- name: content
-- Of a file whose content stands in its own row: that; else the row of its contents.
SELECT CASE WHEN file.content IS NOT NULL THEN substr(file.content, :start::bigint::integer + 1, :most::integer) ELSE (
    SELECT substr(row.row, (:start::bigint - content.start - row.start)::integer + 1)
    FROM (
        SELECT number, start FROM antiphon.contents WHERE contents.file = file.number AND start <= :start::bigint
        ORDER BY start DESC LIMIT 1
    ) AS content, LATERAL (
        SELECT row, start FROM antiphon.content_rows
        WHERE content_rows.content = content.number AND start <= :start::bigint - content.start
        ORDER BY start DESC LIMIT 1
    ) AS row
) END FROM antiphon.files AS file
WHERE file.id = :id AND file.owner = :owner AND (file.expires_at IS NULL OR file.expires_at > :now::double precision)

-- name: row_at
SELECT substr(row, (:start::bigint - start)::integer + 1) FROM antiphon.content_rows
WHERE content = :content::bigint AND start <= :start::bigint ORDER BY start DESC LIMIT 1

-- name: begin
INSERT INTO antiphon.contents (owner, expires_at) VALUES (:owner, :expires_at) RETURNING number

-- name: append
WITH grown AS (
    UPDATE antiphon.contents SET size = :size::bigint WHERE number = :content::bigint AND file IS NULL AND expires_at > 0
    RETURNING number
)
INSERT INTO antiphon.content_rows (content, start, row) SELECT number, :start::bigint, :row::bytea FROM grown
ON CONFLICT (content, start) DO UPDATE SET row = excluded.row RETURNING 1

-- name: insert_file
INSERT INTO antiphon.files (id, owner, filename, purpose, media_type, size, created_at, expires_at)
VALUES (:id, :owner, :filename, :purpose, :media_type, :size, :created_at, :expires_at)
ON CONFLICT (id) DO NOTHING RETURNING number

-- name: join_file
UPDATE antiphon.contents SET file = :file::bigint, start = :start::bigint
WHERE number = :content::bigint AND file IS NULL AND expires_at > 0 RETURNING size

-- name: give_up
UPDATE antiphon.contents SET expires_at = 0 WHERE number = ANY (:contents::bigint[]) AND file IS NULL

-- name: sweep
WITH gone AS (
    DELETE FROM antiphon.content_rows AS row USING (
        SELECT row.content, row.start FROM (
            SELECT number FROM antiphon.contents WHERE file IS NULL AND expires_at <= :now::bigint
            ORDER BY expires_at LIMIT :limit
        ) AS content, LATERAL (
            SELECT content, start FROM antiphon.content_rows WHERE content_rows.content = content.number LIMIT :limit
        ) AS row LIMIT :limit
    ) AS old
    WHERE row.content = old.content AND row.start = old.start RETURNING 1
)
SELECT count(*) FROM gone

-- name: remove_contents
WITH gone AS (
    DELETE FROM antiphon.contents AS content WHERE file IS NULL AND expires_at <= :now::bigint
    AND NOT EXISTS (SELECT FROM antiphon.content_rows AS row WHERE row.content = content.number) RETURNING 1
)
SELECT count(*) FROM gone

-- name: usage
SELECT count(*), (coalesce(sum(size), 0) + (
    SELECT coalesce(sum(size), 0) FROM antiphon.contents WHERE owner = :owner AND file IS NULL
))::bigint FROM antiphon.files WHERE owner = :owner

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
