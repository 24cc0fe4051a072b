-- Sessions that nobody uses any more are found without looking at all of them.

-- Milliseconds since 1970. Not later than the last use: the truth is in memory and in the bulk database's last_use, and
-- comes here when the sweeper has looked.
ALTER TABLE session ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;
UPDATE session SET used_at = created_at;
CREATE INDEX session_by_expiry ON session (used_at + ttl_seconds * 1000) WHERE ttl_seconds > 0;
