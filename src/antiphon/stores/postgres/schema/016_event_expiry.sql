-- Event logs that go before their responses.
CREATE TABLE antiphon.event_expiry (
    response bigint PRIMARY KEY REFERENCES antiphon.responses (number) ON DELETE CASCADE,
    expires_at bigint NOT NULL
);

CREATE INDEX event_expiry_by_time ON antiphon.event_expiry (expires_at);
