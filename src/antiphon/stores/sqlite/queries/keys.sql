-- name: propose_secret
INSERT INTO secrets (name, secret) VALUES (:name, :secret) ON CONFLICT (name) DO NOTHING

-- name: secret
SELECT secret FROM secrets WHERE name = :name

-- name: other
SELECT 1 FROM keys WHERE digest = :digest AND id <> :id

-- name: put
INSERT INTO keys (id, owner, digest, created_at, body) VALUES (:id, :owner, :digest, :created_at, :body)
ON CONFLICT (id) DO UPDATE SET
    owner = excluded.owner, digest = excluded.digest, created_at = excluded.created_at, body = excluded.body

-- name: find
SELECT id, owner, digest, created_at, body FROM keys WHERE digest = :digest

-- name: all
SELECT id, owner, digest, created_at, body FROM keys ORDER BY created_at, id
