-- name: files
INSERT INTO antiphon.files (id, owner, filename, purpose, media_type, size, created_at, expires_at, content)
VALUES (:id, :owner, :filename, :purpose, :media_type, :size, :created_at, :expires_at, :content)
ON CONFLICT (id) DO NOTHING
