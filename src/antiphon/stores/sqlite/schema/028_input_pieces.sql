-- Inputs of conversations that are sent whole with each turn: each piece is what an input adds to that of an earlier response.
--
-- Of a response with such an input, `responses.input` is the decimal number of its last piece, not an array. The array is the bytes of the
-- pieces from the first one on, and `]`; in them a NUL stands for the id base of the response. A parent's id is below its children's.
-- Versions before this one cannot read these inputs; what they delete or write anew is released by the triggers.
CREATE TABLE input_pieces (
    id INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    parent INTEGER,  -- the piece before it
    size INTEGER NOT NULL,  -- bytes of all pieces up to this one
    held INTEGER NOT NULL DEFAULT 1,  -- 0: its response is gone, it is here for its children
    mark BLOB NOT NULL,  -- tells the pieces up to this one from all others
    added BLOB NOT NULL
) STRICT;

CREATE INDEX input_pieces_by_parent ON input_pieces (parent) WHERE parent IS NOT NULL;

CREATE TRIGGER deleted_responses_release_input AFTER DELETE ON responses WHEN length(OLD.input) < 20
BEGIN
    UPDATE input_pieces SET held = 0 WHERE id = CAST(OLD.input AS INTEGER);
END;

CREATE TRIGGER replaced_responses_release_input AFTER UPDATE OF input ON responses
WHEN length(OLD.input) < 20 AND OLD.input <> NEW.input
BEGIN
    UPDATE input_pieces SET held = 0 WHERE id = CAST(OLD.input AS INTEGER);
END;

-- A piece goes once it has neither a response nor children, and with it those before it that have no others.
CREATE TRIGGER released_input_pieces_go AFTER UPDATE OF held ON input_pieces WHEN NEW.held = 0
BEGIN
    DELETE FROM input_pieces WHERE id IN (
        WITH RECURSIVE gone (id, parent) AS (
            SELECT NEW.id, NEW.parent WHERE NOT EXISTS (SELECT 1 FROM input_pieces WHERE parent = NEW.id)
            UNION ALL
            SELECT piece.id, piece.parent FROM gone JOIN input_pieces AS piece ON piece.id = gone.parent
            WHERE piece.held = 0
                AND NOT EXISTS (SELECT 1 FROM input_pieces AS other WHERE other.parent = piece.id AND other.id <> gone.id)
        )
        SELECT id FROM gone
    );
END;
