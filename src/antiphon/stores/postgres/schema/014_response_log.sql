-- The response log: what lists of responses show, an entry for each. `folded` is what is searched.
CREATE TABLE antiphon.response_log (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    owner text NOT NULL,
    model text NOT NULL,
    status text NOT NULL,
    created_at bigint NOT NULL,
    background boolean NOT NULL,
    previous_response_id text,
    conversation_id text,
    question text NOT NULL,
    answer text NOT NULL,
    reason text NOT NULL,
    error_code text NOT NULL,
    tools text NOT NULL,
    pairs text[] NOT NULL,  -- of the metadata, each a JSON text
    input_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    cost double precision NOT NULL,
    duration double precision,
    first_token double precision,
    parameters text NOT NULL,  -- of the request, a JSON object; '' where nobody knows them
    folded text NOT NULL
);

CREATE INDEX response_log_by_owner ON antiphon.response_log (owner, id);

CREATE INDEX response_log_working ON antiphon.response_log (id) WHERE status IN ('queued', 'in_progress');

-- Whoever deletes a response, also an older version of this server: its first words go with it.
CREATE FUNCTION antiphon.leave_response_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM antiphon.response_log WHERE id = OLD.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER deleted_responses_leave_log AFTER DELETE ON antiphon.responses
    FOR EACH ROW EXECUTE FUNCTION antiphon.leave_response_log();
