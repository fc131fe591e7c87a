-- name: taken
SELECT 1 FROM skills WHERE id = :id

-- name: insert
INSERT INTO skills (id, owner, created_at, default_version, made) VALUES (:id, :owner, :created_at, :default_version, :latest_version)

-- name: insert_version
INSERT INTO skill_versions (id, skill, version, created_at, name, description, digest, size, content)
VALUES (:id, :skill, :version, :created_at, :name, :description, :digest, :size, :content)

-- name: get
SELECT id, created_at, default_version, (SELECT max(version) FROM skill_versions WHERE skill = skills.id)
FROM skills WHERE id = :id AND owner = :owner

-- name: about
SELECT name, description FROM skill_versions WHERE skill = :id AND version = :version

-- name: number
SELECT number FROM skills WHERE id = :id AND owner = :owner

-- name: list
SELECT id, created_at, default_version, (SELECT max(version) FROM skill_versions WHERE skill = skills.id)
FROM skills WHERE owner = :owner AND number > :after ORDER BY number LIMIT :limit

-- name: list_descending
SELECT id, created_at, default_version, (SELECT max(version) FROM skill_versions WHERE skill = skills.id)
FROM skills WHERE owner = :owner AND number < :after ORDER BY number DESC LIMIT :limit

-- name: count
SELECT count(*) FROM skills WHERE owner = :owner

-- name: remove
DELETE FROM skills WHERE id = :id AND owner = :owner RETURNING 1

-- name: remove_versions
DELETE FROM skill_versions WHERE skill = :id

-- name: next_version
UPDATE skills SET made = made + 1, default_version = CASE WHEN :default THEN made + 1 ELSE default_version END
WHERE id = :id AND owner = :owner RETURNING made

-- name: set_default
UPDATE skills SET default_version = :version WHERE id = :id AND owner = :owner
AND EXISTS (SELECT 1 FROM skill_versions WHERE skill = :id AND version = :version) RETURNING 1

-- name: version
SELECT id, version, created_at, name, description, digest, size FROM skill_versions
WHERE skill = :id AND version = :version AND EXISTS (SELECT 1 FROM skills WHERE id = :id AND owner = :owner)

-- name: versions
SELECT id, version, created_at, name, description, digest, size FROM skill_versions
WHERE skill = :id AND version > :after ORDER BY version LIMIT :limit

-- name: versions_descending
SELECT id, version, created_at, name, description, digest, size FROM skill_versions
WHERE skill = :id AND version < :after ORDER BY version DESC LIMIT :limit

-- name: remove_version
DELETE FROM skill_versions WHERE skill = :id AND version = :version
AND EXISTS (SELECT 1 FROM skills WHERE id = :id AND owner = :owner AND default_version <> :version) RETURNING 1

-- name: content
SELECT content FROM skill_versions WHERE skill = :id AND version = :version
