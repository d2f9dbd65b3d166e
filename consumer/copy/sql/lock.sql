-- From here to COMMIT, workers that handle the same messages wait for each other. The numbers are
-- buckets, in ascending order, so that there is no deadlock.
SELECT count(pg_advisory_xact_lock($1::integer, b))
FROM unnest($2::integer[]) WITH ORDINALITY AS x (b, n)
