-- name: meters
INSERT INTO antiphon.meters (name, value, expires_at) VALUES (:name, :value, :expires_at) ON CONFLICT (name) DO NOTHING
