-- A number alone does not say which record of a log it is. With each claim the database counts the
-- records it takes, and writes down what the log has counted: where the two differ, records that
-- were acknowledged are missing here.

ALTER TABLE ingest_progress
    ADD COLUMN counted_seq bigint,
    ADD COLUMN records bigint,
    ADD COLUMN digest bigint,
    ADD COLUMN digest_from bigint,
    ADD COLUMN log_records bigint,
    ADD COLUMN log_digest bigint;
COMMENT ON COLUMN ingest_progress.counted_seq IS 'Record up to which the columns below count. If it is not seq, somebody has set seq by hand, and they say nothing';
COMMENT ON COLUMN ingest_progress.records IS 'Records of the log up to seq, counted here batch by batch, those of gaps included. NULL until they are counted';
COMMENT ON COLUMN ingest_progress.digest IS 'Sum of the checksums of the records claimed, modulo 2^64. NULL where it is not known, as after damage in the log';
COMMENT ON COLUMN ingest_progress.digest_from IS 'First record that digest is a sum of';
COMMENT ON COLUMN ingest_progress.log_records IS 'Records up to seq, counted by the log itself as it took them; records must be the same';
COMMENT ON COLUMN ingest_progress.log_digest IS 'The same sum, by the log itself; digest must be the same';
