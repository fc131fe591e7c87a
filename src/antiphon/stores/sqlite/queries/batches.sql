-- name: taken
SELECT 1 FROM batches WHERE id = :id

-- name: count_open
SELECT count(*) FROM batches WHERE owner = :owner AND open = 1

-- name: insert
INSERT INTO batches (id, owner, front, created_at, expires_at, details, status, progress, cancelling_at, keep_until)
VALUES (:id, :owner, :front, :created_at, :expires_at, :details, :status, :progress, :cancelling_at, :keep_until)

-- name: get
SELECT id, owner, front, created_at, expires_at, details, status, progress, cancelling_at, keep_until,
    total, completed, failed, input_tokens, cached_tokens, output_tokens, reasoning_tokens
FROM batches WHERE id = :id AND owner = :owner

-- name: number
SELECT number FROM batches WHERE id = :id AND owner = :owner

-- name: list
SELECT id, owner, front, created_at, expires_at, details, status, progress, cancelling_at, keep_until,
    total, completed, failed, input_tokens, cached_tokens, output_tokens, reasoning_tokens
FROM batches WHERE owner = :owner AND front = :front AND number > :low AND number < :high ORDER BY number LIMIT :limit

-- name: list_descending
SELECT id, owner, front, created_at, expires_at, details, status, progress, cancelling_at, keep_until,
    total, completed, failed, input_tokens, cached_tokens, output_tokens, reasoning_tokens
FROM batches WHERE owner = :owner AND front = :front AND number > :low AND number < :high ORDER BY number DESC LIMIT :limit

-- name: cancel
UPDATE batches SET status = 'cancelling', cancelling_at = :now
WHERE id = :id AND owner = :owner AND status IN ('validating', 'in_progress')

-- name: free
SELECT 1 FROM batches
WHERE open = 1 AND (lease_until IS NULL OR lease_until <= :now) AND owner NOT IN (SELECT value FROM json_each(:without))
LIMIT 1

-- name: claim
-- A worker that stands in a free batch has fallen silent: whoever gives one back takes its name out.
UPDATE batches SET
    crashes = crashes + (worker IS NOT NULL), worker = :worker, lease_until = :lease_until, fence = fence + 1
WHERE number = (
    SELECT number FROM batches
    WHERE open = 1 AND (lease_until IS NULL OR lease_until <= :now) AND owner NOT IN (SELECT value FROM json_each(:without))
    ORDER BY number LIMIT 1
)
RETURNING number, id, owner, fence, crashes

-- name: again
UPDATE batch_lines SET state = 0 WHERE batch = :batch AND state = 1

-- name: not_asked
UPDATE batch_lines SET state = 0, asked = asked - 1 WHERE batch = :batch AND state = 1

-- name: held
SELECT number, status FROM batches WHERE id = :id AND fence = :fence

-- name: heartbeat
UPDATE batches SET lease_until = :lease_until WHERE number = :batch

-- name: release
UPDATE batches SET worker = NULL, lease_until = NULL WHERE number = :batch

-- name: remove_lines
DELETE FROM batch_lines WHERE batch = :batch

-- name: remove_some_lines
DELETE FROM batch_lines WHERE batch = :batch AND line IN (SELECT line FROM batch_lines WHERE batch = :batch LIMIT :limit)

-- name: same_id
SELECT line FROM batch_lines WHERE batch = :batch AND custom_id = :custom_id

-- name: insert_line
INSERT INTO batch_lines (batch, line, custom_id, start, size) VALUES (:batch, :line, :custom_id, :start, :size)

-- name: advance
UPDATE batches SET status = :status, progress = :progress, total = coalesce(:total, total),
    keep_until = coalesce(:keep_until, keep_until)
WHERE number = :batch

-- name: begin_line
UPDATE batch_lines SET state = 1, asked = asked + 1
WHERE batch = :batch AND line = (SELECT line FROM batch_lines WHERE batch = :batch AND state = 0 ORDER BY line LIMIT 1)
RETURNING line, custom_id, start, size, asked

-- name: finish_line
UPDATE batch_lines SET state = 2, failed = :failed, body = :body WHERE batch = :batch AND line = :line AND state < 2
RETURNING 1

-- name: count
UPDATE batches SET completed = completed + 1 - :failed, failed = failed + :failed, input_tokens = input_tokens + :input_tokens,
    cached_tokens = cached_tokens + :cached_tokens, output_tokens = output_tokens + :output_tokens,
    reasoning_tokens = reasoning_tokens + :reasoning_tokens
WHERE number = :batch

-- name: sizes
SELECT coalesce(length(body), 0) FROM batch_lines WHERE batch = :batch AND line > :after ORDER BY line LIMIT :limit

-- name: outcomes
SELECT line, custom_id, state = 2, failed, body FROM batch_lines WHERE batch = :batch AND line > :after ORDER BY line LIMIT :limit

-- name: settle
UPDATE batches SET open = 0, worker = NULL, lease_until = NULL WHERE number = :batch

-- name: expired
SELECT number FROM batches WHERE keep_until <= :now AND open = 0 LIMIT :limit

-- name: remove
DELETE FROM batches WHERE number = :batch
