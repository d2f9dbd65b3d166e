-- The same as sessions.sql for sessions in which something looks wrong, with the reasons.
SELECT s.*, trim_scale(extract(epoch FROM s.duration)) AS duration_s, x.reasons
FROM suspicious_sessions x
JOIN sessions s ON s.charge_station_id = x.charge_station_id
    AND s.partition_time = x.partition_time AND s.transaction_id = x.transaction_id
    AND s.start_key = x.start_key
WHERE ($1::timestamptz IS NULL OR (s.partition_time >= $1 AND x.partition_time >= $1))
  AND ($2::timestamptz IS NULL OR (s.partition_time < $2 AND x.partition_time < $2))
  AND ($3::text IS NULL OR (s.charge_station_id = $3 AND x.charge_station_id = $3))
  AND ($4::text IS NULL OR (lower(s.id_token) IN (lower($4), $5::text)
      AND lower(x.id_token) IN (lower($4), $5::text)))
