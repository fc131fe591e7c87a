-- name: add
INSERT INTO antiphon.usage AS known (day, owner, key, model, tool, requests, failures, input_tokens, cached_tokens, output_tokens, reasoning_tokens, calls, cost)
SELECT * FROM unnest(
    :day::bigint[],
    :owner::text[],
    :key::text[],
    :model::text[],
    :tool::text[],
    :requests::bigint[],
    :failures::bigint[],
    :input_tokens::bigint[],
    :cached_tokens::bigint[],
    :output_tokens::bigint[],
    :reasoning_tokens::bigint[],
    :calls::bigint[],
    :cost::double precision[]
)
ON CONFLICT (day, owner, key, model, tool) DO UPDATE SET
    requests = known.requests + excluded.requests,
    failures = known.failures + excluded.failures,
    input_tokens = known.input_tokens + excluded.input_tokens,
    cached_tokens = known.cached_tokens + excluded.cached_tokens,
    output_tokens = known.output_tokens + excluded.output_tokens,
    reasoning_tokens = known.reasoning_tokens + excluded.reasoning_tokens,
    calls = known.calls + excluded.calls,
    cost = known.cost + excluded.cost

-- name: read
SELECT CASE WHEN :by_day::boolean THEN day ELSE 0 END, CASE WHEN :by_owner::boolean THEN owner ELSE '' END, CASE WHEN :by_key::boolean THEN key ELSE '' END, CASE WHEN :by_model::boolean THEN model ELSE '' END, CASE WHEN :by_tool::boolean THEN tool ELSE '' END,
    sum(requests)::bigint, sum(failures)::bigint, sum(input_tokens)::bigint, sum(cached_tokens)::bigint,
    sum(output_tokens)::bigint, sum(reasoning_tokens)::bigint, sum(calls)::bigint, sum(cost)
FROM antiphon.usage
WHERE day BETWEEN :first::bigint AND :last::bigint
    AND (:owner::text IS NULL OR owner = :owner::text) AND (:key::text IS NULL OR key = :key::text)
    AND (:model::text IS NULL OR model = :model::text)
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 2, 3, 4, 5
LIMIT :limit

-- name: drop
DELETE FROM antiphon.usage WHERE day < :before::bigint
