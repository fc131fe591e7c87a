-- name: secret
-- The row is touched so that it is returned whoever was first.
INSERT INTO antiphon.secrets AS known (name, secret) VALUES (:name, :proposal)
ON CONFLICT (name) DO UPDATE SET secret = known.secret
RETURNING secret

-- name: put
INSERT INTO antiphon.keys (id, owner, digest, created_at, body)
VALUES (:id, :owner, :digest, :created_at, :body)
ON CONFLICT (id) DO UPDATE SET
    owner = excluded.owner, digest = excluded.digest, created_at = excluded.created_at, body = excluded.body

-- name: find
SELECT id, owner, digest, created_at, body, last_used_at FROM antiphon.keys WHERE digest = :digest

-- name: all
SELECT id, owner, digest, created_at, body, last_used_at FROM antiphon.keys ORDER BY created_at, id COLLATE "C"

-- name: get
SELECT id, owner, digest, created_at, body, last_used_at FROM antiphon.keys WHERE id = :id

-- name: page
SELECT id, owner, digest, created_at, body, last_used_at FROM antiphon.keys
WHERE (created_at, id COLLATE "C") < (:time::double precision, :id::text) AND (:owner::text IS NULL OR owner = :owner::text)
ORDER BY created_at DESC, id COLLATE "C" DESC LIMIT :limit

-- name: count
SELECT count(*) FROM (SELECT 1 FROM antiphon.keys LIMIT :most) AS found

-- name: change
-- `again`: the answer to an earlier attempt was lost, it may have been committed.
UPDATE antiphon.keys SET body = :body
WHERE id = :id AND (body = :before OR (:again::boolean AND body = :body)) RETURNING 1

-- name: used
UPDATE antiphon.keys AS known SET last_used_at = greatest(known.last_used_at, use.time)
FROM unnest(:ids::text[], :times::double precision[]) AS use (id, time)
WHERE known.id = use.id
