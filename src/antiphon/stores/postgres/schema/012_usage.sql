-- Sums of usage: what was used on a day (days since 1970, UTC) by a key, of a model or a hosted tool.
CREATE TABLE antiphon.usage (
    day bigint NOT NULL,
    owner text NOT NULL,
    key text NOT NULL,
    model text NOT NULL,
    tool text NOT NULL,
    requests bigint NOT NULL,
    failures bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    calls bigint NOT NULL,
    cost double precision NOT NULL,
    PRIMARY KEY (day, owner, key, model, tool)
);
