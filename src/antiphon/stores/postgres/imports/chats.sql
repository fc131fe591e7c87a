-- name: chats
INSERT INTO antiphon.chats (id, owner, model, created_at, expires_at, pairs, metadata, body, messages)
VALUES (
    :id, :owner, :model, :created_at, :expires_at, :pairs::text[], :metadata, :body, :messages
) ON CONFLICT (id) DO NOTHING
