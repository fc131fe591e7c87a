-- The oldest schema whose version of Antiphon can still work with these tables (docs/scaling.md, "Migrations"): one that
-- knows a schema from there on goes on running, and starts again, though newer ones have migrated.
CREATE TABLE compatibility (oldest INTEGER NOT NULL) STRICT;
