-- name: add
INSERT INTO antiphon.audit (id, at, action, actor, owner, subject, address, request_id, details)
SELECT * FROM unnest(
    :id::text[],
    :at::double precision[],
    :action::text[],
    :actor::text[],
    :owner::text[],
    :subject::text[],
    :address::text[],
    :request_id::text[],
    :details::bytea[]
)
ON CONFLICT (id) DO NOTHING

-- name: number
SELECT number FROM antiphon.audit WHERE id = :id

-- name: list
SELECT id, at, action, actor, owner, subject, address, request_id, details FROM antiphon.audit
WHERE number < :number AND at BETWEEN :first::double precision AND :last::double precision
    AND (:action::text IS NULL OR action = :action::text) AND (:actor::text IS NULL OR actor = :actor::text)
    AND (:subject::text IS NULL OR subject = :subject::text)
ORDER BY number DESC LIMIT :limit

-- name: drop
WITH gone AS (
    DELETE FROM antiphon.audit WHERE number = ANY (ARRAY(
        SELECT number FROM antiphon.audit WHERE at < :before::double precision ORDER BY at LIMIT :limit
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone
