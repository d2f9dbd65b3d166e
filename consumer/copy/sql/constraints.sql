-- Deferred constraint triggers run here, not in COMMIT: so their time, errors and locks belong to
-- the rows, and a batch with fewer rows, or without one of them, may succeed.
SET CONSTRAINTS ALL IMMEDIATE
