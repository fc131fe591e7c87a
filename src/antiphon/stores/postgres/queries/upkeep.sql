-- name: census
-- All of these tables are short: what has ended is in none of them.
SELECT
    (SELECT count(*) FROM antiphon.jobs WHERE lease_until IS NULL OR lease_until <= :now::double precision),
    (SELECT count(*) FROM antiphon.jobs WHERE lease_until > :now::double precision),
    coalesce((
        SELECT max(:now::double precision - response.created_at)
        FROM antiphon.jobs AS job JOIN antiphon.responses AS response ON response.id = job.response_id
    ), 0),
    (SELECT count(*) FROM antiphon.deliveries),
    coalesce((SELECT greatest(0, :now::double precision - min(due)) FROM antiphon.deliveries), 0)
