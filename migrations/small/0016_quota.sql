-- How much a key may ask.
ALTER TABLE key ADD COLUMN requests_per_minute INTEGER NOT NULL DEFAULT 0; -- 0: no bound
