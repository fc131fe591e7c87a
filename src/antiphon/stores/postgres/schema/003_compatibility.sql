-- The oldest schema whose version of Antiphon can still work with these tables (docs/scaling.md, "Migrations"): one that
-- knows a schema from there on goes on running, and starts again, though newer ones have migrated.
CREATE TABLE antiphon.compatibility (oldest integer NOT NULL);
