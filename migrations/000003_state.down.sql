DROP FUNCTION prune_transaction_keys(integer);
DROP TABLE operation_status, connector_status, charge_station_status, exchange_halves,
    transaction_starts, transactions, transaction_keys;
DELETE FROM partitioned_tables WHERE table_name IN ('transaction_starts', 'transactions');
