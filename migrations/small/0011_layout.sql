-- What a session is made of beside its size: tensors with names, some with an optimizer of their own.

ALTER TABLE session ADD COLUMN clip_norm   REAL    NOT NULL DEFAULT 0;  -- gradients are scaled down to this norm; 0: never
ALTER TABLE session ADD COLUMN state_bytes INTEGER NOT NULL DEFAULT -1; -- what it remembers; -1: from before this was kept
ALTER TABLE session ADD COLUMN optimizer   INTEGER NOT NULL DEFAULT 0;  -- that of version, so that a listing by it is in order of seq
UPDATE session SET optimizer = (SELECT optimizer FROM version WHERE id = session.version);
CREATE INDEX session_by_optimizer ON session (optimizer);

-- One tensor of a session's layout; the gradient is their concatenation. A session made by a number of coordinates has
-- none.
CREATE TABLE tensor (
    session INTEGER NOT NULL,                     -- session.seq
    idx     INTEGER NOT NULL CHECK (idx >= 0),    -- its place in the layout
    name    TEXT    NOT NULL,
    shape   TEXT    NOT NULL,                     -- "784,20"
    version INTEGER REFERENCES version,           -- its own optimizer, pinned; NULL: the session's
    PRIMARY KEY (session, idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX tensor_by_version ON tensor (version) WHERE version IS NOT NULL;

-- session.labels once more, one row each, so that a listing by a label reads only what it shows.
CREATE TABLE session_label (
    name    TEXT    NOT NULL,
    value   TEXT    NOT NULL,
    session INTEGER NOT NULL,                     -- session.seq
    PRIMARY KEY (name, value, session)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_label_by_session ON session_label (session);
INSERT INTO session_label (name, value, session)
    SELECT label.key, label.value, seq FROM session, json_each(session.labels) AS label;

-- However a session leaves, or changes its labels.
CREATE TRIGGER session_leaves_nothing AFTER DELETE ON session BEGIN
    DELETE FROM tensor WHERE session = OLD.seq;
    DELETE FROM session_label WHERE session = OLD.seq;
END;
CREATE TRIGGER session_is_labelled AFTER INSERT ON session BEGIN
    INSERT INTO session_label (name, value, session) SELECT key, value, NEW.seq FROM json_each(NEW.labels);
END;
CREATE TRIGGER session_is_relabelled AFTER UPDATE OF labels ON session BEGIN
    DELETE FROM session_label WHERE session = NEW.seq;
    INSERT INTO session_label (name, value, session) SELECT key, value, NEW.seq FROM json_each(NEW.labels);
END;
