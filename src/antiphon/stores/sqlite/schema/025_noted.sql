-- What was seen of a response while it was made, and what it was asked for: JSON; NULL where nobody knows. Its entry in the log is made of it.
ALTER TABLE responses ADD COLUMN noted BLOB;
