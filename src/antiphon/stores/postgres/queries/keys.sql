-- name: secret
-- The row is touched so that it is returned whoever was first.
INSERT INTO antiphon.secrets AS known (name, secret) VALUES (:name, :proposal)
ON CONFLICT (name) DO UPDATE SET secret = known.secret
RETURNING secret

-- name: put
INSERT INTO antiphon.keys (id, owner, digest, created_at, body)
VALUES (:id, :owner, :digest, :created_at, :body)
ON CONFLICT (id) DO UPDATE SET
    owner = excluded.owner, digest = excluded.digest, created_at = excluded.created_at, body = excluded.body

-- name: find
SELECT id, owner, digest, created_at, body FROM antiphon.keys WHERE digest = :digest

-- name: all
SELECT id, owner, digest, created_at, body FROM antiphon.keys ORDER BY created_at, id COLLATE "C"
