-- name: insert
INSERT INTO jobs (response_id, owner, due) VALUES (:response_id, :owner, :due) RETURNING number

-- name: insert_request
INSERT INTO job_requests (job, request) VALUES (:job, :request)

-- name: waiting
-- Read before `claim`, so that a poll in vain takes no write lock.
SELECT 1 FROM jobs
WHERE (lease_until IS NULL OR lease_until <= :now) AND (:id IS NULL OR response_id = :id)
    AND NOT (:clean AND (worker IS NOT NULL OR crashes > 0))
    AND owner NOT IN (SELECT value FROM json_each(:without))
    AND (due <= :now OR NOT (:due OR owner IN (SELECT value FROM json_each(:busy))))
LIMIT 1

-- name: claim
-- A worker that stands in a free job has fallen silent: whoever gives a job back takes its name out.
UPDATE jobs SET
    crashes = crashes + (worker IS NOT NULL), worker = :worker, lease_until = :lease_until, fence = fence + 1,
    attempts = attempts + 1
WHERE number = (
    SELECT number FROM jobs
    WHERE (lease_until IS NULL OR lease_until <= :now) AND (:id IS NULL OR response_id = :id)
        AND NOT (:clean AND (worker IS NOT NULL OR crashes > 0))
        AND owner NOT IN (SELECT value FROM json_each(:without))
        AND (due <= :now OR NOT (:due OR owner IN (SELECT value FROM json_each(:busy))))
    ORDER BY due > :now, worker IS NOT NULL OR crashes > 0, due, number LIMIT 1
)
RETURNING number, response_id, owner, fence, attempts, cancelled, crashes

-- name: request
SELECT request FROM job_requests WHERE job = :job

-- name: held
SELECT number FROM jobs WHERE response_id = :response_id AND fence = :fence

-- name: heartbeat
UPDATE jobs SET lease_until = :lease_until WHERE response_id = :response_id AND fence = :fence RETURNING cancelled

-- name: release
UPDATE jobs SET worker = NULL, lease_until = NULL WHERE response_id = :response_id AND fence = :fence RETURNING 1

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
INSERT INTO checkpoints (job, body) VALUES (:job, :body) ON CONFLICT (job) DO UPDATE SET body = excluded.body

-- name: checkpoint
SELECT body FROM checkpoints WHERE job = (SELECT number FROM jobs WHERE response_id = :response_id)

-- name: log_end
SELECT
    jobs.number, responses.rowid,
    (SELECT coalesce(max(last), -1) FROM event_batches WHERE response = responses.rowid)
FROM responses JOIN jobs ON jobs.response_id = responses.id
WHERE responses.id = :response_id AND jobs.fence = :fence

-- name: insert_events
INSERT INTO event_batches (response, last, events) VALUES (:response, :last, :events)

-- name: events
SELECT events FROM event_batches
WHERE response = (SELECT rowid FROM responses WHERE id = :response_id AND owner = :owner) AND last > :after
ORDER BY last

-- name: keep_events_until
INSERT INTO event_expiry (response, expires_at) SELECT rowid, :expires_at FROM responses WHERE id = :response_id
ON CONFLICT (response) DO UPDATE SET expires_at = excluded.expires_at

-- name: expired_events
SELECT response FROM event_expiry WHERE expires_at <= :now LIMIT :limit

-- name: forget_expiry
DELETE FROM event_expiry WHERE response = :response

-- name: remove_events
DELETE FROM event_batches WHERE response = :response
