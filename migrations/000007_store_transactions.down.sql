DROP VIEW all_transactions;
DROP TABLE store_transactions, store_transaction_values;
