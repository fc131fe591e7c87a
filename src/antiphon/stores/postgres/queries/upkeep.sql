-- name: census
-- All of these tables are short: what has ended is in none of them.
SELECT
    (SELECT count(*) FROM antiphon.jobs WHERE lease_until IS NULL OR lease_until <= clock(:now)),
    (SELECT count(*) FROM antiphon.jobs WHERE lease_until > clock(:now)),
    coalesce((
        SELECT max(clock(:now) - response.created_at)
        FROM antiphon.jobs AS job JOIN antiphon.responses AS response ON response.id = job.response_id
    ), 0),
    (SELECT count(*) FROM antiphon.deliveries),
    coalesce((SELECT greatest(0, clock(:now) - min(due)) FROM antiphon.deliveries), 0)

-- name: cancel_all
WITH cancelled AS (UPDATE antiphon.jobs SET cancelled = true, lease_until = NULL, worker = NULL RETURNING 1)
SELECT count(*) FROM cancelled

-- name: cancel_batches
WITH cancelled AS (
    UPDATE antiphon.batches SET status = 'cancelling', cancelling_at = extract(epoch FROM now())::bigint, lease_until = NULL, worker = NULL
    WHERE open AND status IN ('validating', 'in_progress') RETURNING 1
)
SELECT count(*) FROM cancelled

-- name: drop_deliveries
WITH dropped AS (DELETE FROM antiphon.deliveries RETURNING 1)
SELECT count(*) FROM dropped
