-- Promise 2, over everything ever received here: each message ended up in exactly one place.
SELECT coalesce(sum(received), 0), coalesce(sum(stored), 0), coalesce(sum(duplicate), 0),
    coalesce(sum(dead_lettered), 0), coalesce(sum(skipped), 0), coalesce(sum(gap_records), 0),
    (SELECT coalesce(sum(count), 0) FROM (SELECT count FROM dead_letters
        UNION ALL SELECT count FROM dead_letters_beyond) d),
    (SELECT count(DISTINCT v.layout_id) FROM meter_values v
        WHERE v.layout_id <> 0 AND NOT EXISTS (
            SELECT FROM meter_value_layouts l WHERE l.layout_id = v.layout_id)),
    (SELECT count(*) FROM loading_partitions)
FROM ingest_progress
