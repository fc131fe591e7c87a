-- name: secrets
INSERT INTO antiphon.secrets (name, secret) VALUES (:name, :secret) ON CONFLICT (name) DO NOTHING

-- name: keys
INSERT INTO antiphon.keys (id, owner, digest, created_at, body, last_used_at)
VALUES (:id, :owner, :digest, :created_at, :body, :last_used_at)
ON CONFLICT DO NOTHING
