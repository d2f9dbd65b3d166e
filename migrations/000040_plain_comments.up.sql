-- The same comments in plain words.
COMMENT ON FUNCTION check_attached IS 'Fails if one of these tables is not a partition, or not any more';
COMMENT ON COLUMN meter_values.raw IS 'What sampled and layout cannot say: text and signed by position: the exact text of values that are not plain decimals, the signed value; sample (by position), meter_value, message: fields that have no column; samples: the whole list, where layout_id is 0';
COMMENT ON TABLE transaction_events IS 'Starts, updates and ends of transactions as stations reported them: StartTransaction and StopTransaction (1.6), TransactionEvent (2.x). The table transactions is merged from them.';
COMMENT ON COLUMN transactions.transaction_id IS 'The transaction''s id as text: unique per station only, and with start_key. 1.6: an id of 0 or below that the CSMS did not give to an accepted start is followed by "@" and the digest of its event.';
COMMENT ON COLUMN transactions.total_cost IS 'Cost that the CSMS sent to the station (CostUpdated)';
COMMENT ON VIEW operations IS 'The history of operation_status';
COMMENT ON COLUMN charge_station_settings.settings IS 'By key: {"HeartbeatInterval": {"Value", "Status", "SendAfter", "LastUpdated"}}; merged key by key, each with a time of its own. Value: the last that was set, or that the station accepted or reported; absent while none is known. ValueAt: when, if the key was mentioned since (a change that the station refused sets no value).';
COMMENT ON TABLE store_transactions IS 'Transactions reported through the store. The view all_transactions has them and those that stations reported.';
COMMENT ON COLUMN store_transactions.id_token IS 'Token that started it; NULL = no start was reported';
COMMENT ON COLUMN store_transactions.started_at IS 'First meter value of the start, else when it was reported; NULL = no start was reported';
COMMENT ON COLUMN store_transactions.stopped_at IS 'Last meter value of the end, else when it was reported; NULL = no end was reported';
COMMENT ON COLUMN store_transactions.stopped_reason IS 'Why it ended, if reported';
COMMENT ON COLUMN store_transactions.meter_start IS 'Energy register in Wh at the start, if reported';
COMMENT ON COLUMN store_transactions.meter_stop IS 'Energy register in Wh at the end, if reported';
COMMENT ON COLUMN store_transactions.seq_no_start IS 'seqNo of the start, if reported';
COMMENT ON COLUMN store_transactions.seq_no_stop IS 'seqNo of the end, if reported';
COMMENT ON COLUMN store_transactions.total_cost IS 'Cost so far, if reported';
COMMENT ON TABLE store_transaction_values IS 'Meter values of transactions reported through the store; the same ones reported twice are one row';
COMMENT ON VIEW all_transactions IS 'Transactions from what stations reported and, where they reported nothing, from what was reported through the store';
COMMENT ON VIEW all_runtime IS 'What stations are, from what was set through the store and from their BootNotifications: the newest of each. A delete through the store hides what was reported before it.';
COMMENT ON FUNCTION check_no_table IS 'Fails if there is a table that has the name of a partition and is not one';
COMMENT ON FUNCTION finish_loading IS 'One step with a table of loading_partitions, in a transaction of its own. state: indexed or moving = call it again; attached or moved = its rows are visible; busy = a session still fills it; stepping = another session does a step; gone = it does not exist. duplicates: messages that were there already. Runs as its owner, so that a writer needs no right to create tables.';
COMMENT ON COLUMN tokens.flags IS 'What looks odd about what was set last; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which is used instead';
COMMENT ON COLUMN charge_stations.flags IS 'What looks odd about what was set last; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which is used instead';
COMMENT ON COLUMN charge_station_settings.flags IS 'What looked odd about what was set or reported of any key; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which is used instead';
COMMENT ON COLUMN charge_station_runtime.flags IS 'What looks odd about what was set last; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which is used instead';
COMMENT ON COLUMN charge_station_certificates.flags IS 'What looks odd about what was set last; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which is used instead';
COMMENT ON COLUMN charge_station_triggers.flags IS 'What looks odd about what was set last; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which is used instead';
COMMENT ON COLUMN certificates.flags IS 'What looks odd about what was set last; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which is used instead';
COMMENT ON COLUMN ocpi_registrations.flags IS 'What looks odd about what was set last; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which is used instead';
COMMENT ON COLUMN ocpi_parties.flags IS 'What looks odd about what was set last; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which is used instead';
COMMENT ON COLUMN locations.flags IS 'What looks odd about what was set last; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which is used instead';
COMMENT ON COLUMN ingest_progress.content IS 'For a replay: a digest of the messages up to seq, updated with it. A replay continues after seq only if its own messages up to there have the same digest';
COMMENT ON COLUMN transaction_keys.begins_at IS 'If the id has several sessions: time of the first event of this one, or of its receipt if it has no time';
COMMENT ON TABLE transaction_flags IS 'What is odd about meter values of OCPP 1.6 that name a transaction: kept here until the transaction is stored, and used to tell apart the sessions of an id that was used again. Rows older than all partitions of transactions are removed.';

-- A masked view has the comments of its table.
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN
        SELECT v.relname AS view_name, a.attname AS column_name,
            col_description(t.oid, b.attnum) AS text
        FROM pg_class v
        JOIN pg_class t ON t.relnamespace = v.relnamespace AND t.relname || '_masked' = v.relname
        JOIN pg_attribute a ON a.attrelid = v.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_attribute b ON b.attrelid = t.oid AND b.attname = a.attname
        WHERE v.relnamespace = quote_ident(current_schema())::regnamespace AND v.relkind = 'v'
          AND col_description(v.oid, a.attnum) IS DISTINCT FROM col_description(t.oid, b.attnum)
    LOOP
        EXECUTE format('COMMENT ON COLUMN %I.%I IS %L', c.view_name, c.column_name, c.text);
    END LOOP;
END $$;
