-- name: position
SELECT position FROM antiphon.imports WHERE source = :source AND noun = :noun

-- name: note
INSERT INTO antiphon.imports (source, noun, position) VALUES (:source, :noun, :position)
ON CONFLICT (source, noun) DO UPDATE SET position = excluded.position

-- name: forget
DELETE FROM antiphon.imports WHERE source = :source

-- name: secrets
INSERT INTO antiphon.secrets (name, secret) VALUES (:name, :secret) ON CONFLICT (name) DO NOTHING

-- name: keys
INSERT INTO antiphon.keys (id, owner, digest, created_at, body) VALUES (:id, :owner, :digest, :created_at, :body)
ON CONFLICT DO NOTHING

-- name: meters
INSERT INTO antiphon.meters (name, value, expires_at) VALUES (:name, :value, :expires_at) ON CONFLICT (name) DO NOTHING

-- name: conversations
INSERT INTO antiphon.conversations (id, owner, created_at, metadata) VALUES (:id, :owner, :created_at, :metadata)
ON CONFLICT (id) DO NOTHING

-- name: conversation_items
INSERT INTO antiphon.conversation_items (conversation, id, body)
SELECT number, :id::text, :body::bytea FROM antiphon.conversations WHERE id = :conversation
ON CONFLICT (id, conversation) DO NOTHING

-- name: responses
INSERT INTO antiphon.responses (
    id, owner, model, status, created_at, expires_at, background, previous_response_id, conversation_id,
    output_start, output_end, foreign_ids, input, body, model_texts
) VALUES (
    :id, :owner, :model, :status, :created_at, :expires_at, :background, :previous_response_id, :conversation_id,
    :output_start, :output_end, :foreign_ids, :input, :body, :model_texts
)
ON CONFLICT (id) DO NOTHING

-- name: foreign_items
INSERT INTO antiphon.foreign_items (owner, item_id, response, position)
SELECT :owner::text, :item_id::text, response.number, :position::integer FROM antiphon.responses AS response
WHERE response.id = :id AND NOT EXISTS (
    SELECT FROM antiphon.foreign_items AS known WHERE known.response = response.number AND known.item_id = :item_id
)

-- name: event_batches
INSERT INTO antiphon.events (response, sequence_number, type, body)
SELECT number, :sequence_number::integer, :type::text, :body::bytea FROM antiphon.responses WHERE id = :id
ON CONFLICT (response, sequence_number) DO NOTHING

-- name: files
INSERT INTO antiphon.files (id, owner, filename, purpose, media_type, size, created_at, expires_at, content)
VALUES (:id, :owner, :filename, :purpose, :media_type, :size, :created_at, :expires_at, :content)
ON CONFLICT (id) DO NOTHING

-- name: deliveries
INSERT INTO antiphon.deliveries (id, url, owner, due, attempts, body)
VALUES (:id, :url, :owner, :due, :attempts, :body)
ON CONFLICT (id, url) DO NOTHING

-- name: jobs
-- Last of all: a server that runs already may take it up at once.
WITH job AS (
    INSERT INTO antiphon.jobs (response_id, owner, worker, lease_until, fence, attempts, crashes, cancelled, request)
    VALUES (:response_id, :owner, :worker, :lease_until, :fence, :attempts, :crashes, :cancelled, :request)
    ON CONFLICT (response_id) DO NOTHING RETURNING number
)
INSERT INTO antiphon.checkpoints (job, body)
SELECT number, :checkpoint::bytea FROM job WHERE :checkpoint::bytea IS NOT NULL
