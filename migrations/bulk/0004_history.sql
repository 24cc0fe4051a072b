-- What is shown of a session's steps: entries of three float64 each, in order of steps: the loss that the client sent (NaN:
-- none), the norm of its gradient, the norm of the update.

-- Entries of steps that are not in history yet: of this step last, whose update is not known (NaN), and of the one before;
-- of all since the last row of history where older gradients are not kept.
ALTER TABLE gradient ADD COLUMN trail BLOB NOT NULL DEFAULT x'';

-- Up to 80 steps from `first` on.
CREATE TABLE history (
    session INTEGER NOT NULL,
    first   INTEGER NOT NULL CHECK (first >= 0),
    bytes   BLOB    NOT NULL,
    PRIMARY KEY (session, first)
) STRICT, WITHOUT ROWID;
