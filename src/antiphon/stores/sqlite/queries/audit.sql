-- name: add
INSERT INTO audit (id, at, action, actor, owner, subject, address, request_id, details)
VALUES (:id, :at, :action, :actor, :owner, :subject, :address, :request_id, :details)

-- name: number
SELECT number FROM audit WHERE id = :id

-- name: list
SELECT id, at, action, actor, owner, subject, address, request_id, details FROM audit
WHERE number < :number AND at BETWEEN :first AND :last AND (:action IS NULL OR action = :action)
    AND (:actor IS NULL OR actor = :actor) AND (:subject IS NULL OR subject = :subject)
ORDER BY number DESC LIMIT :limit

-- name: drop
DELETE FROM audit WHERE number IN (SELECT number FROM audit WHERE at < :before ORDER BY at LIMIT :limit)
