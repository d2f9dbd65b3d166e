-- Statements for rows with the columns $2 (separated by tabs) of table $1, in the order of enum restore_sql
-- (restore.c). The last two have as parameters the first and the last time of the rows.
WITH file AS (
    SELECT f.name, f.n, $1::text = 'transactions' AND f.name IN ('key.begins_at', 'key.fresh') AS of_key
    FROM unnest(string_to_array($2::text, E'\t')) WITH ORDINALITY AS f (name, n)
), lists AS (
    SELECT string_agg(quote_ident(f.name), ', ' ORDER BY f.n) FILTER (WHERE NOT f.of_key) AS columns,
        string_agg(CASE WHEN NOT f.of_key THEN quote_ident(f.name)
            WHEN f.name = 'key.fresh' THEN 'NULL::boolean AS "key.fresh"'
            ELSE 'NULL::timestamptz AS "key.begins_at"' END, ', ' ORDER BY f.n) AS made
    FROM file f
), primary_key AS (
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.n) AS columns,
        string_agg(format('s.%1$I = r.%1$I', a.attname), ' AND ' ORDER BY k.n) AS joined,
        array_agg(a.attname) AS names
    FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k (attnum, n)
    JOIN pg_attribute a ON a.attnum = k.attnum AND a.attrelid = quote_ident($1::text)::regclass
    WHERE i.indrelid = quote_ident($1::text)::regclass AND i.indisprimary
), rules AS (
    -- What makes two rows the same, and what a row with less may lack if the one with more only adds to it.
    -- As text: all types have it. When something was received, and how it was paired and
    -- merged, may differ between two rows that say the same. A transaction's merge_state goes with its
    -- row: so the one with more must have all events that the other may have.
    SELECT a.less, a.more,
        coalesce(string_agg(format('%2$s.%1$I::text IS NOT DISTINCT FROM %3$s.%1$I::text', f.name,
            a.less, a.more), ' AND '), 'true') AS same,
        coalesce(string_agg(format(CASE
            WHEN $1::text <> 'transactions' OR f.name NOT IN ('first_event_at', 'last_event_at',
                    'flags', 'charging_state', 'seq_no_missing')
                THEN '(%2$s.%1$I IS NULL OR %2$s.%1$I::text IS NOT DISTINCT FROM %3$s.%1$I::text)'
            WHEN f.name = 'first_event_at' THEN '(%2$s.%1$I IS NULL OR %2$s.%1$I >= %3$s.%1$I)'
            WHEN f.name = 'last_event_at' THEN '(%2$s.%1$I IS NULL OR %2$s.%1$I <= %3$s.%1$I)'
            WHEN f.name = 'flags' THEN '%2$s.%1$I & ~ %3$s.%1$I = 0'
            WHEN f.name = 'seq_no_missing' THEN '(%2$s.%1$I IS NULL OR %3$s.%1$I = 0)'
            ELSE '(%2$s.%1$I IS NULL OR %2$s.%1$I IS NOT DISTINCT FROM %3$s.%1$I
                OR %2$s.last_event_at < %3$s.last_event_at AND %3$s.seq_no_missing = 0)' END,
            f.name, a.less, a.more), ' AND '), 'true') AS adds
    FROM file f, primary_key k,
        (VALUES ('s', 'r'), ('s', 'excluded'), ('r', 's')) a (less, more)
    WHERE NOT f.of_key AND f.name <> ALL (k.names) AND f.name NOT IN ('received_at',
        'result_received_at', 'result_rank', 'result_digest', 'merge_state', 'updated_at')
    GROUP BY a.less, a.more
), changes AS (
    SELECT string_agg(format(CASE f.name WHEN 'updated_at' THEN '%1$I = now()'
        ELSE '%1$I = excluded.%1$I' END, f.name), ', ') AS list
    FROM file f, primary_key k WHERE NOT f.of_key AND f.name <> ALL (k.names)
), of_transactions AS (
    SELECT $1::text = 'transactions' AS yes, 'EXISTS (
        SELECT FROM transaction_keys k
        WHERE k.charge_station_id = r.charge_station_id AND k.transaction_id = r.transaction_id
          AND k.start_key = r.start_key AND k.partition_time = r.partition_time)' AS has_key
)
SELECT format('CREATE TEMPORARY TABLE restored AS SELECT %s FROM %I WITH NO DATA', l.made, $1::text),
    'COPY pg_temp.restored FROM STDIN (FORMAT binary)',
    format('SELECT ensure_partition(%L, d.at) FROM (
        SELECT DISTINCT date_trunc(%L, %I, ''UTC'') AS at FROM pg_temp.restored) d',
        $1::text, t.step, t.time_column),
    -- Of ids that were used again also the key that stands for no row.
    CASE WHEN o.yes THEN 'INSERT INTO transaction_keys (charge_station_id, transaction_id, start_key,
            partition_time, begins_at, fresh, split)
        SELECT r.* FROM (
            SELECT charge_station_id, transaction_id, start_key, partition_time, "key.begins_at",
                coalesce("key.fresh", false), false
            FROM pg_temp.restored
          UNION ALL
            SELECT DISTINCT charge_station_id, transaction_id, '''', NULL::timestamptz,
                NULL::timestamptz, false, true
            FROM pg_temp.restored WHERE start_key <> '''') r
        ORDER BY 1, 2, 3
        ON CONFLICT (charge_station_id, transaction_id, start_key) DO UPDATE
        SET partition_time = transaction_keys.partition_time' ELSE '' END,
    format('INSERT INTO %1$I (%2$s) SELECT %2$s FROM pg_temp.restored r %3$s ORDER BY %4$s
        ON CONFLICT DO NOTHING', $1::text, l.columns,
        CASE WHEN o.yes THEN 'WHERE ' || o.has_key ELSE '' END, k.columns),
    format('SELECT min(%1$I), max(%1$I) FROM pg_temp.restored', t.time_column),
    -- OFFSET 0: each by its key. The times keep partitions out of it that others may have locked.
    format('INSERT INTO %1$I AS s (%2$s) SELECT %2$s FROM pg_temp.restored r
        WHERE %3$s AND EXISTS (SELECT FROM %1$I s WHERE %4$s AND %5$s AND NOT (%6$s) AND %7$s OFFSET 0)
        ORDER BY %8$s ON CONFLICT (%8$s) DO UPDATE SET %9$s WHERE %10$s', $1::text, l.columns,
        CASE WHEN o.yes THEN o.has_key ELSE 'true' END, k.joined, p.here, u.same, u.adds, k.columns,
        c.list, e.adds),
    -- One that has more than the file's stays, and has what the file says.
    format('SELECT count(*), count(*) FILTER (WHERE %s) FROM pg_temp.restored r
        WHERE NOT EXISTS (SELECT FROM %I s WHERE %s AND %s AND (%s OR %s) OFFSET 0)',
        CASE WHEN o.yes THEN 'NOT ' || o.has_key ELSE 'false' END, $1::text, k.joined, p.here, u.same,
        b.adds)
FROM lists l, primary_key k, of_transactions o, changes c, rules u, rules e, rules b,
    partitioned_tables t, LATERAL format('s.%1$I >= $1 AND s.%1$I <= $2', t.time_column) AS p (here)
WHERE t.table_name = $1::text AND u.more = 'r' AND e.more = 'excluded' AND b.more = 's'
