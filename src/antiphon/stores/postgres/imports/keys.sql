-- name: secrets
INSERT INTO antiphon.secrets (name, secret) VALUES (:name, :secret) ON CONFLICT (name) DO NOTHING

-- name: keys
INSERT INTO antiphon.keys (id, owner, digest, created_at, body) VALUES (:id, :owner, :digest, :created_at, :body)
ON CONFLICT DO NOTHING
