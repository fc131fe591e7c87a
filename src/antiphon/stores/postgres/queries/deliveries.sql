-- name: insert
INSERT INTO antiphon.deliveries (id, url, owner, due, attempts, body)
VALUES (:id, :url, :owner, clock(:due), :attempts, :body)
ON CONFLICT (id, url) DO NOTHING

-- name: next
SELECT min(due) - clock(0) FROM antiphon.deliveries

-- name: claim
UPDATE antiphon.deliveries SET due = clock(:again_at), attempts = attempts + 1
WHERE number = (
    SELECT number FROM antiphon.deliveries WHERE due <= clock(:now) AND owner <> ALL(:without::text[])
    ORDER BY due, number LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING id, url, owner, due, attempts, body

-- name: postpone
UPDATE antiphon.deliveries SET due = clock(:due) WHERE id = :id AND url = :url

-- name: finish
DELETE FROM antiphon.deliveries WHERE id = :id AND url = :url
