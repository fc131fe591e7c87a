-- name: owners_turn
-- Batches of one owner are made one after the other, so that they can be counted.
SELECT pg_advisory_xact_lock(hashtextextended('batches ' || :owner, 0))

-- name: count_open
SELECT count(*) FROM antiphon.batches WHERE owner = :owner AND open

-- name: insert
INSERT INTO antiphon.batches (id, owner, front, created_at, expires_at, details, status, progress, cancelling_at, keep_until)
VALUES (:id, :owner, :front, :created_at, :expires_at, :details, :status, :progress, :cancelling_at, :keep_until)
ON CONFLICT (id) DO NOTHING RETURNING 1

-- name: get
SELECT id, owner, front, created_at, expires_at, details, status, progress, cancelling_at, keep_until,
    total, completed, failed, input_tokens, cached_tokens, output_tokens, reasoning_tokens
FROM antiphon.batches WHERE id = :id AND owner = :owner

-- name: number
SELECT number FROM antiphon.batches WHERE id = :id AND owner = :owner

-- name: list
SELECT id, owner, front, created_at, expires_at, details, status, progress, cancelling_at, keep_until,
    total, completed, failed, input_tokens, cached_tokens, output_tokens, reasoning_tokens
FROM antiphon.batches WHERE owner = :owner AND front = :front AND number > :low AND number < :high ORDER BY number LIMIT :limit

-- name: list_descending
SELECT id, owner, front, created_at, expires_at, details, status, progress, cancelling_at, keep_until,
    total, completed, failed, input_tokens, cached_tokens, output_tokens, reasoning_tokens
FROM antiphon.batches WHERE owner = :owner AND front = :front AND number > :low AND number < :high
ORDER BY number DESC LIMIT :limit

-- name: cancel
UPDATE antiphon.batches SET status = 'cancelling', cancelling_at = :now
WHERE id = :id AND owner = :owner AND status IN ('validating', 'in_progress')

-- name: delete
DELETE FROM antiphon.batches WHERE id = :id AND owner = :owner RETURNING 1

-- name: claim
-- A worker that stands in a free batch has fallen silent: whoever gives one back takes its name out.
UPDATE antiphon.batches SET
    crashes = crashes + (worker IS NOT NULL)::integer, worker = :worker, lease_until = clock(:lease_until), fence = fence + 1
WHERE number = (
    SELECT number FROM antiphon.batches
    WHERE open AND (lease_until IS NULL OR lease_until <= clock(:now)) AND owner <> ALL(:without::text[])
    ORDER BY number LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
)
RETURNING number, fence, crashes, id, owner, front, created_at, expires_at, details, status, progress, cancelling_at, keep_until,
    total, completed, failed, input_tokens, cached_tokens, output_tokens, reasoning_tokens

-- name: again
UPDATE antiphon.batch_lines SET state = 0 WHERE batch = :batch AND state = 1

-- name: not_asked
UPDATE antiphon.batch_lines SET state = 0, asked = asked - 1 WHERE batch = :batch AND state = 1

-- name: held
SELECT number, status FROM antiphon.batches WHERE id = :id AND fence = :fence FOR NO KEY UPDATE

-- name: heartbeat
UPDATE antiphon.batches SET lease_until = clock(:lease_until) WHERE id = :id AND fence = :fence RETURNING status

-- name: release
UPDATE antiphon.batches SET worker = NULL, lease_until = NULL WHERE number = :batch

-- name: remove_some_lines
WITH gone AS (
    DELETE FROM antiphon.batch_lines WHERE batch = :batch AND line = ANY (ARRAY(
        SELECT line FROM antiphon.batch_lines WHERE batch = :batch ORDER BY line LIMIT :limit
    )) RETURNING 1
)
SELECT count(*) FROM gone

-- name: insert_lines
INSERT INTO antiphon.batch_lines (batch, line, custom_id, start, size)
SELECT :batch::bigint, line, custom_id, start, size
FROM unnest(:lines::bigint[], :custom_ids::text[], :starts::bigint[], :sizes::bigint[]) AS new (line, custom_id, start, size)
ORDER BY line
ON CONFLICT DO NOTHING

-- name: same_ids
SELECT custom_id, line FROM antiphon.batch_lines WHERE batch = :batch::bigint AND custom_id = ANY (:custom_ids::text[])

-- name: advance
UPDATE antiphon.batches SET status = :status, progress = :progress, total = coalesce(:total::bigint, total),
    keep_until = coalesce(:keep_until::bigint, keep_until)
WHERE number = :batch

-- name: begin_line
UPDATE antiphon.batch_lines SET state = 1, asked = asked + 1
WHERE batch = :batch AND line = (
    SELECT line FROM antiphon.batch_lines WHERE batch = :batch AND state = 0 ORDER BY line LIMIT 1
)
RETURNING line, custom_id, start, size, asked

-- name: finish_line
WITH done AS (
    UPDATE antiphon.batch_lines SET state = 2, failed = :failed::boolean, body = :body
    WHERE batch = :batch::bigint AND line = :line AND state < 2 RETURNING 1
)
UPDATE antiphon.batches SET completed = completed + (NOT :failed::boolean)::integer, failed = failed + (:failed::boolean)::integer,
    input_tokens = input_tokens + :input_tokens, cached_tokens = cached_tokens + :cached_tokens,
    output_tokens = output_tokens + :output_tokens, reasoning_tokens = reasoning_tokens + :reasoning_tokens
WHERE number = :batch::bigint AND EXISTS (SELECT FROM done)

-- name: sizes
SELECT coalesce(octet_length(body), 0)
FROM antiphon.batch_lines AS line JOIN antiphon.batches AS batch ON batch.number = line.batch
WHERE batch.id = :id AND batch.fence = :fence AND line.line > :after ORDER BY line.line LIMIT :limit

-- name: outcomes
SELECT line.line, custom_id, line.state = 2, line.failed, body
FROM antiphon.batch_lines AS line JOIN antiphon.batches AS batch ON batch.number = line.batch
WHERE batch.id = :id AND batch.fence = :fence AND line.line > :after ORDER BY line.line LIMIT :limit

-- name: settle
UPDATE antiphon.batches SET open = false, worker = NULL, lease_until = NULL WHERE number = :batch

-- name: purge
WITH gone AS (
    DELETE FROM antiphon.batches WHERE number = ANY (ARRAY(
        SELECT number FROM antiphon.batches WHERE keep_until <= :now::bigint AND NOT open ORDER BY keep_until LIMIT :limit
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone
