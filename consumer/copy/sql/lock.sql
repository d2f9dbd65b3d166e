-- Workers that handle the same messages wait for each other from here to COMMIT. The numbers are
-- buckets, ascending, so that nobody waits in a circle.
SELECT count(pg_advisory_xact_lock($1::integer, b))
FROM unnest($2::integer[]) WITH ORDINALITY AS x (b, n)
