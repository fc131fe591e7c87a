-- name: usage
INSERT INTO antiphon.usage (day, owner, key, model, tool, requests, failures, input_tokens,
    cached_tokens, output_tokens, reasoning_tokens, calls, cost)
VALUES (:day, :owner, :key, :model, :tool, :requests, :failures, :input_tokens,
    :cached_tokens, :output_tokens, :reasoning_tokens, :calls, :cost)
ON CONFLICT DO NOTHING
