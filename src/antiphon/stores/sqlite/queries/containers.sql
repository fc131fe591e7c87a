-- name: taken
SELECT 1 FROM containers WHERE id = :id

-- name: insert
INSERT INTO containers (id, owner, name, memory, idle, created_at, last_active_at, expires_at)
VALUES (:id, :owner, :name, :memory, :idle, :created_at, :last_active_at, :created_at + :idle)

-- name: get
SELECT id, name, memory, idle, created_at, last_active_at FROM containers
WHERE id = :id AND owner = :owner AND expires_at > :now

-- name: live_number
SELECT number FROM containers WHERE id = :id AND owner = :owner AND expires_at > :now

-- name: list
SELECT id, name, memory, idle, created_at, last_active_at FROM containers
WHERE owner = :owner AND number > :after AND (:name IS NULL OR name = :name) AND expires_at > :now
ORDER BY number LIMIT :limit

-- name: list_descending
SELECT id, name, memory, idle, created_at, last_active_at FROM containers
WHERE owner = :owner AND number < :after AND (:name IS NULL OR name = :name) AND expires_at > :now
ORDER BY number DESC LIMIT :limit

-- name: count
SELECT count(*) FROM containers WHERE owner = :owner AND expires_at > :now

-- name: claim
UPDATE containers SET holder = :holder, held_until = :until, last_active_at = :now, expires_at = max(:now, :until) + idle
WHERE id = :id AND owner = :owner AND expires_at > :now AND (held_until <= :now OR holder = :holder)
RETURNING calls

-- name: release
UPDATE containers SET held_until = 0, calls = :calls, last_active_at = :now, expires_at = :now + idle
WHERE id = :id AND holder = :holder

-- name: touch
UPDATE containers SET last_active_at = :now, expires_at = max(expires_at, :now + idle) WHERE id = :id

-- name: remove
DELETE FROM containers WHERE id = :id AND owner = :owner RETURNING id

-- name: expired
DELETE FROM containers WHERE number IN (SELECT number FROM containers WHERE expires_at <= :now LIMIT :limit) RETURNING id

-- name: remove_contents
DELETE FROM container_contents WHERE file IN (SELECT number FROM container_files WHERE container = :container)

-- name: remove_files
DELETE FROM container_files WHERE container = :container

-- name: put_file
INSERT INTO container_files (id, container, path, size, source, created_at)
VALUES (:id, :container, :path, :size, :source, :created_at)
ON CONFLICT (container, path) DO UPDATE SET size = excluded.size, version = version + 1
RETURNING number, id, created_at, source, version

-- name: put_content
INSERT INTO container_contents (file, content) VALUES (:file, :content)
ON CONFLICT (file) DO UPDATE SET content = excluded.content

-- name: files
SELECT id, path, size, source, created_at, version FROM container_files WHERE container = :container ORDER BY number

-- name: content
SELECT content FROM container_contents WHERE file = (
    SELECT number FROM container_files WHERE id = :file AND container = :container
)

-- name: remove_content
DELETE FROM container_contents WHERE file = (
    SELECT number FROM container_files WHERE id = :file AND container = :container
)

-- name: remove_file
DELETE FROM container_files WHERE id = :file AND container = :container RETURNING 1

-- name: put_skill
INSERT INTO container_skills (container, folder, name, description, size, content)
VALUES (:container, :folder, :name, :description, :size, :content)
ON CONFLICT (container, folder) DO NOTHING

-- name: skills
SELECT folder, name, description, size FROM container_skills WHERE container = :container ORDER BY number

-- name: skill_content
SELECT content FROM container_skills WHERE container = :container AND folder = :folder

-- name: remove_skills
DELETE FROM container_skills WHERE container = :container
