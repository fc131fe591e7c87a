-- Responses, clustered by thread: a chain of responses lies side by side, so that its history is one range read.
--
-- place, the rowid in statements, = thread << 24 | position. A response whose parent is the last of its thread takes the next position there.
-- Any other starts a thread, numbered above all that exist: a parent's place is always below its children's.
-- Neighbours in a thread need not be parent and child (one between them may have been deleted): previous_response_id tells.
-- The large columns stand last, so that reading the others does not touch their pages.
CREATE TABLE responses (
    place INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    model TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    background INTEGER NOT NULL,
    previous_response_id TEXT,
    conversation_id TEXT,
    output_start INTEGER NOT NULL,
    output_end INTEGER NOT NULL,
    foreign_ids BLOB,  -- a JSON object; NULL where there are none
    input BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE INDEX responses_by_expiry ON responses (expires_at) WHERE expires_at IS NOT NULL;

-- Items whose ids are not derived from their response's: the highest generation is the newest.
CREATE TABLE foreign_items (
    owner TEXT NOT NULL,
    item_id TEXT NOT NULL,
    generation INTEGER NOT NULL,
    response INTEGER NOT NULL,  -- responses.place
    position INTEGER NOT NULL,  -- input items from 0, output items follow
    PRIMARY KEY (owner, item_id, generation)
) STRICT, WITHOUT ROWID;
