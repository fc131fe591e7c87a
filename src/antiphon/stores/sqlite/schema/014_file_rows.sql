-- Contents of files that are larger than one row (`file_contents` has those of one row). A content is written row by row; it
-- belongs to a file from its last row on, several in a row where the file was uploaded in parts. One of no file is deleted when
-- it expires.
CREATE TABLE contents (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    file INTEGER,  -- files.number; NULL: it is no file's yet, or no longer
    start INTEGER NOT NULL DEFAULT 0,  -- the byte of the file that it begins with
    size INTEGER NOT NULL DEFAULT 0,
    expires_at INTEGER NOT NULL  -- 0: its file was deleted
) STRICT;

CREATE UNIQUE INDEX contents_by_file ON contents (file, start) WHERE file IS NOT NULL;

CREATE INDEX contents_by_expiry ON contents (expires_at) WHERE file IS NULL;

CREATE INDEX contents_by_owner ON contents (owner, size) WHERE file IS NULL;

CREATE TABLE content_rows (
    number INTEGER PRIMARY KEY,
    content INTEGER NOT NULL,  -- contents.number
    start INTEGER NOT NULL,  -- the byte of the content that it begins with
    row BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX content_rows_by_start ON content_rows (content, start);

-- Whoever deletes a file, also an older version: its rows are deleted a few at a time, from then on.
CREATE TRIGGER deleted_files_leave_contents AFTER DELETE ON files
BEGIN
    UPDATE contents SET file = NULL, expires_at = 0 WHERE file = OLD.number;
END;

CREATE INDEX files_by_size ON files (owner, size);

-- Files that are uploaded in parts.
CREATE TABLE uploads (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    filename TEXT NOT NULL,
    purpose TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    file_id TEXT NOT NULL,  -- of the file that it becomes
    file_seconds INTEGER,  -- that the file lives; NULL: for ever
    status TEXT NOT NULL
) STRICT;

CREATE INDEX uploads_by_owner ON uploads (owner, status, expires_at);

CREATE INDEX uploads_by_expiry ON uploads (expires_at);

CREATE TABLE upload_parts (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    upload TEXT NOT NULL,  -- uploads.id
    created_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    content INTEGER NOT NULL  -- contents.number
) STRICT;

CREATE INDEX upload_parts_by_upload ON upload_parts (upload, number);
