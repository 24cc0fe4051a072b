-- States of sessions, kept under a name for their session to go back to. The state itself is in the bulk database under
-- -number; both numbers there, that and session.seq, are reserved in erasure until the row that owns them is written.

CREATE TABLE checkpoint (
    number     INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused, for the bulk database's sake
    session    INTEGER NOT NULL,                  -- session.seq
    name       TEXT    NOT NULL,
    step       INTEGER NOT NULL,                  -- of the session when it was made
    created_at INTEGER NOT NULL,
    UNIQUE (session, name)
) STRICT;

CREATE TRIGGER session_leaves_checkpoints AFTER DELETE ON session BEGIN
    DELETE FROM checkpoint WHERE session = OLD.seq;
END;
CREATE TRIGGER checkpoint_leaves AFTER DELETE ON checkpoint BEGIN
    INSERT OR IGNORE INTO erasure (session) VALUES (-OLD.number);
END;

-- So that the next number of either can be taken before its row is there.
INSERT INTO sqlite_sequence (name, seq)
    SELECT 'session', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'session');
INSERT INTO sqlite_sequence (name, seq) VALUES ('checkpoint', 0);
