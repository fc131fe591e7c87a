-- name: audit
INSERT INTO antiphon.audit (id, at, action, actor, owner, subject, address, request_id, details)
VALUES (:id, :at, :action, :actor, :owner, :subject, :address, :request_id, :details)
ON CONFLICT (id) DO NOTHING
