-- name: insert
INSERT INTO jobs (response_id, owner) VALUES (:response_id, :owner) RETURNING number

-- name: insert_request
INSERT INTO job_requests VALUES (:job, :request)

-- name: waiting
-- Read before `claim`, so that a poll in vain takes no write lock.
SELECT 1 FROM jobs
WHERE (lease_until IS NULL OR lease_until <= :now) AND (:id IS NULL OR response_id = :id) LIMIT 1

-- name: claim
UPDATE jobs SET worker = :worker, lease_until = :lease_until, fence = fence + 1, attempts = attempts + 1
WHERE number = (
    SELECT number FROM jobs
    WHERE (lease_until IS NULL OR lease_until <= :now) AND (:id IS NULL OR response_id = :id)
    ORDER BY number LIMIT 1
)
RETURNING number, response_id, owner, fence, attempts, cancelled

-- name: request
SELECT request FROM job_requests WHERE job = :job

-- name: held
SELECT number FROM jobs WHERE response_id = :response_id AND fence = :fence

-- name: heartbeat
UPDATE jobs SET lease_until = :lease_until WHERE response_id = :response_id AND fence = :fence RETURNING cancelled

-- name: cancel
UPDATE jobs SET cancelled = 1 WHERE response_id = :response_id AND owner = :owner RETURNING 1

-- name: number
SELECT number FROM jobs WHERE response_id = :response_id

-- name: remove
DELETE FROM jobs WHERE number = :job

-- name: remove_request
DELETE FROM job_requests WHERE job = :job

-- name: remove_checkpoint
DELETE FROM checkpoints WHERE job = :job

-- name: save_checkpoint
INSERT INTO checkpoints VALUES (:job, :body) ON CONFLICT (job) DO UPDATE SET body = excluded.body

-- name: checkpoint
SELECT body FROM checkpoints WHERE job = (SELECT number FROM jobs WHERE response_id = :response_id)

-- name: response
SELECT place FROM responses WHERE id = :response_id

-- name: last_event
SELECT coalesce(max(sequence_number), -1) FROM events WHERE response = :response

-- name: log_end
SELECT place, (SELECT coalesce(max(sequence_number), -1) FROM events WHERE response = place)
FROM responses JOIN jobs ON jobs.response_id = responses.id
WHERE responses.id = :response_id AND jobs.fence = :fence

-- name: insert_event
INSERT INTO events VALUES (?, ?, ?, ?)

-- name: events
SELECT sequence_number, type, body FROM events
WHERE response = (SELECT place FROM responses WHERE id = :response_id AND owner = :owner) AND sequence_number > :after
ORDER BY sequence_number LIMIT :limit

-- name: remove_events
DELETE FROM events WHERE response = :response
