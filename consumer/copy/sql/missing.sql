-- Meter values that fill in missing ones: from the temporary table that they were copied into,
-- those whose station, time and EVSE have none yet. (LIMIT makes it an index lookup in one
-- partition for each.) Returns the keys of the inserted ones.
INSERT INTO {table} ({columns})
SELECT {columns} FROM pg_temp.careful_{table} c
WHERE (
    SELECT true
    FROM {table} t
    WHERE t.charge_station_id = c.charge_station_id
      AND t.event_time = c.event_time
      AND t.evse_id = c.evse_id
    LIMIT 1
) IS NULL
ORDER BY charge_station_id, event_time, evse_id, digest
ON CONFLICT (charge_station_id, event_time, evse_id, digest) DO NOTHING
RETURNING charge_station_id, event_time, evse_id, digest
