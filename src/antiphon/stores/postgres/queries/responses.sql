-- name: put
-- Insert or replace. The answer is "" or why nothing was written.
WITH written AS (
    INSERT INTO antiphon.responses AS known ({columns}) VALUES ({values})
    ON CONFLICT (id) DO UPDATE SET {updates}
    WHERE known.owner = excluded.owner
    RETURNING number
), unlinked AS (
    DELETE FROM antiphon.foreign_items WHERE response = (SELECT number FROM written)
), linked AS (
    INSERT INTO antiphon.foreign_items (owner, item_id, response, position)
    SELECT :owner, item.id, written.number, item.position
    FROM written, unnest(:item_ids::text[], :positions::integer[]) AS item (id, position)
), entered AS (
    INSERT INTO antiphon.response_log ({log_columns}) SELECT {log_values} FROM written WHERE :has_entry::boolean
    ON CONFLICT (id) DO UPDATE SET {log_updates}
)
SELECT CASE WHEN EXISTS (SELECT FROM written) THEN '' ELSE 'owner' END

-- name: put_bound
-- The same, where a lease has to be held or items join a conversation; each part waits for the one before it.
WITH held AS (
    SELECT FROM antiphon.jobs WHERE response_id = :id AND fence = :fence FOR NO KEY UPDATE
), conversation AS (
    SELECT number FROM antiphon.conversations
    WHERE id = :conversation_id AND owner = :owner AND cardinality(:joining::text[]) > 0
    FOR NO KEY UPDATE
), allowed AS (
    SELECT CASE
        WHEN :fence::integer <> 0 AND NOT EXISTS (SELECT FROM held) THEN 'fence'
        WHEN cardinality(:joining::text[]) > 0 AND NOT EXISTS (SELECT FROM conversation) THEN 'conversation'
        ELSE ''
    END AS refusal
), written AS (
    INSERT INTO antiphon.responses AS known ({columns})
    SELECT {values}
    FROM allowed WHERE refusal = ''
    ON CONFLICT (id) DO UPDATE SET {updates}
    WHERE known.owner = excluded.owner
    RETURNING number
), joined AS (
    INSERT INTO antiphon.conversation_items (conversation, id, body)
    SELECT conversation.number, item.id, item.body
    FROM written, conversation, unnest(:joining::text[], :bodies::bytea[]) WITH ORDINALITY AS item (id, body, ordinal)
    ORDER BY item.ordinal
    ON CONFLICT (id, conversation) DO NOTHING
), unlinked AS (
    DELETE FROM antiphon.foreign_items WHERE response = (SELECT number FROM written)
), linked AS (
    INSERT INTO antiphon.foreign_items (owner, item_id, response, position)
    SELECT :owner, item.id, written.number, item.position
    FROM written, unnest(:item_ids::text[], :positions::integer[]) AS item (id, position)
), entered AS (
    INSERT INTO antiphon.response_log ({log_columns}) SELECT {log_values} FROM written WHERE :has_entry::boolean
    ON CONFLICT (id) DO UPDATE SET {log_updates}
)
SELECT CASE WHEN refusal <> '' THEN refusal WHEN EXISTS (SELECT FROM written) THEN '' ELSE 'owner' END FROM allowed

-- name: enqueue
-- `again`: the answer to an earlier attempt was lost, it may have been committed.
WITH taken AS (
    SELECT FROM antiphon.jobs WHERE response_id = :id AND NOT (:again::boolean AND owner = :owner)
), written AS (
    INSERT INTO antiphon.responses AS known ({columns})
    SELECT {values}
    WHERE NOT EXISTS (SELECT FROM taken)
    ON CONFLICT (id) DO UPDATE SET {updates}
    WHERE known.owner = excluded.owner
    RETURNING number
), unlinked AS (
    DELETE FROM antiphon.foreign_items WHERE response = (SELECT number FROM written)
), linked AS (
    INSERT INTO antiphon.foreign_items (owner, item_id, response, position)
    SELECT :owner, item.id, written.number, item.position
    FROM written, unnest(:item_ids::text[], :positions::integer[]) AS item (id, position)
), entered AS (
    INSERT INTO antiphon.response_log ({log_columns}) SELECT {log_values} FROM written WHERE :has_entry::boolean
    ON CONFLICT (id) DO UPDATE SET {log_updates}
), job AS (
    INSERT INTO antiphon.jobs (response_id, owner, request, worker, lease_until, fence, attempts, due)
    SELECT :id, :owner, :request::bytea, :worker::text, clock(:lease_until), :times::integer, :times, clock(:due)
    FROM written
    ON CONFLICT (response_id) DO NOTHING
), logged AS (
    INSERT INTO antiphon.events (response, sequence_number, type, body)
    SELECT written.number, event.number, event.type, event.body
    FROM written, unnest(:numbers::integer[], :types::text[], :bodies::bytea[]) AS event (number, type, body)
    ON CONFLICT (response, sequence_number) DO NOTHING
)
SELECT EXISTS (SELECT FROM written)

-- name: get
SELECT {columns} FROM antiphon.responses WHERE id = :id AND owner = :owner

-- name: history
-- A parent's number is always below its children's: this also keeps a walk from going round.
WITH RECURSIVE chain AS (
    SELECT 0 AS depth, number, owner, previous_response_id, input, body, output_start, output_end
    FROM antiphon.responses WHERE id = :id AND owner = :owner
    UNION ALL
    SELECT depth + 1, parent.number, parent.owner, parent.previous_response_id, parent.input, parent.body,
        parent.output_start, parent.output_end
    FROM chain JOIN antiphon.responses AS parent
        ON parent.id = chain.previous_response_id AND parent.owner = chain.owner AND parent.number < chain.number
)
SELECT input, substr(body, output_start + 1, output_end - output_start) FROM chain ORDER BY depth DESC

-- name: items
SELECT id, input, substr(body, output_start + 1, output_end - output_start)
FROM antiphon.responses WHERE id = ANY(:ids::text[]) AND owner = :owner

-- name: foreign_items
-- Of several items with an id the newest. The responses come by themselves, as many ids may mean the same one.
SELECT DISTINCT ON (item_id) item_id, position, response
FROM antiphon.foreign_items WHERE owner = :owner AND item_id = ANY(:ids::text[])
ORDER BY item_id, generation DESC

-- name: items_at
SELECT number, input, substr(body, output_start + 1, output_end - output_start)
FROM antiphon.responses WHERE number = ANY(:numbers::bigint[])

-- name: model_texts
SELECT model_texts FROM antiphon.responses
WHERE id = ANY(:ids::text[]) AND owner = :owner AND model_texts IS NOT NULL

-- name: find
SELECT number FROM antiphon.responses WHERE id = :id AND owner = :owner

-- name: expired
-- `now` is of the column's type: another one would keep the index from being used.
SELECT number, id FROM antiphon.responses WHERE expires_at <= :now::bigint ORDER BY expires_at LIMIT :limit

-- name: remove_jobs
-- First, as a run that still writes holds its job's row: afterwards nobody adds events.
WITH gone AS (DELETE FROM antiphon.jobs WHERE response_id = ANY(:ids::text[]) RETURNING response_id, followed_until)
SELECT pg_notify('antiphon', 'gone ' || response_id) FROM gone WHERE followed_until > now()

-- name: remove_events
DELETE FROM antiphon.events WHERE response = ANY(:numbers::bigint[])

-- name: remove_foreign_items
DELETE FROM antiphon.foreign_items WHERE response = ANY(:numbers::bigint[])

-- name: remove
WITH gone AS (DELETE FROM antiphon.responses WHERE number = ANY(:numbers::bigint[]) RETURNING 1)
SELECT count(*) FROM gone

-- name: purging
-- Of several servers one purges.
SELECT pg_try_advisory_xact_lock(:key)
