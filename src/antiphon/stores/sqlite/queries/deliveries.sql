-- name: insert
INSERT INTO deliveries (id, url, owner, due, attempts, body) VALUES (:id, :url, :owner, :due, :attempts, :body)
ON CONFLICT (id, url) DO NOTHING

-- name: next
SELECT min(due) FROM deliveries

-- name: claim
UPDATE deliveries SET due = :again, attempts = attempts + 1
WHERE rowid = (
    SELECT rowid FROM deliveries WHERE due <= :now AND owner NOT IN (SELECT value FROM json_each(:without))
    ORDER BY due, rowid LIMIT 1
)
RETURNING id, url, owner, due, attempts, body

-- name: postpone
UPDATE deliveries SET due = :due WHERE id = :id AND url = :url

-- name: finish
DELETE FROM deliveries WHERE id = :id AND url = :url
