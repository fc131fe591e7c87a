-- name: position
SELECT position FROM antiphon.imports WHERE source = :source AND noun = :noun

-- name: note
INSERT INTO antiphon.imports (source, noun, position) VALUES (:source, :noun, :position)
ON CONFLICT (source, noun) DO UPDATE SET position = excluded.position

-- name: forget
DELETE FROM antiphon.imports WHERE source = :source
