-- name: insert
INSERT INTO conversations (id, owner, created_at, metadata) VALUES (:id, :owner, :created_at, :metadata)

-- name: taken
SELECT 1 FROM conversations WHERE id = :id

-- name: get
SELECT number, created_at, metadata FROM conversations WHERE id = :id AND owner = :owner

-- name: update
UPDATE conversations SET metadata = :metadata WHERE id = :id AND owner = :owner RETURNING created_at

-- name: remove
DELETE FROM conversations WHERE number = :number

-- name: remove_items
DELETE FROM conversation_items WHERE rowid >= :number << 24 AND rowid < (:number + 1) << 24

-- name: last
SELECT max(rowid) FROM conversation_items WHERE rowid >= :number << 24 AND rowid < (:number + 1) << 24

-- name: insert_item
INSERT INTO conversation_items (rowid, id, body) VALUES (:rowid, :id, :body)

-- name: find_item
SELECT rowid, body FROM conversation_items
WHERE id = :id AND rowid >= :number << 24 AND rowid < (:number + 1) << 24

-- name: remove_item
DELETE FROM conversation_items WHERE rowid = :rowid

-- name: list
SELECT id, body FROM conversation_items WHERE rowid > :after AND rowid < (:number + 1) << 24
ORDER BY rowid LIMIT :limit

-- name: list_descending
SELECT id, body FROM conversation_items WHERE rowid < :after AND rowid >= :number << 24
ORDER BY rowid DESC LIMIT :limit

-- name: find_owned
-- An item by its id alone; of several conversations the newest.
SELECT item.body FROM conversation_items AS item
JOIN conversations AS conversation ON conversation.number = item.rowid >> 24
WHERE item.id = :id AND conversation.owner = :owner
ORDER BY item.rowid DESC LIMIT 1

-- name: number_of
SELECT number FROM conversations WHERE id = :id AND (:owner IS NULL OR owner = :owner)

-- name: listed
SELECT number, id, owner, created_at, metadata FROM conversations
WHERE owner = :owner AND number < :before ORDER BY number DESC LIMIT :limit

-- name: listed_of_all
SELECT number, id, owner, created_at, metadata FROM conversations
WHERE number < :before ORDER BY number DESC LIMIT :limit

-- name: one_of_all
SELECT number, id, owner, created_at, metadata FROM conversations WHERE id = :id

-- name: counted
SELECT count(*) FROM (
    SELECT 1 FROM conversation_items WHERE rowid >= :number << 24 AND rowid < (:number + 1) << 24 LIMIT :most
)

-- name: first_items
SELECT CASE WHEN length(body) <= :shown THEN body ELSE x'' END FROM conversation_items
WHERE rowid >= :number << 24 AND rowid < (:number + 1) << 24 ORDER BY rowid LIMIT :most

-- name: last_item
SELECT CASE WHEN length(body) <= :shown THEN body ELSE x'' END FROM conversation_items
WHERE rowid >= :number << 24 AND rowid < (:number + 1) << 24 ORDER BY rowid DESC LIMIT 1
