-- name: event_batches
INSERT INTO antiphon.events (response, sequence_number, type, body)
SELECT number, :sequence_number::integer, :type::text, :body::bytea FROM antiphon.responses WHERE id = :id
ON CONFLICT (response, sequence_number) DO NOTHING

-- name: jobs
-- Last of all: a server that runs already may take it up at once.
WITH job AS (
    INSERT INTO antiphon.jobs (response_id, owner, worker, lease_until, fence, attempts, crashes, cancelled, request, due)
    VALUES (:response_id, :owner, :worker, :lease_until, :fence, :attempts, :crashes, :cancelled, :request, :due)
    ON CONFLICT (response_id) DO NOTHING RETURNING number
)
INSERT INTO antiphon.checkpoints (job, body)
SELECT number, :checkpoint::bytea FROM job WHERE :checkpoint::bytea IS NOT NULL
