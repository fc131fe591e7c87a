-- name: owners_turn
-- Endpoints of one owner are made one after the other, so that they can be counted.
SELECT pg_advisory_xact_lock(hashtextextended('webhook_endpoints ' || :owner, 0))

-- name: count
SELECT count(*) FROM antiphon.webhook_endpoints WHERE owner = :owner

-- name: insert
INSERT INTO antiphon.webhook_endpoints (
    id, owner, name, url, event_types, secret, hint, created_at, updated_at, old_secret, old_until
) VALUES (
    :id, :owner, :name, :url, :event_types, :secret, :hint, :created_at, :updated_at, :old_secret, :old_until
) ON CONFLICT (id) DO NOTHING RETURNING 1

-- name: get
SELECT id, owner, name, url, event_types, secret, hint, created_at, updated_at, old_secret, old_until FROM antiphon.webhook_endpoints
WHERE id = :id AND owner = :owner

-- name: number
SELECT number FROM antiphon.webhook_endpoints WHERE id = :id AND owner = :owner

-- name: list
SELECT id, owner, name, url, event_types, secret, hint, created_at, updated_at, old_secret, old_until FROM antiphon.webhook_endpoints
WHERE owner = :owner AND number > :low AND number < :high ORDER BY number LIMIT :limit

-- name: list_descending
SELECT id, owner, name, url, event_types, secret, hint, created_at, updated_at, old_secret, old_until FROM antiphon.webhook_endpoints
WHERE owner = :owner AND number > :low AND number < :high ORDER BY number DESC LIMIT :limit

-- name: update
UPDATE antiphon.webhook_endpoints SET name = :name, url = :url, event_types = :event_types, secret = :secret, hint = :hint,
    updated_at = :updated_at, old_secret = :old_secret, old_until = :old_until
WHERE id = :id AND owner = :owner RETURNING 1

-- name: delete
DELETE FROM antiphon.webhook_endpoints WHERE id = :id AND owner = :owner RETURNING 1
