-- name: containers
INSERT INTO antiphon.containers (id, owner, name, memory, idle, created_at, last_active_at, expires_at, calls)
VALUES (:id, :owner, :name, :memory, :idle, :created_at, :last_active_at, :expires_at, :calls)
ON CONFLICT (id) DO NOTHING

-- name: container_files
INSERT INTO antiphon.container_files (id, container, path, size, source, created_at, version, content)
VALUES (:id, :container, :path, :size, :source, :created_at, :version, :content)
ON CONFLICT DO NOTHING
