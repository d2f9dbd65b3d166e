-- Workers that merge the same transaction wait for each other here. Those that exist, in the order
-- of their keys.
SELECT count(*)
FROM (
    SELECT FROM unnest($1::text[], $2::text[]) AS x (charge_station_id, transaction_id)
    JOIN transaction_keys k USING (charge_station_id, transaction_id)
    ORDER BY k.charge_station_id, k.transaction_id
    FOR NO KEY UPDATE OF k
) locked
