-- Event logs that go before their responses. Whoever deletes a response, also an older version of this server: its row goes with it.
CREATE TABLE event_expiry (
    response INTEGER PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX event_expiry_by_time ON event_expiry (expires_at);

CREATE TRIGGER deleted_responses_leave_event_expiry AFTER DELETE ON responses
BEGIN
    DELETE FROM event_expiry WHERE response = OLD.rowid;
END;
