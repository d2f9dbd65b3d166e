-- The days (UTC) of the partitions of meter_values, as far as they are in [$1, $2), the last one first.
SELECT to_char(d.day AT TIME ZONE 'UTC', 'YYYY-MM-DD'), d.day
FROM (
    SELECT DISTINCT generate_series(
        greatest(p.from_time, date_trunc('day', $1::timestamptz, 'UTC'), '2010-01-01T00:00Z'),
        least(p.to_time, $2::timestamptz, '2100-01-01T00:00Z') - interval '1 microsecond',
        interval '24 hours') AS day
    FROM partition_states() p
    WHERE p.parent = 'meter_values' AND p.state IN ('attached', 'partitioned')
) d
ORDER BY d.day DESC
