-- Skills: bundles of files with instructions. `made` counts versions, so that no number is given twice.
CREATE TABLE skills (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    default_version INTEGER NOT NULL,
    made INTEGER NOT NULL
) STRICT;

CREATE INDEX skills_by_owner ON skills (owner, number);

-- The content stands last, behind what lists read.
CREATE TABLE skill_versions (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    skill TEXT NOT NULL,  -- skills.id
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    content BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX skill_versions_by_version ON skill_versions (skill, version);

-- What a container has of skills: copies, so that it stays as it was made.
CREATE TABLE container_skills (
    number INTEGER PRIMARY KEY,
    container TEXT NOT NULL,  -- containers.id
    folder TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    size INTEGER NOT NULL,
    content BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX container_skills_by_folder ON container_skills (container, folder);
