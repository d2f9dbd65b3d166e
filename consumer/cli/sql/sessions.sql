-- Sessions that began in [$1, $2) (without a start, those whose first known event is there), of
-- station $3 and token $4, or its hash $5; NULL = all. The bare column, so that only its months are
-- read.
SELECT s.*, trim_scale(extract(epoch FROM s.duration)) AS duration_s, NULL::text[] AS reasons
FROM sessions s
WHERE ($1::timestamptz IS NULL OR s.partition_time >= $1)
  AND ($2::timestamptz IS NULL OR s.partition_time < $2)
  AND ($3::text IS NULL OR s.charge_station_id = $3)
  AND ($4::text IS NULL OR lower(s.id_token) IN (lower($4), $5::text))
