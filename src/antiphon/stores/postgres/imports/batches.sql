-- name: batches
INSERT INTO antiphon.batches (
    id, owner, front, created_at, expires_at, status, cancelling_at, keep_until, total, completed, failed,
    input_tokens, cached_tokens, output_tokens, reasoning_tokens, open, crashes, details, progress
) VALUES (
    :id, :owner, :front, :created_at, :expires_at, :status, :cancelling_at, :keep_until, :total, :completed, :failed,
    :input_tokens, :cached_tokens, :output_tokens, :reasoning_tokens, :open::integer <> 0, :crashes, :details, :progress
) ON CONFLICT (id) DO NOTHING

-- name: batch_lines
-- Lines that were asked when the copy was made are asked again: their answers did not come.
INSERT INTO antiphon.batch_lines (batch, line, custom_id, start, size, state, asked, failed, body)
SELECT number, :line::bigint, :custom_id::text, :start::bigint, :size::bigint, CASE :state::integer WHEN 2 THEN 2 ELSE 0 END,
    :asked::integer, :failed::integer <> 0, :body::bytea
FROM antiphon.batches WHERE id = :batch_id
ON CONFLICT DO NOTHING
