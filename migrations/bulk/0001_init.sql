-- The bulk database holds everything that a step changes, so that one transaction makes a step durable.

-- The gradient of one answered step, cut into rows. A session's state is, for each of its chunks, the chunk plus the
-- gradients from the chunk's step on; gradients older than the oldest chunk are deleted.
CREATE TABLE gradient (
    session INTEGER NOT NULL,                    -- session.seq in the small database
    step    INTEGER NOT NULL CHECK (step >= 0),  -- 0 is the first
    part    INTEGER NOT NULL CHECK (part >= 0),  -- rows of at most 16 MB, in order
    bytes   BLOB    NOT NULL,                    -- little-endian float32, as the client sent them
    PRIMARY KEY (session, step, part)
) STRICT, WITHOUT ROWID;

-- The state of a range of coordinates as it was before a step. A chunk that has no row is in its family's initial
-- state at step 0.
CREATE TABLE chunk (
    session INTEGER NOT NULL,
    idx     INTEGER NOT NULL CHECK (idx >= 0),   -- which range; the server computes its bounds from n and the family
    part    INTEGER NOT NULL CHECK (part >= 0),  -- rows of at most 16 MB, in order
    step    INTEGER NOT NULL CHECK (step >= 0),  -- the state is from before this step
    bytes   BLOB    NOT NULL,                    -- float32 in the order of the core's state array
    PRIMARY KEY (session, idx, part)
) STRICT, WITHOUT ROWID;
