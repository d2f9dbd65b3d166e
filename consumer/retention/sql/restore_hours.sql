-- Energy of these hours is computed again (energy_hours).
INSERT INTO energy_pending AS p (day, charge_station_id, hours)
SELECT date_trunc('day', r.event_time, 'UTC'), r.charge_station_id,
    bit_or(1 << extract(hour FROM r.event_time AT TIME ZONE 'UTC')::integer)
FROM pg_temp.restored r
WHERE isfinite(r.event_time)
GROUP BY 1, 2
ORDER BY 1, 2
ON CONFLICT (day, charge_station_id) DO UPDATE SET hours = p.hours | excluded.hours
