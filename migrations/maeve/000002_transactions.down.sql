DROP VIEW transactions, transaction_meter_values, meter_values;
DROP VIEW transaction_sources;
DROP FUNCTION write_transaction, write_transaction_values, sampled_values, one_sample;
DROP INDEX ocpp.maeve_transaction_keys_id, ocpp.maeve_transaction_keys_name,
    ocpp.maeve_store_transactions_name;
DROP FUNCTION transaction_name, transaction_number, finite, fitting;
