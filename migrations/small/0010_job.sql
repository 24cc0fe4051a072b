-- Long work: meta-training and evaluation. What a worker needs to go on after a crash is here, and changes in one
-- transaction with what clients are told of it.

CREATE TABLE job (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT, -- order of creation, in which jobs are taken
    id          TEXT    NOT NULL UNIQUE,         -- in URLs; random
    type        INTEGER NOT NULL,                -- 0 meta_train, 1 evaluate
    state       INTEGER NOT NULL CHECK (state BETWEEN 0 AND 5), -- 0 queued, 1 running, 2 paused, 3 succeeded, 4 failed, 5 cancelled
    turn        INTEGER NOT NULL,                -- how often a worker has taken it; only the last one may write
    spec        TEXT    NOT NULL,                -- JSON, whole: defaults are filled in, so that they may change
    optimizer   INTEGER REFERENCES optimizer ON DELETE SET NULL, -- gets the version; NULL for evaluations
    epoch       INTEGER NOT NULL,                -- done
    epochs      INTEGER NOT NULL,                -- in all
    loss        REAL,                            -- of the last epoch; NULL: none yet, or not finite
    validation  REAL,                            -- the last one, likewise
    worked_ms   INTEGER NOT NULL,                -- time at work, over all turns
    event_last  INTEGER NOT NULL,                -- the highest id of its events
    result      TEXT    NOT NULL,                -- JSON; '' before there is one
    error       TEXT    NOT NULL,                -- JSON; '' unless it failed
    created_at  INTEGER NOT NULL,                -- milliseconds since 1970
    started_at  INTEGER NOT NULL,                -- 0: not yet
    finished_at INTEGER NOT NULL                 -- 0: not yet
) STRICT;
CREATE INDEX job_by_state ON job (state, seq);
CREATE INDEX job_by_optimizer ON job (optimizer);

-- The versions that an unfinished job works with, as its references meant them when it was submitted.
CREATE TABLE job_version (
    job      INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,
    position INTEGER NOT NULL,                   -- in the spec's order
    version  INTEGER NOT NULL REFERENCES version,
    PRIMARY KEY (job, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_version_by_version ON job_version (version);

-- Where an unfinished job goes on: as it was between two epochs, or between two optimizers.
CREATE TABLE job_checkpoint (
    job   INTEGER PRIMARY KEY REFERENCES job ON DELETE CASCADE,
    bytes BLOB    NOT NULL                       -- the core's for a training; results so far for an evaluation
) STRICT;

-- What happened to a job, for clients that follow it. The oldest go when there are too many.
CREATE TABLE job_event (
    job  INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,
    id   INTEGER NOT NULL,                       -- 1, 2, ...
    kind INTEGER NOT NULL,                       -- 0 state, 1 progress, 2 metric, 3 log, 4 done
    at   INTEGER NOT NULL,
    data TEXT    NOT NULL,                       -- JSON
    PRIMARY KEY (job, id)
) STRICT, WITHOUT ROWID;

-- However a job ends.
CREATE TRIGGER job_ends AFTER UPDATE OF state ON job WHEN NEW.state >= 3 BEGIN
    DELETE FROM job_version WHERE job = NEW.seq;
    DELETE FROM job_checkpoint WHERE job = NEW.seq;
END;

-- Where a version comes from.
ALTER TABLE version ADD COLUMN job TEXT NOT NULL DEFAULT '';     -- job.id; '' when no job made it
ALTER TABLE version ADD COLUMN parent TEXT NOT NULL DEFAULT '';  -- "name:7" that its training began from; '' for none
ALTER TABLE version ADD COLUMN metrics TEXT NOT NULL DEFAULT '{}'; -- JSON: what its training measured
