-- The columns of table $1 that can be restored, and the statement that copies them. For $2 =
-- transactions also the other fields of their keys, which go with the partition. One query per row
-- keeps the order of the table, so that the same table always gives the same bytes.
WITH columns AS (
    SELECT a.attnum, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
        format('t.%I', a.attname) AS expression
    FROM pg_attribute a
    WHERE a.attrelid = quote_ident($1::text)::regclass
      AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
  UNION ALL
    SELECT v.number, 'key.' || v.name, v.type, format('(SELECT k.%I FROM transaction_keys k
        WHERE k.charge_station_id = t.charge_station_id AND k.transaction_id = t.transaction_id
          AND k.start_key = t.start_key AND k.partition_time = t.partition_time)', v.name)
    FROM (VALUES (30001, 'begins_at', 'timestamp with time zone'), (30002, 'fresh', 'boolean'))
        AS v (number, name, type)
    WHERE $2::text = 'transactions'
)
SELECT c.name, c.type, format('COPY (SELECT %s FROM ONLY %I t) TO STDOUT (FORMAT binary)',
    string_agg(c.expression, ', ') OVER (ORDER BY c.attnum
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING), $1::text)
FROM columns c
ORDER BY c.attnum
