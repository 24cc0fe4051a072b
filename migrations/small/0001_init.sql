-- The small database: what people name and own. Nothing here changes with a step.

-- A named thing with numbered versions.
CREATE TABLE optimizer (
    id           INTEGER PRIMARY KEY,
    name         TEXT    NOT NULL UNIQUE,        -- in URLs
    family       TEXT    NOT NULL,               -- every version has it
    config       TEXT    NOT NULL,               -- JSON: the default for its jobs, or of version 1
    description  TEXT    NOT NULL,               -- for people
    labels       TEXT    NOT NULL,               -- JSON: short texts by name
    builtin      INTEGER NOT NULL CHECK (builtin IN (0, 1)), -- came with the program; not to be deleted
    version_next INTEGER NOT NULL,               -- numbers are never reused
    created_at   INTEGER NOT NULL                -- milliseconds since 1970, as everywhere
) STRICT;

-- A family, a config and weights: immutable.
CREATE TABLE version (
    id            INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused: models are kept in memory by it
    optimizer     INTEGER NOT NULL REFERENCES optimizer ON DELETE CASCADE,
    number        INTEGER NOT NULL CHECK (number >= 1),
    config        TEXT    NOT NULL,              -- JSON, whole
    sha256        TEXT    NOT NULL,              -- of weights, in hexadecimal
    source        TEXT    NOT NULL,              -- builtin, import, job
    weights_count INTEGER NOT NULL,              -- numbers in the file
    created_at    INTEGER NOT NULL,
    weights       BLOB    NOT NULL,              -- the safetensors file as we serve it
    UNIQUE (optimizer, number)
) STRICT;

-- An optimization in progress; what its steps change is in the bulk database under seq.
CREATE TABLE session (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT, -- order of creation; never reused, for the bulk database's sake
    id          TEXT    NOT NULL UNIQUE,         -- in URLs; random
    version     INTEGER NOT NULL REFERENCES version, -- pinned at creation
    coordinates INTEGER NOT NULL,                -- n
    durability  INTEGER NOT NULL,                -- 0 strict, 1 relaxed, 2 memory
    labels      TEXT    NOT NULL,                -- JSON
    ttl_seconds INTEGER NOT NULL,                -- 0: for ever
    created_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX session_by_version ON session (version);
