-- name: lock
-- Whoever reads these names' rows to write them waits here. Always in the same order, so that no two wait for each
-- other. A crash of the database may take the last moment's charges with it: nobody waits for the disk.
SELECT set_config('synchronous_commit', 'off', true), count(pg_advisory_xact_lock(:space, key)), clock(0)
FROM (SELECT DISTINCT hashtext(name) AS key FROM unnest(:names::text[]) AS name ORDER BY key) AS keys

-- name: values
SELECT name, value, expires_at FROM antiphon.meters WHERE name = ANY(:names::text[]) AND expires_at > :now

-- name: set_values
INSERT INTO antiphon.meters (name, value, expires_at)
SELECT * FROM unnest(:names::text[], :meters::double precision[], :expiries::double precision[])
ON CONFLICT (name) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at

-- name: take
-- What a holder took before its lease ran out counts again: it is alive.
INSERT INTO antiphon.slots AS known (name, holder, taken, until)
SELECT :name, :holder, 1, clock(:until)
WHERE (SELECT coalesce(sum(taken), 0) FROM antiphon.slots WHERE name = :name AND until > clock(:now)) < :most::integer
ON CONFLICT (name, holder) DO UPDATE SET taken = known.taken + 1, until = excluded.until
RETURNING 1

-- name: free
UPDATE antiphon.slots SET taken = greatest(taken - 1, 0) WHERE name = :name AND holder = :holder

-- name: renew
UPDATE antiphon.slots SET until = clock(:until) WHERE holder = :holder

-- name: purge_meters
DELETE FROM antiphon.meters WHERE expires_at <= clock(:now)

-- name: purge_slots
DELETE FROM antiphon.slots WHERE until <= clock(:now) OR taken <= 0
