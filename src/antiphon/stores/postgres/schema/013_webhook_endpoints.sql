-- Webhook endpoints of owners. Secrets are sealed; the one before it signs, too, until `old_until`.
CREATE TABLE antiphon.webhook_endpoints (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    owner text NOT NULL,
    name text NOT NULL,
    url text NOT NULL,
    event_types bytea NOT NULL,
    secret text NOT NULL,
    hint text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    old_secret text NOT NULL,
    old_until bigint NOT NULL
);

CREATE INDEX webhook_endpoints_by_owner ON antiphon.webhook_endpoints (owner, number);
