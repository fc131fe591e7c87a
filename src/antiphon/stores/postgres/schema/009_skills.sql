-- Skills: bundles of files with instructions. `made` counts versions, so that no number is given twice.
CREATE TABLE antiphon.skills (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    owner text NOT NULL,
    created_at bigint NOT NULL,
    default_version bigint NOT NULL,
    made bigint NOT NULL
);

CREATE INDEX skills_by_owner ON antiphon.skills (owner, number);

CREATE TABLE antiphon.skill_versions (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    skill text NOT NULL REFERENCES antiphon.skills (id) ON DELETE CASCADE,
    version bigint NOT NULL,
    created_at bigint NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    digest text NOT NULL,
    size bigint NOT NULL,
    content bytea NOT NULL,
    UNIQUE (skill, version)
);

ALTER TABLE antiphon.skill_versions ALTER COLUMN content SET STORAGE EXTERNAL;

-- What a container has of skills: copies, so that it stays as it was made.
CREATE TABLE antiphon.container_skills (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    container text NOT NULL REFERENCES antiphon.containers (id) ON DELETE CASCADE,
    folder text NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    size bigint NOT NULL,
    content bytea NOT NULL,
    UNIQUE (container, folder)
);

ALTER TABLE antiphon.container_skills ALTER COLUMN content SET STORAGE EXTERNAL;
