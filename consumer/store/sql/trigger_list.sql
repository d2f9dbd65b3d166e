-- A page of them, in the order of their keys.
SELECT
    charge_station_id, message_type, status, connector_id, send_after, last_updated
FROM charge_station_triggers
WHERE NOT deleted AND charge_station_id > coalesce($1::text, '')
ORDER BY charge_station_id
LIMIT $2::integer
