-- name: responses
INSERT INTO antiphon.responses ({columns}) VALUES ({values})
ON CONFLICT (id) DO NOTHING

-- name: foreign_items
INSERT INTO antiphon.foreign_items (owner, item_id, response, position)
SELECT :owner::text, :item_id::text, response.number, :position::integer FROM antiphon.responses AS response
WHERE response.id = :id AND NOT EXISTS (
    SELECT FROM antiphon.foreign_items AS known WHERE known.response = response.number AND known.item_id = :item_id
)
