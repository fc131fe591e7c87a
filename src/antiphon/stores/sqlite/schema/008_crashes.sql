-- How often a job's holder fell silent without giving the job back: its process died, or was cut off.
ALTER TABLE jobs ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;
