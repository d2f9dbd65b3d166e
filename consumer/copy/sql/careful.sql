-- Rows of which some may already be stored: inserts from the temporary table that they were copied
-- into. Returns the keys of those that were not stored.
INSERT INTO {table} ({columns})
SELECT {columns} FROM pg_temp.careful_{table}
ORDER BY charge_station_id, event_time, evse_id, digest
ON CONFLICT (charge_station_id, event_time, evse_id, digest) DO NOTHING
RETURNING charge_station_id, event_time, evse_id, digest
