-- name: create
WITH conversation AS (
    INSERT INTO antiphon.conversations (id, owner, created_at, metadata)
    VALUES (:id, :owner, :created_at, :metadata)
    ON CONFLICT (id) DO NOTHING RETURNING number
), added AS (
    INSERT INTO antiphon.conversation_items (conversation, id, body)
    SELECT conversation.number, item.id, item.body
    FROM conversation, unnest(:ids::text[], :bodies::bytea[]) WITH ORDINALITY AS item (id, body, ordinal)
    ORDER BY item.ordinal
    ON CONFLICT (id, conversation) DO NOTHING
)
SELECT EXISTS (SELECT FROM conversation)

-- name: append
-- The conversation's row is locked: what is added at once stays together.
WITH conversation AS (
    SELECT number FROM antiphon.conversations WHERE id = :id AND owner = :owner FOR NO KEY UPDATE
), added AS (
    INSERT INTO antiphon.conversation_items (conversation, id, body)
    SELECT conversation.number, item.id, item.body
    FROM conversation, unnest(:ids::text[], :bodies::bytea[]) WITH ORDINALITY AS item (id, body, ordinal)
    ORDER BY item.ordinal
    ON CONFLICT (id, conversation) DO NOTHING
)
SELECT EXISTS (SELECT FROM conversation)

-- name: get
SELECT created_at, metadata FROM antiphon.conversations WHERE id = :id AND owner = :owner

-- name: update
UPDATE antiphon.conversations SET metadata = :metadata WHERE id = :id AND owner = :owner RETURNING created_at

-- name: remove
DELETE FROM antiphon.conversations WHERE id = :id AND owner = :owner RETURNING 1

-- name: start
-- Where a page begins: the conversation, and the sequence number (`place`) of the item that it begins behind.
SELECT conversation.number, item.place
FROM antiphon.conversations AS conversation
LEFT JOIN antiphon.conversation_items AS item ON item.conversation = conversation.number AND item.id = :after::text
WHERE conversation.id = :id AND conversation.owner = :owner

-- name: list
SELECT id, body FROM antiphon.conversation_items WHERE conversation = :number AND place > :after
ORDER BY place LIMIT :limit

-- name: list_descending
SELECT id, body FROM antiphon.conversation_items WHERE conversation = :number AND place < :after
ORDER BY place DESC LIMIT :limit

-- name: get_item
SELECT item.body
FROM antiphon.conversations AS conversation
JOIN antiphon.conversation_items AS item ON item.conversation = conversation.number
WHERE conversation.id = :id AND conversation.owner = :owner AND item.id = :item_id

-- name: remove_item
DELETE FROM antiphon.conversation_items AS item USING antiphon.conversations AS conversation
WHERE item.conversation = conversation.number AND item.id = :item_id
    AND conversation.id = :id AND conversation.owner = :owner
RETURNING 1

-- name: find_owned
-- Items by their ids alone; of several conversations the newest.
SELECT DISTINCT ON (item.id) item.id, item.body
FROM antiphon.conversation_items AS item
JOIN antiphon.conversations AS conversation ON conversation.number = item.conversation
WHERE item.id = ANY(:ids::text[]) AND conversation.owner = :owner
ORDER BY item.id, item.conversation DESC

-- name: number_of
SELECT number FROM antiphon.conversations WHERE id = :id AND (:owner::text IS NULL OR owner = :owner)

-- name: {summary}
listed.id, listed.owner, listed.created_at, listed.metadata,
(
    SELECT count(*) FROM (
        SELECT 1 FROM antiphon.conversation_items WHERE conversation = listed.number LIMIT :counted
    ) AS items
),
ARRAY(
    SELECT CASE WHEN length(body) <= :shown THEN body ELSE ''::bytea END FROM antiphon.conversation_items
    WHERE conversation = listed.number ORDER BY place LIMIT :firsts
),
(
    SELECT CASE WHEN length(body) <= :shown THEN body ELSE ''::bytea END FROM antiphon.conversation_items
    WHERE conversation = listed.number ORDER BY place DESC LIMIT 1
)

-- name: listed
SELECT {summary} FROM antiphon.conversations AS listed
WHERE listed.owner = :owner AND listed.number < :before ORDER BY listed.number DESC LIMIT :limit

-- name: listed_of_all
SELECT {summary} FROM antiphon.conversations AS listed
WHERE listed.number < :before ORDER BY listed.number DESC LIMIT :limit

-- name: one_of_all
SELECT {summary} FROM antiphon.conversations AS listed WHERE listed.id = :id
