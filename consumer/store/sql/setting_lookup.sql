-- The settings of one station.
SELECT s.charge_station_id, k.key, coalesce(k.value ->> 'Value', '') AS value,
    k.value ->> 'Status' AS status,
    nullif((k.value ->> 'SendAfter')::timestamptz, '0001-01-01 00:00:00Z') AS send_after,
    (k.value ->> 'LastUpdated')::timestamptz AS last_updated
FROM charge_station_settings s
CROSS JOIN LATERAL jsonb_each(s.settings) k
WHERE s.charge_station_id = $1::text
ORDER BY k.key COLLATE "C"
