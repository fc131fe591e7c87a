-- name: value
SELECT value FROM meters WHERE name = :name AND expires_at > :now

-- name: set_value
INSERT INTO meters (name, value, expires_at) VALUES (:name, :value, :expires_at)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at

-- name: taken
SELECT coalesce(sum(taken), 0) FROM slots WHERE name = :name AND until > :now

-- name: take
-- What a holder took before its lease ran out counts again: it is alive.
INSERT INTO slots (name, holder, taken, until) VALUES (:name, :holder, 1, :until)
ON CONFLICT (name, holder) DO UPDATE SET taken = taken + 1, until = excluded.until

-- name: free
UPDATE slots SET taken = taken - 1 WHERE name = :name AND holder = :holder

-- name: free_last
DELETE FROM slots WHERE name = :name AND holder = :holder AND taken <= 0

-- name: renew
UPDATE slots SET until = :until WHERE holder = :holder

-- name: purge_meters
DELETE FROM meters WHERE expires_at <= :now

-- name: purge_slots
DELETE FROM slots WHERE until <= :now
