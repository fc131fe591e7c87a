-- name: find
SELECT rowid, owner, foreign_ids FROM responses WHERE id = :id

-- name: insert
-- Behind its parent where that is the last of its thread, else as the first of a new thread.
INSERT INTO responses (rowid, {columns}) VALUES (
    coalesce(
        (
            SELECT parent.rowid + 1 FROM responses AS parent
            WHERE parent.id = :previous_response_id AND parent.owner = :owner
                AND (parent.rowid + 1) & 0xffffff
                AND NOT EXISTS (
                    SELECT 1 FROM responses AS next
                    WHERE next.rowid > parent.rowid AND next.rowid < ((parent.rowid >> 24) + 1) << 24
                )
        ),
        (SELECT ((coalesce(max(rowid), 0) >> 24) + 1) << 24 FROM responses)
    ),
    {values}
)
ON CONFLICT (id) DO NOTHING

-- name: replace
UPDATE responses SET {updates} WHERE id = :id

-- name: get
SELECT {columns} FROM responses WHERE id = :id AND owner = :owner

-- name: rowid
SELECT rowid FROM responses WHERE id = :id AND owner = :owner

-- name: parent
-- A parent's rowid is always below its children's: this also keeps a walk from going round.
SELECT rowid FROM responses WHERE id = :id AND owner = :owner AND rowid < :rowid

-- name: thread
-- The thread of a rowid, from there backwards.
SELECT rowid, id, previous_response_id, input, substr(body, output_start + 1, output_end - output_start)
FROM responses WHERE rowid <= :rowid AND rowid >= (:rowid >> 24) << 24
ORDER BY rowid DESC

-- name: extent
SELECT
    rowid,
    coalesce((SELECT size FROM input_pieces WHERE id = CAST(substr(input, 1, 20) AS INTEGER)), length(input))
        + output_end - output_start
FROM responses WHERE id = :id AND owner = :owner

-- name: items
SELECT id, input, substr(body, output_start + 1, output_end - output_start)
FROM responses WHERE id = :id AND owner = :owner

-- name: items_at
SELECT id, input, substr(body, output_start + 1, output_end - output_start) FROM responses WHERE rowid = :rowid

-- name: pieces
-- Those of an input from the first one on.
WITH RECURSIVE chain (id) AS (
    SELECT CAST(:input AS INTEGER)
    UNION ALL
    SELECT piece.parent FROM chain JOIN input_pieces AS piece ON piece.id = chain.id WHERE piece.parent IS NOT NULL
)
SELECT piece.added FROM chain JOIN input_pieces AS piece ON piece.id = chain.id ORDER BY piece.id

-- name: next_piece
-- The id of a further piece, and that of the last piece of an earlier response, if its pieces are those with the mark.
SELECT
    coalesce(max(id), 0) + 1,
    (
        SELECT piece.id FROM responses JOIN input_pieces AS piece ON piece.id = CAST(responses.input AS INTEGER)
        WHERE responses.id = :earlier AND responses.owner = :owner AND piece.mark = :mark
    )
FROM input_pieces

-- name: insert_piece
INSERT INTO input_pieces (id, owner, parent, size, mark, added) VALUES (:id, :owner, :parent, :size, :mark, :added)

-- name: model_texts
SELECT model_texts FROM responses WHERE id = :id AND owner = :owner AND model_texts IS NOT NULL

-- name: remove
DELETE FROM responses WHERE rowid = :rowid

-- name: expired
SELECT rowid, owner, foreign_ids, id FROM responses WHERE expires_at <= :now LIMIT :limit

-- name: find_foreign
SELECT response, position FROM foreign_items WHERE owner = :owner AND item_id = :item_id
ORDER BY generation DESC LIMIT 1

-- name: may_have_thoughts
SELECT 1 FROM foreign_items WHERE owner = :owner AND item_id >= :first AND item_id < :behind LIMIT 1

-- name: insert_foreign
INSERT INTO foreign_items (owner, item_id, generation, response, position) VALUES (
    :owner, :item_id,
    (SELECT coalesce(max(generation), 0) + 1 FROM foreign_items WHERE owner = :owner AND item_id = :item_id),
    :response, :position
)

-- name: remove_foreign
DELETE FROM foreign_items WHERE owner = :owner AND item_id = :item_id AND response = :response
