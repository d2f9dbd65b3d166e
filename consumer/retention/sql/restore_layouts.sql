-- The columns $1 of layouts (separated by tabs): as a list, and whether all of them exist.
SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY x.n),
    count(*) = cardinality(string_to_array($1::text, E'\t'))
FROM unnest(string_to_array($1::text, E'\t')) WITH ORDINALITY AS x (name, n)
JOIN pg_attribute a ON a.attname = x.name AND a.attnum > 0 AND NOT a.attisdropped
    AND a.attrelid = 'meter_value_layouts'::regclass
