-- The audit log: what was done or read by whom. Entries are never changed.
CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    at REAL NOT NULL,
    action TEXT NOT NULL,
    actor TEXT NOT NULL,
    owner TEXT NOT NULL,
    subject TEXT NOT NULL,
    address TEXT NOT NULL,
    request_id TEXT NOT NULL,
    details BLOB NOT NULL
) STRICT;

CREATE INDEX audit_by_time ON audit (at);

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is only added to');
END;

-- When a key was last used: written every minute at most.
ALTER TABLE keys ADD COLUMN last_used_at REAL;

CREATE INDEX keys_by_time ON keys (created_at, id);
