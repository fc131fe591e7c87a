-- name: insert
INSERT INTO antiphon.chats (id, owner, model, created_at, expires_at, pairs, metadata, body, messages)
VALUES (:id, :owner, :model, :created_at, :expires_at, :pairs::text[], :metadata, :body, :messages)
ON CONFLICT (id) DO NOTHING RETURNING 1

-- name: get
SELECT id, model, created_at, expires_at, metadata, body, messages FROM antiphon.chats
WHERE id = :id AND owner = :owner AND (expires_at IS NULL OR expires_at > :now::double precision)

-- name: number
SELECT number FROM antiphon.chats WHERE id = :id AND owner = :owner

-- name: list
SELECT id, model, created_at, expires_at, metadata, body FROM (
    SELECT id, model, created_at, expires_at, metadata, body,
        sum(octet_length(body)) OVER (ORDER BY number) - octet_length(body) AS before
    FROM (
        SELECT number, id, model, created_at, expires_at, metadata, body FROM antiphon.chats
        WHERE owner = :owner AND number > :after AND (expires_at IS NULL OR expires_at > :now::double precision)
            AND (:model::text IS NULL OR model = :model::text) AND pairs @> :pairs::text[]
        ORDER BY number LIMIT :limit
    ) AS page
) AS measured WHERE before < :most

-- name: list_descending
SELECT id, model, created_at, expires_at, metadata, body FROM (
    SELECT id, model, created_at, expires_at, metadata, body,
        sum(octet_length(body)) OVER (ORDER BY number DESC) - octet_length(body) AS before
    FROM (
        SELECT number, id, model, created_at, expires_at, metadata, body FROM antiphon.chats
        WHERE owner = :owner AND number < :after AND (expires_at IS NULL OR expires_at > :now::double precision)
            AND (:model::text IS NULL OR model = :model::text) AND pairs @> :pairs::text[]
        ORDER BY number DESC LIMIT :limit
    ) AS page
) AS measured WHERE before < :most

-- name: update
UPDATE antiphon.chats SET metadata = :metadata, pairs = :pairs::text[]
WHERE id = :id AND owner = :owner AND (expires_at IS NULL OR expires_at > :now::double precision)
RETURNING id, model, created_at, expires_at, metadata, body, messages

-- name: remove
DELETE FROM antiphon.chats WHERE id = :id AND owner = :owner RETURNING 1

-- name: purge
WITH gone AS (
    DELETE FROM antiphon.chats WHERE number = ANY (ARRAY(
        SELECT number FROM antiphon.chats WHERE expires_at <= :now::bigint ORDER BY expires_at LIMIT :limit
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone
