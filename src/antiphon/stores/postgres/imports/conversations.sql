-- name: conversations
INSERT INTO antiphon.conversations (id, owner, created_at, metadata) VALUES (:id, :owner, :created_at, :metadata)
ON CONFLICT (id) DO NOTHING

-- name: conversation_items
INSERT INTO antiphon.conversation_items (conversation, id, body)
SELECT number, :id::text, :body::bytea FROM antiphon.conversations WHERE id = :conversation
ON CONFLICT (id, conversation) DO NOTHING
