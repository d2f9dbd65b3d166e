-- Merged rows of transactions that did not exist.
INSERT INTO transactions ({columns:transactions})
SELECT {x_columns:transactions} FROM {unnest:transactions}
ORDER BY x.charge_station_id, x.transaction_id
