-- name: taken
SELECT 1 FROM chats WHERE id = :id

-- name: insert
INSERT INTO chats (id, owner, model, created_at, expires_at, pairs, metadata, body, messages)
VALUES (:id, :owner, :model, :created_at, :expires_at, :pairs, :metadata, :body, :messages)

-- name: get
SELECT id, model, created_at, expires_at, metadata, body, messages FROM chats
WHERE id = :id AND owner = :owner AND (expires_at IS NULL OR expires_at > :now)

-- name: number
SELECT number FROM chats WHERE id = :id AND owner = :owner

-- name: list
SELECT id, model, created_at, expires_at, metadata, body FROM (
    SELECT id, model, created_at, expires_at, metadata, body, sum(length(body)) OVER (ORDER BY number) - length(body) AS before
    FROM (
        SELECT number, id, model, created_at, expires_at, metadata, body FROM chats
        WHERE owner = :owner AND number > :after AND (expires_at IS NULL OR expires_at > :now)
            AND (:model IS NULL OR model = :model)
            AND NOT EXISTS (
                SELECT 1 FROM json_each(:pairs)
                WHERE json_each.value NOT IN (SELECT value FROM json_each(chats.pairs))
            )
        ORDER BY number LIMIT :limit
    )
) WHERE before < :most

-- name: list_descending
SELECT id, model, created_at, expires_at, metadata, body FROM (
    SELECT id, model, created_at, expires_at, metadata, body, sum(length(body)) OVER (ORDER BY number DESC) - length(body) AS before
    FROM (
        SELECT number, id, model, created_at, expires_at, metadata, body FROM chats
        WHERE owner = :owner AND number < :after AND (expires_at IS NULL OR expires_at > :now)
            AND (:model IS NULL OR model = :model)
            AND NOT EXISTS (
                SELECT 1 FROM json_each(:pairs)
                WHERE json_each.value NOT IN (SELECT value FROM json_each(chats.pairs))
            )
        ORDER BY number DESC LIMIT :limit
    )
) WHERE before < :most

-- name: update
UPDATE chats SET metadata = :metadata, pairs = :pairs
WHERE id = :id AND owner = :owner AND (expires_at IS NULL OR expires_at > :now)
RETURNING id, model, created_at, expires_at, metadata, body, messages

-- name: remove
DELETE FROM chats WHERE id = :id AND owner = :owner RETURNING 1

-- name: expired
DELETE FROM chats WHERE number IN (SELECT number FROM chats WHERE expires_at <= :now LIMIT :limit) RETURNING 1
