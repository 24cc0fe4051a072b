-- Names that point at one version of an optimizer and can be moved: "champion".

CREATE TABLE alias (
    optimizer  INTEGER NOT NULL REFERENCES optimizer ON DELETE CASCADE,
    name       TEXT    NOT NULL,
    version    INTEGER NOT NULL REFERENCES version, -- which so cannot be deleted
    revision   INTEGER NOT NULL,                    -- of its last move: its entity tag
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (optimizer, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX alias_by_version ON alias (version);

-- Every move of every alias, those of deleted ones included. Revisions of one name count on when it is made again, so
-- that an entity tag never means two things.
CREATE TABLE alias_move (
    optimizer INTEGER NOT NULL REFERENCES optimizer ON DELETE CASCADE,
    alias     TEXT    NOT NULL,
    revision  INTEGER NOT NULL CHECK (revision >= 1),
    version   INTEGER,                              -- the version's number, which may be gone; NULL: the alias was deleted
    moved_at  INTEGER NOT NULL,
    PRIMARY KEY (optimizer, alias, revision)
) STRICT, WITHOUT ROWID;
