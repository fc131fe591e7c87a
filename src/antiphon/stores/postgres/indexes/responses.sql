-- Indexes that are built outside of migrations, as those would keep all servers from writing meanwhile.

-- name: responses_by_owner
-- For lists of an owner's responses: without it, one who has few is looked for among everybody's.
CREATE INDEX CONCURRENTLY IF NOT EXISTS responses_by_owner ON antiphon.responses (owner, id)
