-- How often a job's holder fell silent without giving the job back: its process died, or was cut off.
ALTER TABLE antiphon.jobs ADD COLUMN crashes integer NOT NULL DEFAULT 0;
