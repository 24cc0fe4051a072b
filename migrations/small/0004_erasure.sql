-- Sessions that are gone while the bulk database may still hold rows of them: their deletion is two transactions, one in
-- each file. Written by the first, taken away after the second; what a crash leaves in between is finished at the next start.
CREATE TABLE erasure (
    session INTEGER PRIMARY KEY                  -- session.seq as it was
) STRICT;

-- However a session leaves.
CREATE TRIGGER session_leaves AFTER DELETE ON session BEGIN
    INSERT INTO erasure (session) VALUES (OLD.seq);
END;
