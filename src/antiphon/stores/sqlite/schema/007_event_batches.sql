-- Events are written in batches, and each batch is one row at the end of the table: a row per event, kept beside those of
-- its own response, touched a page or two of every response at each commit.
CREATE TABLE event_batches (
    number INTEGER PRIMARY KEY,
    response INTEGER NOT NULL,  -- responses.place
    last INTEGER NOT NULL,  -- the highest sequence_number in it
    events BLOB NOT NULL  -- JSON: [[sequence_number, type, event], …]
) STRICT;

CREATE UNIQUE INDEX event_batches_by_response ON event_batches (response, last);

INSERT INTO event_batches (response, last, events)
SELECT response, sequence_number, CAST('[[' || sequence_number || ',"' || type || '",' || CAST(body AS TEXT) || ']]' AS BLOB)
FROM events ORDER BY response, sequence_number;

DROP TABLE events;
