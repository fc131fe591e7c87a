-- name: deliveries
INSERT INTO antiphon.deliveries (id, url, owner, due, attempts, body)
VALUES (:id, :url, :owner, :due, :attempts, :body)
ON CONFLICT (id, url) DO NOTHING
