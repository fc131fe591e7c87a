-- From when on a job comes at its turn, as those without a completion window do from their creation; 0: since ever.
ALTER TABLE jobs ADD COLUMN due REAL NOT NULL DEFAULT 0;
