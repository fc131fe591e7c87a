-- Containers of the code interpreter: what of them outlives their processes. `holder` has one in use until `held_until`; `calls`
-- tells a server whether the variables that it has are still those of the last call.
CREATE TABLE antiphon.containers (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    owner text NOT NULL,
    name text NOT NULL,
    memory bigint NOT NULL,
    idle bigint NOT NULL,
    created_at bigint NOT NULL,
    last_active_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    holder text NOT NULL DEFAULT '',
    held_until double precision NOT NULL DEFAULT 0,
    calls bigint NOT NULL DEFAULT 0
);

CREATE INDEX containers_by_owner ON antiphon.containers (owner, number);

CREATE INDEX containers_by_expiry ON antiphon.containers (expires_at);

CREATE TABLE antiphon.container_files (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    container text NOT NULL REFERENCES antiphon.containers (id) ON DELETE CASCADE,
    path text NOT NULL,
    size bigint NOT NULL,
    source text NOT NULL,
    created_at bigint NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    content bytea NOT NULL,
    UNIQUE (container, path)
);

ALTER TABLE antiphon.container_files ALTER COLUMN content SET STORAGE EXTERNAL;
