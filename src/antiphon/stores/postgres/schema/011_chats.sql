-- Stored chat completions. `pairs` are the metadata's, each as a JSON text.
CREATE TABLE antiphon.chats (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    owner text NOT NULL,
    model text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    pairs text[] NOT NULL,
    metadata bytea NOT NULL,
    body bytea NOT NULL,
    messages bytea NOT NULL
);

CREATE INDEX chats_by_owner ON antiphon.chats (owner, number);
CREATE INDEX chats_by_expiry ON antiphon.chats (expires_at) WHERE expires_at IS NOT NULL;
