-- The layouts used by meter values of table $1: columns of the layouts, separated by tabs, and the
-- statement that copies them.
SELECT string_agg(a.attname, E'\t' ORDER BY a.attnum),
    format('COPY (SELECT %s FROM meter_value_layouts l WHERE l.layout_id IN
        (SELECT t.layout_id FROM ONLY %I t) ORDER BY l.layout_id) TO STDOUT',
        string_agg(format('l.%I', a.attname), ', ' ORDER BY a.attnum), $1::text)
FROM pg_attribute a
WHERE a.attrelid = 'meter_value_layouts'::regclass
  AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
