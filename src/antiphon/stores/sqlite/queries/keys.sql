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
SELECT id, owner, digest, created_at, body, last_used_at FROM keys WHERE digest = :digest

-- name: all
SELECT id, owner, digest, created_at, body, last_used_at FROM keys ORDER BY created_at, id

-- name: get
SELECT id, owner, digest, created_at, body, last_used_at FROM keys WHERE id = :id

-- name: page
SELECT id, owner, digest, created_at, body, last_used_at FROM keys
WHERE (created_at, id) < (:time, :id) AND (:owner IS NULL OR owner = :owner)
ORDER BY created_at DESC, id DESC LIMIT :limit

-- name: count
SELECT count(*) FROM (SELECT 1 FROM keys LIMIT :most)

-- name: change
UPDATE keys SET body = :body WHERE id = :id AND body = :before RETURNING 1

-- name: used
UPDATE keys SET last_used_at = :time WHERE id = :id AND (last_used_at IS NULL OR last_used_at < :time)
