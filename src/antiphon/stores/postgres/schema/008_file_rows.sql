-- Contents of files that are larger than one row (`files.content` has those of one row, and is NULL for the others). A content is
-- written row by row; it belongs to a file from its last row on, several in a row where the file was uploaded in parts. One of no
-- file is deleted when it expires.
ALTER TABLE antiphon.files ALTER COLUMN content DROP NOT NULL;

CREATE TABLE antiphon.contents (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner text NOT NULL,
    file bigint,  -- files.number; NULL: it is no file's yet, or no longer
    start bigint NOT NULL DEFAULT 0,  -- the byte of the file that it begins with
    size bigint NOT NULL DEFAULT 0,
    expires_at bigint NOT NULL  -- 0: its file was deleted
);

CREATE UNIQUE INDEX contents_by_file ON antiphon.contents (file, start) WHERE file IS NOT NULL;

CREATE INDEX contents_by_expiry ON antiphon.contents (expires_at) WHERE file IS NULL;

CREATE INDEX contents_by_owner ON antiphon.contents (owner, size) WHERE file IS NULL;

CREATE TABLE antiphon.content_rows (
    content bigint NOT NULL,  -- contents.number
    start bigint NOT NULL,  -- the byte of the content that it begins with
    row bytea NOT NULL,
    PRIMARY KEY (content, start)
);

ALTER TABLE antiphon.content_rows ALTER COLUMN row SET STORAGE EXTERNAL;

-- Whoever deletes a file, also an older version: its rows are deleted a few at a time, from then on.
CREATE FUNCTION antiphon.leave_contents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE antiphon.contents SET file = NULL, expires_at = 0 WHERE file = OLD.number;
    RETURN NULL;
END
$$;

CREATE TRIGGER deleted_files_leave_contents AFTER DELETE ON antiphon.files
    FOR EACH ROW EXECUTE FUNCTION antiphon.leave_contents();

CREATE INDEX files_by_size ON antiphon.files (owner, size);

-- Files that are uploaded in parts.
CREATE TABLE antiphon.uploads (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    owner text NOT NULL,
    filename text NOT NULL,
    purpose text NOT NULL,
    media_type text NOT NULL,
    size bigint NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    file_id text NOT NULL,  -- of the file that it becomes
    file_seconds bigint,  -- that the file lives; NULL: for ever
    status text NOT NULL
);

CREATE INDEX uploads_by_owner ON antiphon.uploads (owner, status, expires_at);

CREATE INDEX uploads_by_expiry ON antiphon.uploads (expires_at);

CREATE TABLE antiphon.upload_parts (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    upload text NOT NULL REFERENCES antiphon.uploads (id) ON DELETE CASCADE,
    created_at bigint NOT NULL,
    size bigint NOT NULL,
    content bigint NOT NULL  -- contents.number
);

CREATE INDEX upload_parts_by_upload ON antiphon.upload_parts (upload, number);
