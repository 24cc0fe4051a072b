-- API keys. The key itself is nowhere: it is shown once, when it is made.

-- Who may call, and what for. A key's text is descent_<id>_<secret>.
CREATE TABLE key (
    id           TEXT    PRIMARY KEY,            -- 16 hexadecimal digits, random; in URLs and in the key's text
    name         TEXT    NOT NULL UNIQUE,        -- for people
    scopes       TEXT    NOT NULL,               -- words with a comma between: "sessions:read,sessions:write"
    hash         TEXT    NOT NULL,               -- SHA-256 of the key's text, in hexadecimal
    created_at   INTEGER NOT NULL,               -- milliseconds since 1970
    rotated_at   INTEGER NOT NULL,               -- when its secret was made: created_at at first
    expires_at   INTEGER NOT NULL,               -- 0: never
    last_used_at INTEGER NOT NULL                -- 0: never; a minute behind the truth at most
) STRICT;
