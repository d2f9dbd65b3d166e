-- The same comments in plainer words.
COMMENT ON COLUMN ingest_progress.gap_first_seq IS 'First record of the last gap: records that the database lost (a restore) after the log had removed them';
COMMENT ON TABLE transaction_flags IS 'What is odd about meter values of OCPP 1.6 that name a transaction: kept here until the transaction is stored, and used to distinguish the sessions of an id that was used again. Rows older than all partitions of transactions are removed.';
