-- Where a session's steps begin when that is not at 0, because its state was set from outside: restored, imported, forked
-- from another. All its chunks are then from before this step. A checkpoint is a session that never takes a step; it is
-- kept under minus its number (checkpoint in the small database).
CREATE TABLE base (
    session  INTEGER PRIMARY KEY,                -- session.seq in the small database, or -checkpoint.number
    step     INTEGER NOT NULL CHECK (step >= 0),
    -- 1: the state came from a client's file, so that nothing is known of its numbers but that they are finite.
    imported INTEGER NOT NULL CHECK (imported IN (0, 1))
) STRICT;
