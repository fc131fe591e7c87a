-- From when on a job comes at its turn, as those without a completion window do from their creation; 0: since ever.
ALTER TABLE antiphon.jobs ADD COLUMN due double precision NOT NULL DEFAULT 0;

CREATE INDEX jobs_by_due ON antiphon.jobs (due, number);
