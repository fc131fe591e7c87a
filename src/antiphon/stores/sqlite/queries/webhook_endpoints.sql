-- name: taken
SELECT 1 FROM webhook_endpoints WHERE id = :id

-- name: count
SELECT count(*) FROM webhook_endpoints WHERE owner = :owner

-- name: insert
INSERT INTO webhook_endpoints (
    id, owner, name, url, event_types, secret, hint, created_at, updated_at, old_secret, old_until
) VALUES (
    :id, :owner, :name, :url, :event_types, :secret, :hint, :created_at, :updated_at, :old_secret, :old_until
)

-- name: get
SELECT id, owner, name, url, event_types, secret, hint, created_at, updated_at, old_secret, old_until FROM webhook_endpoints
WHERE id = :id AND owner = :owner

-- name: number
SELECT number FROM webhook_endpoints WHERE id = :id AND owner = :owner

-- name: list
SELECT id, owner, name, url, event_types, secret, hint, created_at, updated_at, old_secret, old_until FROM webhook_endpoints
WHERE owner = :owner AND number > :low AND number < :high ORDER BY number LIMIT :limit

-- name: list_descending
SELECT id, owner, name, url, event_types, secret, hint, created_at, updated_at, old_secret, old_until FROM webhook_endpoints
WHERE owner = :owner AND number > :low AND number < :high ORDER BY number DESC LIMIT :limit

-- name: update
UPDATE webhook_endpoints SET name = :name, url = :url, event_types = :event_types, secret = :secret, hint = :hint,
    updated_at = :updated_at, old_secret = :old_secret, old_until = :old_until
WHERE id = :id AND owner = :owner RETURNING 1

-- name: delete
DELETE FROM webhook_endpoints WHERE id = :id AND owner = :owner RETURNING 1
