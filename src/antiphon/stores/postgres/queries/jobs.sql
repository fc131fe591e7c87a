-- name: claim
-- A worker that stands in a free job has fallen silent: whoever gives a job back takes its name out.
UPDATE antiphon.jobs SET
    crashes = crashes + (worker IS NOT NULL)::integer, worker = :worker, lease_until = clock(:lease_until), fence = fence + 1,
    attempts = attempts + 1
WHERE number = (
    SELECT number FROM antiphon.jobs
    WHERE (lease_until IS NULL OR lease_until <= clock(:now)) AND (:id::text IS NULL OR response_id = :id)
        AND NOT (:clean::boolean AND (worker IS NOT NULL OR crashes > 0))
        AND owner <> ALL(:without::text[])
        AND (due <= clock(:now) OR NOT (:due::boolean OR owner = ANY(:busy::text[])))
    ORDER BY due, number LIMIT 1
    FOR NO KEY UPDATE SKIP LOCKED
)
RETURNING response_id, owner, request, fence, attempts, cancelled, crashes

-- name: heartbeat
-- Always one row: NULL where the lease was lost.
WITH beat AS (
    UPDATE antiphon.jobs SET lease_until = clock(:lease_until) WHERE response_id = :response_id AND fence = :fence
    RETURNING cancelled
)
SELECT (SELECT cancelled FROM beat)

-- name: release
UPDATE antiphon.jobs SET worker = NULL, lease_until = NULL WHERE response_id = :response_id AND fence = :fence
RETURNING 1

-- name: finish
WITH gone AS (
    DELETE FROM antiphon.jobs WHERE response_id = :response_id AND fence = :fence RETURNING response_id
), kept AS (
    INSERT INTO antiphon.event_expiry (response, expires_at)
    SELECT response.number, :events_until::bigint
    FROM gone JOIN antiphon.responses AS response ON response.id = gone.response_id
    WHERE :events_until::bigint IS NOT NULL
    ON CONFLICT (response) DO UPDATE SET expires_at = excluded.expires_at
)
SELECT 1 FROM gone

-- name: expired_events
-- Several servers may purge: each takes other rows.
WITH gone AS (
    DELETE FROM antiphon.event_expiry WHERE response = ANY(ARRAY(
        SELECT response FROM antiphon.event_expiry WHERE expires_at <= :now::bigint
        ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ))
    RETURNING response
), removed AS (
    DELETE FROM antiphon.events WHERE response = ANY(ARRAY(SELECT response FROM gone))
)
SELECT count(*) FROM gone

-- name: known
SELECT 1 FROM antiphon.jobs WHERE response_id = :response_id

-- name: cancel
UPDATE antiphon.jobs SET cancelled = true WHERE response_id = :response_id AND owner = :owner
RETURNING pg_notify('antiphon', 'cancel ' || response_id)

-- name: follow
-- It waits for an append that holds the row: every append after this one tells of itself.
UPDATE antiphon.jobs SET followed_until = now() + make_interval(secs => :seconds)
WHERE response_id = :response_id
RETURNING 1

-- name: append
-- The job's row is locked, and read as it is then: nobody claims the job, or begins to follow it, in the meantime.
-- `again`: the answer to an earlier attempt was lost, it may have been committed.
WITH held AS (
    SELECT number, followed_until > now() AS followed FROM antiphon.jobs
    WHERE response_id = :response_id AND fence = :fence
    FOR NO KEY UPDATE
), response AS (
    SELECT number FROM antiphon.responses WHERE id = :response_id AND EXISTS (SELECT FROM held)
), allowed AS (
    SELECT CASE
        WHEN NOT EXISTS (SELECT FROM held) THEN 'fence'
        WHEN cardinality(:numbers::integer[]) > 0 AND NOT :again::boolean AND (:numbers::integer[])[1] <= (
            SELECT max(sequence_number) FROM antiphon.events WHERE response = (SELECT number FROM response)
        ) THEN 'order'
        ELSE ''
    END AS refusal
), logged AS (
    INSERT INTO antiphon.events (response, sequence_number, type, body)
    SELECT response.number, event.number, event.type, event.body
    FROM response, allowed, unnest(:numbers::integer[], :types::text[], :bodies::bytea[]) AS event (number, type, body)
    WHERE refusal = ''
    ON CONFLICT (response, sequence_number) DO NOTHING
), saved AS (
    INSERT INTO antiphon.checkpoints (job, body)
    SELECT held.number, :checkpoint::bytea FROM held, allowed
    WHERE refusal = '' AND :checkpoint::bytea IS NOT NULL
    ON CONFLICT (job) DO UPDATE SET body = excluded.body
), told AS MATERIALIZED (
    SELECT pg_notify('antiphon', 'events ' || :response_id || ' ' || (:numbers::integer[])[cardinality(:numbers)])
    FROM held, allowed WHERE followed AND refusal = '' AND cardinality(:numbers) > 0
)
SELECT refusal, (SELECT count(*) FROM told) FROM allowed

-- name: events
SELECT sequence_number, type, body FROM antiphon.events
WHERE response = (SELECT number FROM antiphon.responses WHERE id = :response_id AND owner = :owner)
    AND sequence_number > :after
ORDER BY sequence_number LIMIT :limit

-- name: checkpoint
SELECT checkpoint.body FROM antiphon.jobs AS job JOIN antiphon.checkpoints AS checkpoint ON checkpoint.job = job.number
WHERE job.response_id = :response_id
