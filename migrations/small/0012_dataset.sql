-- Data that clients uploaded. The bytes are files beside the databases, datasets/<sha256>, written before their row is.

CREATE TABLE dataset (
    id           INTEGER PRIMARY KEY,
    name         TEXT    NOT NULL UNIQUE,        -- in URLs and in the params of problems
    format       TEXT    NOT NULL,               -- idx, cifar, npy, csv; '' until it is committed
    target       TEXT    NOT NULL,               -- the column of a table that is to be foretold; '' for none
    created_at   INTEGER NOT NULL,
    committed_at INTEGER NOT NULL                -- 0: not yet
) STRICT;

CREATE TABLE dataset_file (
    dataset    INTEGER NOT NULL REFERENCES dataset ON DELETE CASCADE,
    name       TEXT    NOT NULL,                 -- as uploaded
    sha256     TEXT    NOT NULL,                 -- of its bytes, in hexadecimal
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (dataset, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX dataset_file_by_sha256 ON dataset_file (sha256);

-- The datasets that an unfinished job reads.
CREATE TABLE job_dataset (
    job     INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,
    dataset INTEGER NOT NULL REFERENCES dataset,
    PRIMARY KEY (job, dataset)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_dataset_by_dataset ON job_dataset (dataset);
CREATE TRIGGER job_ends_reading AFTER UPDATE OF state ON job WHEN NEW.state >= 3 BEGIN
    DELETE FROM job_dataset WHERE job = NEW.seq;
END;
