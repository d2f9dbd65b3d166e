DROP VIEW all_transactions;
DROP FUNCTION energy_register;
DROP TABLE store_transactions, store_transaction_values;
