-- name: insert
INSERT INTO antiphon.containers (id, owner, name, memory, idle, created_at, last_active_at, expires_at)
VALUES (:id, :owner, :name, :memory, :idle, :created_at, :last_active_at, :created_at::bigint + :idle::bigint)
ON CONFLICT (id) DO NOTHING RETURNING 1

-- name: get
SELECT id, name, memory, idle, created_at, last_active_at FROM antiphon.containers
WHERE id = :id AND owner = :owner AND expires_at > :now::double precision

-- name: live_number
SELECT number FROM antiphon.containers WHERE id = :id AND owner = :owner AND expires_at > :now::double precision

-- name: list
SELECT id, name, memory, idle, created_at, last_active_at FROM antiphon.containers
WHERE owner = :owner AND number > :after AND (:name::text IS NULL OR name = :name) AND expires_at > :now::double precision
ORDER BY number LIMIT :limit

-- name: list_descending
SELECT id, name, memory, idle, created_at, last_active_at FROM antiphon.containers
WHERE owner = :owner AND number < :after AND (:name::text IS NULL OR name = :name) AND expires_at > :now::double precision
ORDER BY number DESC LIMIT :limit

-- name: count
SELECT count(*) FROM antiphon.containers WHERE owner = :owner AND expires_at > :now::double precision

-- name: claim
UPDATE antiphon.containers SET holder = :holder, held_until = clock(:until), last_active_at = floor(:now::double precision),
    expires_at = ceil(greatest(:now::double precision, :until::double precision)) + idle
WHERE id = :id AND owner = :owner AND expires_at > :now::double precision
    AND (held_until <= clock(:now) OR holder = :holder)
RETURNING calls

-- name: release
UPDATE antiphon.containers SET held_until = 0, calls = :calls, last_active_at = floor(:now::double precision),
    expires_at = ceil(:now::double precision) + idle
WHERE id = :id AND holder = :holder

-- name: touch
UPDATE antiphon.containers SET last_active_at = floor(:now::double precision),
    expires_at = greatest(expires_at, ceil(:now::double precision) + idle)
WHERE id = :id

-- name: remove
DELETE FROM antiphon.containers WHERE id = :id AND owner = :owner RETURNING 1

-- name: purge
WITH gone AS (
    DELETE FROM antiphon.containers WHERE number = ANY (ARRAY(
        SELECT number FROM antiphon.containers WHERE expires_at <= :now::bigint ORDER BY expires_at LIMIT :limit
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone

-- name: put_file
INSERT INTO antiphon.container_files AS kept (id, container, path, size, source, created_at, content)
SELECT :id, :container, :path, :size, :source, :created_at, :content
WHERE EXISTS (SELECT 1 FROM antiphon.containers WHERE id = :container FOR SHARE)
ON CONFLICT (container, path) DO UPDATE
SET size = excluded.size, content = excluded.content, version = kept.version + 1
RETURNING id, created_at, source, version

-- name: files
SELECT id, path, size, source, created_at, version FROM antiphon.container_files WHERE container = :container ORDER BY number

-- name: content
SELECT content FROM antiphon.container_files WHERE id = :file AND container = :container

-- name: remove_file
DELETE FROM antiphon.container_files WHERE id = :file AND container = :container RETURNING 1

-- name: put_skill
WITH there AS (
    SELECT 1 FROM antiphon.containers WHERE id = :container FOR SHARE
), put AS (
    INSERT INTO antiphon.container_skills (container, folder, name, description, size, content)
    SELECT :container, :folder, :name, :description, :size, :content FROM there
    ON CONFLICT (container, folder) DO NOTHING
)
SELECT count(*) FROM there

-- name: skills
SELECT folder, name, description, size FROM antiphon.container_skills WHERE container = :container ORDER BY number

-- name: skill_content
SELECT content FROM antiphon.container_skills WHERE container = :container AND folder = :folder
