-- name: webhook_endpoints
INSERT INTO antiphon.webhook_endpoints (
    id, owner, name, url, event_types, secret, hint, created_at, updated_at, old_secret, old_until
) VALUES (
    :id, :owner, :name, :url, :event_types, :secret, :hint, :created_at, :updated_at, :old_secret, :old_until
) ON CONFLICT (id) DO NOTHING
