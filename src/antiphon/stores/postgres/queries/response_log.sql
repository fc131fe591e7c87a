-- name: {filters}
(:model::text IS NULL OR model = :model::text)
    AND (:status::text IS NULL OR status = :status::text)
    AND (:conversation::text IS NULL OR conversation_id = :conversation::text)
    AND (:background::boolean IS NULL OR background = :background::boolean)
    AND created_at >= :since::bigint AND created_at < :until::bigint
    AND position(:tool::text IN tools) > 0
    AND position(:worda::text IN folded) > 0 AND position(:wordb::text IN folded) > 0
    AND position(:wordc::text IN folded) > 0 AND position(:wordd::text IN folded) > 0
    AND position(:worde::text IN folded) > 0 AND position(:wordf::text IN folded) > 0
    AND pairs @> :pairs::text[]

-- name: {place}
:sign::double precision * CASE :sort::text
    WHEN 'created_at' THEN created_at
    WHEN 'cost' THEN cost
    WHEN 'total_tokens' THEN input_tokens + output_tokens
    ELSE coalesce(duration, 0)
END AS place

-- name: page
-- The newest first, along an index; of as many as are `scanned` those that are wanted.
SELECT {log_shown} FROM (
    SELECT * FROM antiphon.response_log WHERE owner = :owner AND id < :after::text ORDER BY id DESC LIMIT :scanned
) AS looked_at WHERE {filters} LIMIT :limit

-- name: page_of_all
SELECT {log_shown} FROM (
    SELECT * FROM antiphon.response_log WHERE id < :after::text ORDER BY id DESC LIMIT :scanned
) AS looked_at WHERE {filters} LIMIT :limit

-- name: reach
-- The last of those that a page has looked at; none where it has come to the end.
SELECT id FROM antiphon.response_log WHERE owner = :owner AND id < :after::text
ORDER BY id DESC LIMIT 1 OFFSET :scanned::bigint - 1

-- name: reach_of_all
SELECT id FROM antiphon.response_log WHERE id < :after::text ORDER BY id DESC LIMIT 1 OFFSET :scanned::bigint - 1

-- name: sorted
-- Those of a window, in another order.
SELECT {log_shown} FROM (
    SELECT *, {place} FROM antiphon.response_log WHERE owner = :owner ORDER BY id DESC LIMIT :window
) AS looked_at WHERE (place, id) > (:place::double precision, :after::text) AND {filters} ORDER BY place, id LIMIT :limit

-- name: sorted_of_all
SELECT {log_shown} FROM (
    SELECT *, {place} FROM antiphon.response_log WHERE id < '~' ORDER BY id DESC LIMIT :window
) AS looked_at WHERE (place, id) > (:place::double precision, :after::text) AND {filters} ORDER BY place, id LIMIT :limit

-- name: get
SELECT {log_shown} FROM antiphon.response_log WHERE id = :id

-- name: unlogged
-- Responses without an entry, the newest first: an older version has stored them.
SELECT id, owner FROM antiphon.responses
WHERE id < :before::text AND id >= :since::text
    AND NOT EXISTS (SELECT FROM antiphon.response_log AS entry WHERE entry.id = responses.id)
ORDER BY id DESC LIMIT :limit

-- name: outdated
-- Responses that an older version has ended.
SELECT entry.id, entry.owner FROM antiphon.response_log AS entry JOIN antiphon.responses ON responses.id = entry.id
WHERE entry.status IN ('queued', 'in_progress') AND responses.status <> entry.status LIMIT :limit

-- name: fill
INSERT INTO antiphon.response_log AS known ({log_columns}) SELECT {log_values}
WHERE EXISTS (SELECT FROM antiphon.responses WHERE id = :id AND owner = :owner AND status = :status)
ON CONFLICT (id) DO UPDATE SET {log_updates} WHERE known.status <> excluded.status
