-- name: create
WITH made AS (
    INSERT INTO antiphon.skills (id, owner, created_at, default_version, made)
    VALUES (:skill, :owner, :created_at, :version, :version) ON CONFLICT (id) DO NOTHING RETURNING id
)
INSERT INTO antiphon.skill_versions (id, skill, version, created_at, name, description, digest, size, content)
SELECT :id, id, :version, :created_at, :name, :description, :digest, :size, :content FROM made
RETURNING 1

-- name: get
SELECT s.id, s.created_at, s.default_version,
    (SELECT max(version) FROM antiphon.skill_versions WHERE skill = s.id), v.name, v.description
FROM antiphon.skills AS s JOIN antiphon.skill_versions AS v ON v.skill = s.id AND v.version = s.default_version
WHERE s.id = :id AND s.owner = :owner

-- name: number
SELECT number FROM antiphon.skills WHERE id = :id AND owner = :owner

-- name: list
SELECT s.id, s.created_at, s.default_version,
    (SELECT max(version) FROM antiphon.skill_versions WHERE skill = s.id), v.name, v.description
FROM antiphon.skills AS s JOIN antiphon.skill_versions AS v ON v.skill = s.id AND v.version = s.default_version
WHERE s.owner = :owner AND s.number > :after ORDER BY s.number LIMIT :limit

-- name: list_descending
SELECT s.id, s.created_at, s.default_version,
    (SELECT max(version) FROM antiphon.skill_versions WHERE skill = s.id), v.name, v.description
FROM antiphon.skills AS s JOIN antiphon.skill_versions AS v ON v.skill = s.id AND v.version = s.default_version
WHERE s.owner = :owner AND s.number < :after ORDER BY s.number DESC LIMIT :limit

-- name: count
SELECT count(*) FROM antiphon.skills WHERE owner = :owner

-- name: remove
DELETE FROM antiphon.skills WHERE id = :id AND owner = :owner RETURNING 1

-- name: add_version
WITH counted AS (
    UPDATE antiphon.skills SET made = made + 1,
        default_version = CASE WHEN :default::boolean THEN made + 1 ELSE default_version END
    WHERE id = :skill AND owner = :owner RETURNING id, made
)
INSERT INTO antiphon.skill_versions (id, skill, version, created_at, name, description, digest, size, content)
SELECT :id, id, made, :created_at, :name, :description, :digest, :size, :content FROM counted
RETURNING version

-- name: set_default
UPDATE antiphon.skills SET default_version = :version WHERE id = :id AND owner = :owner
AND EXISTS (SELECT 1 FROM antiphon.skill_versions WHERE skill = :id AND version = :version FOR UPDATE) RETURNING 1

-- name: version
SELECT id, version, created_at, name, description, digest, size FROM antiphon.skill_versions
WHERE skill = :id AND version = :version AND EXISTS (SELECT 1 FROM antiphon.skills WHERE id = :id AND owner = :owner)

-- name: versions
SELECT id, version, created_at, name, description, digest, size FROM antiphon.skill_versions
WHERE skill = :id AND version > :after ORDER BY version LIMIT :limit

-- name: versions_descending
SELECT id, version, created_at, name, description, digest, size FROM antiphon.skill_versions
WHERE skill = :id AND version < :after ORDER BY version DESC LIMIT :limit

-- name: remove_version
DELETE FROM antiphon.skill_versions WHERE skill = :id AND version = :version
AND EXISTS (SELECT 1 FROM antiphon.skills WHERE id = :id AND owner = :owner AND default_version <> :version FOR UPDATE) RETURNING 1

-- name: content
SELECT content FROM antiphon.skill_versions WHERE skill = :id AND version = :version
