-- Who uses one of the tables $1 and $2: the oldest transaction.
SELECT a.pid, coalesce(a.usename, '?'),
    coalesce(to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS'), '?'),
    regexp_replace(left(a.query, 120), '\s+', ' ', 'g')
FROM pg_locks l
JOIN pg_stat_activity a USING (pid)
WHERE l.granted AND l.locktype = 'relation' AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.relation IN (to_regclass(quote_ident($1::text)), to_regclass(quote_ident($2::text)))
ORDER BY a.xact_start NULLS LAST, a.pid
LIMIT 1
