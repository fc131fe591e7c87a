-- The audit log: what was done or read by whom. Entries are never changed.
CREATE TABLE antiphon.audit (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    at double precision NOT NULL,
    action text NOT NULL,
    actor text NOT NULL,
    owner text NOT NULL,
    subject text NOT NULL,
    address text NOT NULL,
    request_id text NOT NULL,
    details bytea NOT NULL
);

CREATE INDEX audit_by_time ON antiphon.audit (at);

CREATE FUNCTION antiphon.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only added to';
END
$$;

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON antiphon.audit
FOR EACH ROW EXECUTE FUNCTION antiphon.refuse_change();

-- When a key was last used: written every minute at most.
ALTER TABLE antiphon.keys ADD COLUMN last_used_at double precision;

CREATE INDEX keys_by_time ON antiphon.keys (created_at, id COLLATE "C");
