-- Statements for rows with the columns $2 (separated by tabs) of table $1, in the order of enum
-- restore_sql (restore.c).
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
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.n) AS columns
    FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k (attnum, n)
    JOIN pg_attribute a ON a.attnum = k.attnum AND a.attrelid = quote_ident($1::text)::regclass
    WHERE i.indrelid = quote_ident($1::text)::regclass AND i.indisprimary
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
    CASE WHEN o.yes THEN 'SELECT count(*) FROM pg_temp.restored r WHERE NOT ' || o.has_key
        ELSE '' END
FROM lists l, primary_key k, of_transactions o, partitioned_tables t
WHERE t.table_name = $1::text
