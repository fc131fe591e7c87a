-- name: {filters}
(:model IS NULL OR model = :model)
    AND (:status IS NULL OR status = :status)
    AND (:conversation IS NULL OR conversation_id = :conversation)
    AND (:background IS NULL OR background = :background)
    AND created_at >= :since AND created_at < :until
    AND instr(tools, :tool) > 0
    AND instr(folded, :worda) > 0 AND instr(folded, :wordb) > 0 AND instr(folded, :wordc) > 0
    AND instr(folded, :wordd) > 0 AND instr(folded, :worde) > 0 AND instr(folded, :wordf) > 0
    AND (:pairs = '[]' OR NOT EXISTS (
        SELECT 1 FROM json_each(:pairs) WHERE json_each.value NOT IN (SELECT value FROM json_each(pairs))
    ))

-- name: {place}
:sign * CASE :sort
    WHEN 'created_at' THEN created_at
    WHEN 'cost' THEN cost
    WHEN 'total_tokens' THEN input_tokens + output_tokens
    ELSE coalesce(duration, 0)
END AS place

-- name: put
INSERT INTO response_log ({log_columns}) VALUES ({log_values})
ON CONFLICT (id) DO UPDATE SET {log_updates}

-- name: page
-- The newest first, along an index; of as many as are `scanned` those that are wanted.
SELECT {log_shown} FROM (
    SELECT * FROM response_log WHERE owner = :owner AND id < :after ORDER BY id DESC LIMIT :scanned
) WHERE {filters} LIMIT :limit

-- name: page_of_all
SELECT {log_shown} FROM (
    SELECT * FROM response_log WHERE id < :after ORDER BY id DESC LIMIT :scanned
) WHERE {filters} LIMIT :limit

-- name: reach
-- The last of those that a page has looked at; none where it has come to the end.
SELECT id FROM response_log WHERE owner = :owner AND id < :after ORDER BY id DESC LIMIT 1 OFFSET :scanned - 1

-- name: reach_of_all
SELECT id FROM response_log WHERE id < :after ORDER BY id DESC LIMIT 1 OFFSET :scanned - 1

-- name: sorted
-- Those of a window, in another order.
SELECT {log_shown} FROM (
    SELECT *, {place} FROM response_log WHERE owner = :owner ORDER BY id DESC LIMIT :window
) WHERE (place, id) > (:place, :after) AND {filters} ORDER BY place, id LIMIT :limit

-- name: sorted_of_all
SELECT {log_shown} FROM (
    SELECT *, {place} FROM response_log WHERE id < '~' ORDER BY id DESC LIMIT :window
) WHERE (place, id) > (:place, :after) AND {filters} ORDER BY place, id LIMIT :limit

-- name: get
SELECT {log_shown} FROM response_log WHERE id = :id

-- name: unlogged
-- Responses without an entry, the newest first: an older version has stored them.
SELECT id, owner FROM responses
WHERE id < :before AND id >= :since AND NOT EXISTS (SELECT 1 FROM response_log AS entry WHERE entry.id = responses.id)
ORDER BY id DESC LIMIT :limit

-- name: outdated
-- Responses that an older version has ended.
SELECT entry.id, entry.owner FROM response_log AS entry JOIN responses ON responses.id = entry.id
WHERE entry.status IN ('queued', 'in_progress') AND responses.status <> entry.status LIMIT :limit

-- name: fill
INSERT INTO response_log ({log_columns}) SELECT {log_values}
WHERE EXISTS (SELECT 1 FROM responses WHERE id = :id AND owner = :owner AND status = :status)
ON CONFLICT (id) DO UPDATE SET {log_updates} WHERE response_log.status <> :status
