-- What follows from the events: one row per transaction, the newest status of stations and
-- connectors. These rows are merged from facts that may come in any order, any number of times and
-- through several workers; each column takes its value from the fact that ranks highest, never from
-- the one that came last.

CREATE TABLE transaction_keys (
    charge_station_id text COLLATE "C" NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    partition_time timestamptz NOT NULL,
    PRIMARY KEY (charge_station_id, transaction_id)
);
COMMENT ON TABLE transaction_keys IS 'Makes (station, transaction) unique across the partitions of transactions, which a constraint there cannot, and is what workers lock before they merge';
COMMENT ON COLUMN transaction_keys.charge_station_id IS 'Charge station';
COMMENT ON COLUMN transaction_keys.transaction_id IS 'As in transactions';
COMMENT ON COLUMN transaction_keys.partition_time IS 'Where the row in transactions is';
SELECT grant_table('transaction_keys');
CREATE INDEX transaction_keys_partition_time ON transaction_keys (partition_time);

-- From month to month by the index. The lock is that of ensure_partition: nobody makes the partition,
-- and a key for it, while its keys are removed.
CREATE FUNCTION prune_transaction_keys(rows_max integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    at timestamptz := '-infinity';
    part record;
    removed bigint := 0;
    more bigint;
BEGIN
    LOOP
        SELECT min(k.partition_time) INTO at FROM transaction_keys k WHERE k.partition_time >= at;
        EXIT WHEN at IS NULL OR removed >= rows_max;
        SELECT * INTO part FROM partition_of('transactions', at);
        IF to_regclass(format('%I', part.name)) IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtext('ocpp-persister partition'), hashtext(part.name));
            IF to_regclass(format('%I', part.name)) IS NULL THEN
                DELETE FROM transaction_keys WHERE ctid = ANY (ARRAY(
                    SELECT ctid FROM transaction_keys k
                    WHERE k.partition_time >= part.lower_bound
                      AND k.partition_time < part.upper_bound
                    LIMIT rows_max - removed FOR UPDATE SKIP LOCKED));
                GET DIAGNOSTICS more = ROW_COUNT;
                removed := removed + more;
            END IF;
        END IF;
        at := part.upper_bound;
    END LOOP;
    RETURN removed;
END $$;
COMMENT ON FUNCTION prune_transaction_keys IS 'Removes keys of transactions whose partition was dropped, at most so many; returns how many. The program calls it every minute.';
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION prune_transaction_keys SET search_path = %I, pg_temp',
        current_schema());
END $$;

CREATE TABLE transactions (
    charge_station_id text COLLATE "C" NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    partition_time timestamptz NOT NULL,
    flags integer NOT NULL,
    ocpp_version text,
    evse_id integer,
    connector_id integer,
    id_token text,
    id_token_type text,
    id_token_status text,
    group_id_token text,
    started_at timestamptz,
    stopped_at timestamptz,
    meter_start numeric,
    meter_stop numeric,
    stop_id_token text,
    stopped_reason text,
    start_trigger text,
    stop_trigger text,
    charging_state text,
    offline boolean,
    reservation_id integer,
    remote_start_id integer,
    total_cost numeric,
    seq_no_start integer,
    seq_no_stop integer,
    start_flags integer,
    stop_flags integer,
    seq_no_missing integer,
    first_event_at timestamptz,
    last_event_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    merge_state bytea NOT NULL,
    PRIMARY KEY (charge_station_id, partition_time, transaction_id)
) PARTITION BY RANGE (partition_time);
COMMENT ON TABLE transactions IS 'One row per transaction, merged from its events. The view sessions is made for reading.';
COMMENT ON COLUMN transactions.charge_station_id IS 'Charge station';
COMMENT ON COLUMN transactions.transaction_id IS 'The transaction''s id as text: unique per station only. An id that is no id (0, -1: the station never got one) has "@" and the digest of its event behind it.';
COMMENT ON COLUMN transactions.partition_time IS 'started_at if known, else the earliest known event';
COMMENT ON COLUMN transactions.flags IS 'What looks odd; see flag_names()';
COMMENT ON COLUMN transactions.ocpp_version IS '1.6, 2.0.1 or 2.1';
COMMENT ON COLUMN transactions.evse_id IS 'EVSE (2.x) or connector (1.6)';
COMMENT ON COLUMN transactions.connector_id IS 'Connector, where stated';
COMMENT ON COLUMN transactions.id_token IS 'Token that started or authorized it, as written';
COMMENT ON COLUMN transactions.id_token_type IS '2.x: type of the token';
COMMENT ON COLUMN transactions.id_token_status IS '1.6: the answer to StartTransaction about the token';
COMMENT ON COLUMN transactions.group_id_token IS 'Parent or group of the token, from the answer';
COMMENT ON COLUMN transactions.started_at IS 'The station''s time of the start; NULL = no start seen, -infinity = its time was invalid';
COMMENT ON COLUMN transactions.stopped_at IS 'The station''s time of the end; NULL = no end seen, -infinity = its time was invalid';
COMMENT ON COLUMN transactions.meter_start IS 'Energy register at the start in Wh: meterStart (1.6), the Transaction.Begin sample (2.x)';
COMMENT ON COLUMN transactions.meter_stop IS 'Energy register at the end in Wh: meterStop (1.6), the Transaction.End sample (2.x)';
COMMENT ON COLUMN transactions.stop_id_token IS 'Token that stopped it, where stated';
COMMENT ON COLUMN transactions.stopped_reason IS 'Why it ended, as reported; NULL = not stated (Local by default)';
COMMENT ON COLUMN transactions.start_trigger IS '2.x: triggerReason of the start';
COMMENT ON COLUMN transactions.stop_trigger IS '2.x: triggerReason of the end';
COMMENT ON COLUMN transactions.charging_state IS '2.x: the last state reported';
COMMENT ON COLUMN transactions.offline IS '2.x: true if the start happened offline';
COMMENT ON COLUMN transactions.reservation_id IS 'Reservation that it used up';
COMMENT ON COLUMN transactions.remote_start_id IS '2.x: remoteStartId of the request that started it';
COMMENT ON COLUMN transactions.total_cost IS 'Cost as the CSMS told the station (CostUpdated)';
COMMENT ON COLUMN transactions.seq_no_start IS '2.x: seqNo of the start';
COMMENT ON COLUMN transactions.seq_no_stop IS '2.x: seqNo of the end';
COMMENT ON COLUMN transactions.start_flags IS 'What looks odd about the start; see flag_names()';
COMMENT ON COLUMN transactions.stop_flags IS 'What looks odd about the end; see flag_names()';
COMMENT ON COLUMN transactions.seq_no_missing IS '2.x: numbers missing between the lowest and the highest seqNo seen. A station may drop every second update when short of memory (E04.FR.08).';
COMMENT ON COLUMN transactions.first_event_at IS 'Earliest event of it that is known';
COMMENT ON COLUMN transactions.last_event_at IS 'Latest event of it that is known';
COMMENT ON COLUMN transactions.updated_at IS 'When this row last changed here';
COMMENT ON COLUMN transactions.merge_state IS 'Ranks of the facts that the columns come from; only the program reads it';
SELECT make_partitioned('transactions', 'partition_time', 'month');

CREATE TABLE transaction_starts (
    charge_station_id text COLLATE "C" NOT NULL,
    event_time timestamptz NOT NULL,
    evse_id integer NOT NULL,
    digest bigint NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    result_received_at timestamptz NOT NULL,
    id_token_status text,
    group_id_token text,
    expiry_date timestamptz,
    PRIMARY KEY (charge_station_id, event_time, evse_id, digest, transaction_id)
) PARTITION BY RANGE (event_time);
COMMENT ON TABLE transaction_starts IS '1.6: which start (transaction_events) got which transaction id. A start that was retried may have several; where message ids repeat, so may an id.';
COMMENT ON COLUMN transaction_starts.charge_station_id IS 'Charge station';
COMMENT ON COLUMN transaction_starts.event_time IS 'Of the start in transaction_events';
COMMENT ON COLUMN transaction_starts.evse_id IS 'Of the start in transaction_events';
COMMENT ON COLUMN transaction_starts.digest IS 'Of the start in transaction_events';
COMMENT ON COLUMN transaction_starts.transaction_id IS 'transactionId of the result, as written';
COMMENT ON COLUMN transaction_starts.result_received_at IS 'When the result was received';
COMMENT ON COLUMN transaction_starts.id_token_status IS 'idTagInfo.status of the result';
COMMENT ON COLUMN transaction_starts.group_id_token IS 'idTagInfo.parentIdTag of the result';
COMMENT ON COLUMN transaction_starts.expiry_date IS 'idTagInfo.expiryDate of the result';
SELECT make_partitioned('transaction_starts', 'event_time', 'month');

CREATE TABLE exchange_halves (
    charge_station_id text COLLATE "C" NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    half "char" NOT NULL,
    received_at timestamptz NOT NULL,
    digest bigint NOT NULL,
    action text NOT NULL,
    trace_id text COLLATE "C",
    event_time timestamptz,
    evse_id integer,
    transaction_id text COLLATE "C",
    id_token_status text,
    group_id_token text,
    expiry_date timestamptz,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charge_station_id, message_id, half, received_at, digest)
);
CREATE INDEX exchange_halves_stored_at ON exchange_halves (stored_at);
COMMENT ON TABLE exchange_halves IS 'Calls whose result matters and results that a call may wait for, until they are too old to be paired. Call and result may come in either order, through different workers.';
COMMENT ON COLUMN exchange_halves.charge_station_id IS 'Charge station';
COMMENT ON COLUMN exchange_halves.message_id IS 'OCPP message id, equal in call and result';
COMMENT ON COLUMN exchange_halves.half IS 'c = call, r = result';
COMMENT ON COLUMN exchange_halves.received_at IS 'When this half was received';
COMMENT ON COLUMN exchange_halves.digest IS 'Call: digest of its row. Result: digest of its content.';
COMMENT ON COLUMN exchange_halves.action IS 'OCPP action; empty in results that do not carry it';
COMMENT ON COLUMN exchange_halves.trace_id IS 'W3C trace id from the MQTT 5 correlation data, where present: equal in call and result of one exchange';
COMMENT ON COLUMN exchange_halves.event_time IS 'Call: event_time of its row';
COMMENT ON COLUMN exchange_halves.evse_id IS 'Call: evse_id of its row';
COMMENT ON COLUMN exchange_halves.transaction_id IS 'Result of StartTransaction: transactionId';
COMMENT ON COLUMN exchange_halves.id_token_status IS 'Result: status of the token';
COMMENT ON COLUMN exchange_halves.group_id_token IS 'Result: parent or group of the token';
COMMENT ON COLUMN exchange_halves.expiry_date IS 'Result: when the authorization expires';
COMMENT ON COLUMN exchange_halves.stored_at IS 'When it was stored here';
SELECT grant_table('exchange_halves');

CREATE TABLE charge_station_status (
    charge_station_id text COLLATE "C" PRIMARY KEY,
    ocpp_version text,
    vendor text,
    model text,
    serial_number text,
    firmware_version text,
    boot_reason text,
    charge_box_serial_number text,
    iccid text,
    imsi text,
    meter_type text,
    meter_serial_number text,
    booted_at timestamptz,
    boot_digest bigint,
    last_heartbeat_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE charge_station_status IS 'The newest that is known about each charge station';
COMMENT ON COLUMN charge_station_status.charge_station_id IS 'Charge station';
COMMENT ON COLUMN charge_station_status.ocpp_version IS 'Of its last BootNotification';
COMMENT ON COLUMN charge_station_status.vendor IS 'chargePointVendor (1.6) or chargingStation.vendorName (2.x)';
COMMENT ON COLUMN charge_station_status.model IS 'chargePointModel (1.6) or chargingStation.model (2.x)';
COMMENT ON COLUMN charge_station_status.serial_number IS 'chargePointSerialNumber (1.6) or chargingStation.serialNumber (2.x)';
COMMENT ON COLUMN charge_station_status.firmware_version IS 'firmwareVersion';
COMMENT ON COLUMN charge_station_status.boot_reason IS '2.x: reason';
COMMENT ON COLUMN charge_station_status.charge_box_serial_number IS '1.6: chargeBoxSerialNumber';
COMMENT ON COLUMN charge_station_status.iccid IS 'Of its SIM card: iccid (1.6) or chargingStation.modem.iccid (2.x)';
COMMENT ON COLUMN charge_station_status.imsi IS 'Of its SIM card: imsi (1.6) or chargingStation.modem.imsi (2.x)';
COMMENT ON COLUMN charge_station_status.meter_type IS '1.6: meterType';
COMMENT ON COLUMN charge_station_status.meter_serial_number IS '1.6: meterSerialNumber';
COMMENT ON COLUMN charge_station_status.booted_at IS 'When its last BootNotification was received';
COMMENT ON COLUMN charge_station_status.boot_digest IS 'Decides between two of the same time';
COMMENT ON COLUMN charge_station_status.last_heartbeat_at IS 'When its last Heartbeat was received';
COMMENT ON COLUMN charge_station_status.updated_at IS 'When this row last changed here';
SELECT grant_table('charge_station_status');

CREATE TABLE connector_status (
    charge_station_id text COLLATE "C" NOT NULL,
    evse_id integer NOT NULL,
    connector_id integer NOT NULL,
    status text,
    error_code text,
    info text,
    vendor_id text,
    vendor_error_code text,
    event_time timestamptz NOT NULL,
    digest bigint NOT NULL,
    received_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charge_station_id, evse_id, connector_id)
);
COMMENT ON TABLE connector_status IS 'The newest StatusNotification of each connector, by the station''s own time. All of them are in ocpp_events.';
COMMENT ON COLUMN connector_status.charge_station_id IS 'Charge station';
COMMENT ON COLUMN connector_status.evse_id IS 'EVSE (2.x) or connector (1.6); 0 = the whole station';
COMMENT ON COLUMN connector_status.connector_id IS 'Connector; -1 = not stated';
COMMENT ON COLUMN connector_status.status IS 'status (1.6) or connectorStatus (2.x), as written';
COMMENT ON COLUMN connector_status.error_code IS '1.6: errorCode';
COMMENT ON COLUMN connector_status.info IS '1.6: info';
COMMENT ON COLUMN connector_status.vendor_id IS '1.6: vendorId';
COMMENT ON COLUMN connector_status.vendor_error_code IS '1.6: vendorErrorCode';
COMMENT ON COLUMN connector_status.event_time IS 'The station''s own time, or the time of receipt where it gave none';
COMMENT ON COLUMN connector_status.digest IS 'Decides between two of the same time';
COMMENT ON COLUMN connector_status.received_at IS 'When it was received from the broker';
COMMENT ON COLUMN connector_status.updated_at IS 'When this row last changed here';
SELECT grant_table('connector_status');

CREATE TABLE operation_status (
    charge_station_id text COLLATE "C" NOT NULL,
    operation text NOT NULL,
    status text,
    request_id integer,
    received_at timestamptz NOT NULL,
    digest bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charge_station_id, operation)
);
COMMENT ON TABLE operation_status IS 'How far a station is with what takes it a while: the newest FirmwareStatusNotification, DiagnosticsStatusNotification and so on. All of them are in ocpp_events.';
COMMENT ON COLUMN operation_status.charge_station_id IS 'Charge station';
COMMENT ON COLUMN operation_status.operation IS 'firmware (an update), publish_firmware (2.x: as a local controller), diagnostics (1.6: an upload), log (an upload)';
COMMENT ON COLUMN operation_status.status IS 'status, as written';
COMMENT ON COLUMN operation_status.request_id IS 'requestId of the request that it belongs to, where stated';
COMMENT ON COLUMN operation_status.received_at IS 'When it was received: these messages carry no time of their own';
COMMENT ON COLUMN operation_status.digest IS 'Decides between two of the same time';
COMMENT ON COLUMN operation_status.updated_at IS 'When this row last changed here';
SELECT grant_table('operation_status');
