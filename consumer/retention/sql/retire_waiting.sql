-- Who is in the way of retiring or dropping partition $2 of table $1, and with which table: the oldest
-- transaction. Detaching a partition also locks the default one.
WITH tables AS (
    SELECT c.oid, c.reltoastrelid
    FROM unnest(ARRAY[to_regclass(quote_ident($1::text)), to_regclass(quote_ident($2::text)),
        (SELECT p.partdefid FROM pg_partitioned_table p
         WHERE p.partrelid = to_regclass(quote_ident($1::text)))::regclass]) AS t (oid)
    JOIN pg_class c USING (oid)
), locked AS (
    SELECT oid FROM tables
    UNION ALL
    SELECT reltoastrelid FROM tables WHERE reltoastrelid <> 0
    UNION ALL
    SELECT i.indexrelid FROM pg_index i JOIN tables t ON i.indrelid = t.oid
)
SELECT a.pid, coalesce(a.usename, '?'), l.relation::regclass::text,
    coalesce(to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS'), '?'),
    regexp_replace(left(a.query, 120), '\s+', ' ', 'g')
FROM pg_locks l
JOIN pg_stat_activity a USING (pid)
WHERE l.granted AND l.locktype = 'relation' AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.relation IN (SELECT oid FROM locked)
ORDER BY a.xact_start NULLS LAST, a.pid, l.relation = to_regclass(quote_ident($2::text)) DESC,
    l.relation = to_regclass(quote_ident($1::text)) DESC
LIMIT 1
