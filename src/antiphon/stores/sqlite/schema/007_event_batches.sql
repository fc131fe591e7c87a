-- alone: it drops a table that older versions write to.
--
-- Events are written in batches, and each batch is one row at the end of the table: a row per event, kept beside those of
-- its own response, touched a page or two of every response at each commit.
CREATE TABLE event_batches (
    number INTEGER PRIMARY KEY,
    response INTEGER NOT NULL,  -- responses.place
    last INTEGER NOT NULL,  -- the highest sequence_number in it
    events BLOB NOT NULL  -- [[sequence_number, type, bytes], …] as JSON, a line feed, the events' JSON as it was sent
) STRICT;

CREATE UNIQUE INDEX event_batches_by_response ON event_batches (response, last);

INSERT INTO event_batches (response, last, events)
SELECT
    response,
    sequence_number,
    CAST('[[' || sequence_number || ',"' || type || '",' || length(body) || ']]' || char(10) || body AS BLOB)
FROM events ORDER BY response, sequence_number;

DROP TABLE events;
