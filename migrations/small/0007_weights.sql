-- Weights files by their content: the same file is kept once, however many versions have it.

CREATE TABLE weights (
    sha256 TEXT PRIMARY KEY,                     -- of bytes, in hexadecimal
    bytes  BLOB NOT NULL                         -- the safetensors file as we serve it
) STRICT;
INSERT OR IGNORE INTO weights (sha256, bytes) SELECT sha256, weights FROM version;
ALTER TABLE version DROP COLUMN weights;
CREATE INDEX version_by_sha256 ON version (sha256);

-- A file goes with the last version that has it.
CREATE TRIGGER version_leaves AFTER DELETE ON version
WHEN NOT EXISTS (SELECT 1 FROM version WHERE sha256 = OLD.sha256) BEGIN
    DELETE FROM weights WHERE sha256 = OLD.sha256;
END;
