-- Workers that merge the same transaction wait for each other here. Those that exist, in the order
-- of their keys.
SELECT count(*)
FROM (
    SELECT FROM unnest($1::text[], $2::text[]) AS x (charge_station_id, transaction_id)
    JOIN transaction_keys k ON k.charge_station_id = x.charge_station_id
        AND k.transaction_id = x.transaction_id
        AND k.start_key = ''
    ORDER BY k.charge_station_id, k.transaction_id
    FOR NO KEY UPDATE OF k
) locked
