-- name: census
-- All of these tables are short: what has ended is in none of them.
SELECT
    (SELECT count(*) FROM jobs WHERE lease_until IS NULL OR lease_until <= :now),
    (SELECT count(*) FROM jobs WHERE lease_until > :now),
    coalesce((
        SELECT max(:now - responses.created_at) FROM jobs JOIN responses ON responses.id = jobs.response_id
    ), 0.0),
    (SELECT count(*) FROM deliveries),
    coalesce((SELECT max(0.0, :now - min(due)) FROM deliveries), 0.0)

-- name: cancel_all
UPDATE jobs SET cancelled = 1, lease_until = NULL, worker = NULL

-- name: cancel_batches
UPDATE batches SET status = 'cancelling', cancelling_at = CAST(strftime('%s', 'now') AS INTEGER), lease_until = NULL, worker = NULL
WHERE open = 1 AND status IN ('validating', 'in_progress')

-- name: drop_deliveries
DELETE FROM deliveries
