-- Sums of usage: what was used on a day by a key, of a model or a hosted tool.

-- name: add
INSERT INTO usage (day, owner, key, model, tool, requests, failures, input_tokens, cached_tokens, output_tokens,
    reasoning_tokens, calls, cost)
VALUES (:day, :owner, :key, :model, :tool, :requests, :failures, :input_tokens, :cached_tokens, :output_tokens,
    :reasoning_tokens, :calls, :cost)
ON CONFLICT (day, owner, key, model, tool) DO UPDATE SET
    requests = requests + excluded.requests,
    failures = failures + excluded.failures,
    input_tokens = input_tokens + excluded.input_tokens,
    cached_tokens = cached_tokens + excluded.cached_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
    calls = calls + excluded.calls,
    cost = cost + excluded.cost

-- name: read
SELECT CASE WHEN :by_day THEN day ELSE 0 END AS by_day, CASE WHEN :by_owner THEN owner ELSE '' END AS by_owner, CASE WHEN :by_key THEN key ELSE '' END AS by_key, CASE WHEN :by_model THEN model ELSE '' END AS by_model, CASE WHEN :by_tool THEN tool ELSE '' END AS by_tool,
    sum(requests), sum(failures), sum(input_tokens), sum(cached_tokens), sum(output_tokens), sum(reasoning_tokens),
    sum(calls), sum(cost)
FROM usage
WHERE day BETWEEN :first AND :last
    AND (:owner IS NULL OR owner = :owner) AND (:key IS NULL OR key = :key) AND (:model IS NULL OR model = :model)
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 2, 3, 4, 5
LIMIT :limit

-- name: drop
DELETE FROM usage WHERE day < :before
