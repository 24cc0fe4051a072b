-- When a session that has a ttl was last used: written with each of its steps, since it must survive what they survive.
CREATE TABLE last_use (
    session INTEGER PRIMARY KEY,                 -- session.seq in the small database
    at      INTEGER NOT NULL                     -- milliseconds since 1970
) STRICT;
