-- name: skills
INSERT INTO antiphon.skills (id, owner, created_at, default_version, made)
VALUES (:id, :owner, :created_at, :default_version, :made)
ON CONFLICT (id) DO NOTHING

-- name: skill_versions
INSERT INTO antiphon.skill_versions (id, skill, version, created_at, name, description, digest, size, content)
VALUES (:id, :skill, :version, :created_at, :name, :description, :digest, :size, :content)
ON CONFLICT DO NOTHING

-- name: container_skills
INSERT INTO antiphon.container_skills (container, folder, name, description, size, content)
VALUES (:container, :folder, :name, :description, :size, :content)
ON CONFLICT DO NOTHING
