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
DELETE FROM conversation_items WHERE place >= :number << 24 AND place < (:number + 1) << 24

-- name: last
SELECT max(place) FROM conversation_items WHERE place >= :number << 24 AND place < (:number + 1) << 24

-- name: insert_item
INSERT INTO conversation_items (place, id, body) VALUES (:place, :id, :body)

-- name: find_item
SELECT place, body FROM conversation_items
WHERE id = :id AND place >= :number << 24 AND place < (:number + 1) << 24

-- name: remove_item
DELETE FROM conversation_items WHERE place = :place

-- name: list
SELECT id, body FROM conversation_items WHERE place > :after AND place < (:number + 1) << 24
ORDER BY place LIMIT :limit

-- name: list_descending
SELECT id, body FROM conversation_items WHERE place < :after AND place >= :number << 24
ORDER BY place DESC LIMIT :limit

-- name: find_owned
-- An item by its id alone; of several conversations the newest.
SELECT item.body FROM conversation_items AS item
JOIN conversations AS conversation ON conversation.number = item.place >> 24
WHERE item.id = :id AND conversation.owner = :owner
ORDER BY item.place DESC LIMIT 1
