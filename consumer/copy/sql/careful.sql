-- Rows some of which may be there already: from the temporary table they were copied into. The
-- keys of those that were not are returned.
INSERT INTO {table} ({columns})
SELECT {columns} FROM pg_temp.careful_{table}
ORDER BY charge_station_id, event_time, evse_id, digest
ON CONFLICT (charge_station_id, event_time, evse_id, digest) DO NOTHING
RETURNING charge_station_id, event_time, evse_id, digest
