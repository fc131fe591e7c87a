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
SELECT rowid, length(input) + output_end - output_start FROM responses WHERE id = :id AND owner = :owner

-- name: items
SELECT input, substr(body, output_start + 1, output_end - output_start)
FROM responses WHERE id = :id AND owner = :owner

-- name: items_at
SELECT input, substr(body, output_start + 1, output_end - output_start) FROM responses WHERE rowid = :rowid

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
