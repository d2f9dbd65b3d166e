-- Workers that merge the same transaction wait for each other here. Locks existing keys in order.
-- Each is looked up by its key: a join could read all existing keys, once for each.
SELECT count(*)
FROM (
    SELECT x.*
    FROM unnest($1::text[], $2::text[]) AS x (charge_station_id, transaction_id)
    ORDER BY x.charge_station_id COLLATE "C", x.transaction_id COLLATE "C"
) x
CROSS JOIN LATERAL (
    SELECT FROM transaction_keys k
    WHERE k.charge_station_id = x.charge_station_id AND k.transaction_id = x.transaction_id
      AND k.start_key = ''
    FOR NO KEY UPDATE) locked
