-- What the model sees of items that a client sees less of: a JSON object, item id → text; NULL where there are none.
-- It is read with the items that need it, and goes with the response.
ALTER TABLE antiphon.responses ADD COLUMN model_texts bytea;
ALTER TABLE antiphon.responses ALTER COLUMN model_texts SET STORAGE EXTERNAL;
