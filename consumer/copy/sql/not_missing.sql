-- Numbers, counted from 0, of meter values that are not missing: their station, time and EVSE
-- already have one. (LIMIT makes it an index lookup in one partition for each.)
SELECT (x.n - 1)::integer
FROM unnest($1::text[], $2::timestamptz[], $3::integer[])
    WITH ORDINALITY AS x (charge_station_id, event_time, evse_id, n)
WHERE (
    SELECT true
    FROM {table} t
    WHERE t.charge_station_id = x.charge_station_id
      AND t.event_time = x.event_time
      AND t.evse_id = x.evse_id
    LIMIT 1
)
