-- The settings of a page of stations, in the order of stations and keys.
SELECT s.charge_station_id, k.key, coalesce(k.value ->> 'Value', '') AS value,
    k.value ->> 'Status' AS status,
    nullif((k.value ->> 'SendAfter')::timestamptz, '0001-01-01 00:00:00Z') AS send_after,
    (k.value ->> 'LastUpdated')::timestamptz AS last_updated
FROM (
    SELECT p.charge_station_id, p.settings
    FROM charge_station_settings p
    WHERE p.charge_station_id > coalesce($1::text, '') AND p.settings <> '{}'
    ORDER BY p.charge_station_id LIMIT $2::integer
) s
CROSS JOIN LATERAL jsonb_each(s.settings) k
ORDER BY s.charge_station_id, k.key COLLATE "C"
