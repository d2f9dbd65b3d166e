-- Where tokens can be, a row for each column of each table that has rows: those of partitions, attached
-- or not. $1, $2, $3: tables, columns, kinds (base/token_places.def). The last column: whether it is in the
-- table's primary key.
WITH RECURSIVE places (table_name, column_name, kind) AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
), parents AS (
    SELECT c.oid, c.relname, c.relkind
    FROM pg_class c
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind IN ('r', 'p')
      AND c.relname IN (SELECT table_name FROM places)
), inherited (oid, root) AS (
    -- Rather than pg_partition_tree(), which waits for whoever has locked a partition.
    SELECT p.oid, p.oid FROM parents p
    UNION
    SELECT c.oid, t.root
    FROM inherited t
    JOIN pg_inherits i ON i.inhparent = t.oid
    JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition -- not what others let inherit
), leaves AS (
    SELECT relname AS table_name, oid, false AS moved FROM parents WHERE relkind = 'r'
    UNION
    SELECT p.relname, t.oid, false
    FROM inherited t
    JOIN parents p ON p.oid = t.root
    JOIN pg_class c ON c.oid = t.oid
    WHERE c.relkind <> 'p'
    UNION
    SELECT l.parent, c.oid, false
    FROM partition_states() l
    JOIN pg_class c ON c.oid = l.id
    WHERE l.state IN ('detached', 'retired', 'loading')
    UNION
    -- Moved out of the way after they were detached; of another installation, the parent is beside it.
    SELECT p.relname, c.oid, true
    FROM parents p
    JOIN pg_class c ON starts_with(c.relname, p.relname || '_20')
        AND c.relname ~ '_20\d\d_\d\d(_|$)' AND c.relkind = 'r' AND NOT c.relispartition
        AND c.relnamespace <> quote_ident(current_schema())::regnamespace
    WHERE p.relkind = 'p'
      AND NOT EXISTS (SELECT FROM pg_class o
          WHERE o.relnamespace = c.relnamespace AND o.relname = p.relname)
      AND NOT EXISTS (SELECT FROM places w
          WHERE w.table_name = p.relname AND NOT EXISTS (SELECT FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attname = w.column_name AND NOT a.attisdropped))
)
SELECT l.table_name, l.oid::regclass, quote_ident(a.attname), p.kind,
    CASE WHEN l.moved THEN 'm' ELSE c.relkind::text END,
    EXISTS (SELECT FROM pg_index i
        WHERE i.indrelid = l.oid AND i.indisprimary AND a.attnum = ANY (i.indkey))
FROM leaves l
JOIN pg_class c ON c.oid = l.oid
JOIN places p ON p.table_name = l.table_name
JOIN pg_attribute a ON a.attrelid = l.oid AND a.attname = p.column_name AND NOT a.attisdropped
WHERE c.relkind <> 'p'
ORDER BY l.table_name, l.oid, a.attnum
