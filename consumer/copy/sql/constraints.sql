-- What deferred constraint triggers have to say is said here, not by COMMIT: its time, its errors and
-- its locks are those of the rows, so a batch of fewer rows, or without one, may do better.
SET CONSTRAINTS ALL IMMEDIATE
