-- Requests that create and carry an Idempotency-Key, for as long as the key is kept: a day.

CREATE TABLE claim (
    id         INTEGER PRIMARY KEY,
    key        TEXT    NOT NULL UNIQUE,          -- hash of whoever asked and the key; the key itself is nowhere
    request    TEXT    NOT NULL,                 -- hash of method, path and body
    location   TEXT,                             -- what was made, written in the same transaction; NULL: nothing yet
    answer     BLOB,                             -- the reply, encrypted with the key; NULL: made anew from location
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX claim_by_age ON claim (created_at);
