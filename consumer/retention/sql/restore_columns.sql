-- The first thing about the columns $2, of types $3 (separated by tabs), that does not fit table
-- $1. No row: they fit.
WITH file AS (
    SELECT * FROM unnest(string_to_array($2::text, E'\t'), string_to_array($3::text, E'\t'))
        AS f (name, type)
    WHERE NOT ($1::text = 'transactions' AND f.name IN ('key.begins_at', 'key.fresh'))
), own AS (
    SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
        a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS needed
    FROM pg_attribute a
    WHERE a.attrelid = quote_ident($1::text)::regclass
      AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
)
SELECT format('its column "%s" is not in table "%s"', f.name, $1::text)
FROM file f WHERE f.name NOT IN (SELECT o.name FROM own o)
UNION ALL
SELECT format('its column "%s" is %s, and that of table "%s" is %s', f.name, f.type, $1::text,
    o.type)
FROM file f JOIN own o USING (name) WHERE f.type <> o.type
UNION ALL
SELECT format('it lacks column "%s", which cannot be NULL in table "%s"', o.name, $1::text)
FROM own o WHERE o.needed AND o.name NOT IN (SELECT f.name FROM file f)
LIMIT 1
