-- The response log: what lists of responses show, an entry for each. It stands apart from the responses, so that a list touches
-- no page of their bodies. `folded` is what is searched.
CREATE TABLE response_log (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    model TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    background INTEGER NOT NULL,
    previous_response_id TEXT,
    conversation_id TEXT,
    question TEXT NOT NULL,
    answer TEXT NOT NULL,
    reason TEXT NOT NULL,
    error_code TEXT NOT NULL,
    tools TEXT NOT NULL,
    pairs TEXT NOT NULL,  -- of the metadata, each a JSON text, in a JSON array
    input_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost REAL NOT NULL,
    duration REAL,
    first_token REAL,
    parameters TEXT NOT NULL,  -- of the request, a JSON object; '' where nobody knows them
    folded TEXT NOT NULL
) STRICT;

CREATE INDEX response_log_by_owner ON response_log (owner, id);

CREATE INDEX response_log_working ON response_log (id) WHERE status IN ('queued', 'in_progress');

-- Whoever deletes a response, also an older version of this server: its first words go with it.
CREATE TRIGGER deleted_responses_leave_log AFTER DELETE ON responses
BEGIN
    DELETE FROM response_log WHERE id = OLD.id;
END;
