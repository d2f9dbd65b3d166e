-- What happened: one row per fact, append only. All four tables have the same key:
--
--   charge_station_id, event_time, evse_id, digest
--
-- It is made of the station's own words, never of the OCPP message id (ids restart after a reboot
-- and change on retry), so a repeat finds its first copy months later, whatever path it took.

CREATE TABLE meter_values (
    charge_station_id text COLLATE "C" NOT NULL,
    event_time timestamptz NOT NULL,
    digest bigint NOT NULL,
    received_at timestamptz NOT NULL,
    layout_id bigint NOT NULL,
    evse_id integer NOT NULL,
    connector_id integer,
    seq_no integer,
    flags integer NOT NULL,
    time_source "char" NOT NULL,
    source "char" NOT NULL,
    transaction_id text COLLATE "C",
    time_text text,
    sampled numeric[] NOT NULL,
    raw jsonb,
    payload_raw bytea,
    PRIMARY KEY (charge_station_id, event_time, evse_id, digest)
) PARTITION BY RANGE (event_time);
COMMENT ON TABLE meter_values IS 'One row per OCPP MeterValue: the values in sampled, what each of them measures in meter_value_layouts. Read it through the views meter_samples and meter_values_json. There is no index on transaction_id (it would halve the rate of writing): find a transaction''s values by station and time.';
COMMENT ON COLUMN meter_values.charge_station_id IS 'Charge station, from the topic';
COMMENT ON COLUMN meter_values.event_time IS 'The station''s own time if valid and in [2010, 2100), else -infinity; the time of receipt where the station gave none';
COMMENT ON COLUMN meter_values.received_at IS 'When the message was received from the broker';
COMMENT ON COLUMN meter_values.digest IS 'XXH3-64 of the content: equal facts have equal digests';
COMMENT ON COLUMN meter_values.layout_id IS 'meter_value_layouts.layout_id; 0 = raw describes the samples itself';
COMMENT ON COLUMN meter_values.evse_id IS 'EVSE (2.x) or connector (1.6); 0 = the whole station, -1 = not stated';
COMMENT ON COLUMN meter_values.connector_id IS 'Connector, where stated';
COMMENT ON COLUMN meter_values.seq_no IS '2.x: seqNo of the TransactionEvent that carried the value';
COMMENT ON COLUMN meter_values.flags IS 'What looks odd; see flag_names()';
COMMENT ON COLUMN meter_values.time_source IS 's = station, r = time of receipt (station gave none), i = invalid (event_time is -infinity, time_text has the text)';
COMMENT ON COLUMN meter_values.source IS 'M = MeterValues, E = TransactionEvent, S = StopTransaction.transactionData';
COMMENT ON COLUMN meter_values.transaction_id IS 'OCPP transaction id, where stated';
COMMENT ON COLUMN meter_values.time_text IS 'The station''s text, where event_time does not say all of it';
COMMENT ON COLUMN meter_values.sampled IS 'The values in the order of the layout, exactly as written where they are plain decimals; NULL = not a number (see raw)';
COMMENT ON COLUMN meter_values.raw IS 'What sampled and layout cannot say: text and signed by position: the exact text of what is no plain decimal, the signed value; sample (by position), meter_value, message: fields that have no column; samples: the whole list, where layout_id is 0';
COMMENT ON COLUMN meter_values.payload_raw IS 'The message as received, where its text could not be stored unchanged';
SELECT make_partitioned('meter_values', 'event_time', 'day');

CREATE TABLE meter_value_layouts (
    layout_id bigint PRIMARY KEY,
    measurand text[] NOT NULL,
    phase text[] NOT NULL,
    context text[] NOT NULL,
    location text[] NOT NULL,
    unit text[] NOT NULL,
    multiplier integer[] NOT NULL,
    format text[] NOT NULL,
    layout text NOT NULL,
    first_charge_station_id text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE meter_value_layouts IS 'What the positions of meter_values.sampled measure. A station sends the same set of samples every time, so the set is stored once. The id is the digest of the set: it is the same in every worker and every database.';
COMMENT ON COLUMN meter_value_layouts.layout_id IS 'XXH3-64 of layout';
COMMENT ON COLUMN meter_value_layouts.measurand IS 'Per position, as written; NULL = not stated (Energy.Active.Import.Register by default)';
COMMENT ON COLUMN meter_value_layouts.phase IS 'Per position; NULL = all phases together';
COMMENT ON COLUMN meter_value_layouts.context IS 'Per position; NULL = not stated (Sample.Periodic by default)';
COMMENT ON COLUMN meter_value_layouts.location IS 'Per position; NULL = not stated (Outlet by default)';
COMMENT ON COLUMN meter_value_layouts.unit IS 'Per position; NULL = not stated (Wh by default if the measurand is an energy)';
COMMENT ON COLUMN meter_value_layouts.multiplier IS 'Per position; power of ten (2.x unitOfMeasure.multiplier); NULL = not stated';
COMMENT ON COLUMN meter_value_layouts.format IS 'Per position, 1.6; NULL = not stated (Raw by default)';
COMMENT ON COLUMN meter_value_layouts.layout IS 'Canonical text of the set, of which layout_id is the digest';
COMMENT ON COLUMN meter_value_layouts.first_charge_station_id IS 'The station that used it first';
COMMENT ON COLUMN meter_value_layouts.created_at IS 'When it was first stored';
SELECT grant_table('meter_value_layouts');

CREATE TABLE transaction_events (
    charge_station_id text COLLATE "C" NOT NULL,
    event_time timestamptz NOT NULL,
    evse_id integer NOT NULL,
    digest bigint NOT NULL,
    received_at timestamptz NOT NULL,
    time_source "char" NOT NULL,
    flags integer NOT NULL,
    connector_id integer,
    ocpp_version text NOT NULL,
    event_type text,
    transaction_id text COLLATE "C",
    seq_no integer,
    trigger_reason text,
    charging_state text,
    id_token text,
    id_token_type text,
    meter_start numeric,
    meter_stop numeric,
    stopped_reason text,
    offline boolean,
    reservation_id integer,
    remote_start_id integer,
    number_of_phases_used integer,
    cable_max_current numeric,
    time_spent_charging integer,
    message_id text,
    time_text text,
    extra jsonb,
    payload_raw bytea,
    PRIMARY KEY (charge_station_id, event_time, evse_id, digest)
) PARTITION BY RANGE (event_time);
COMMENT ON TABLE transaction_events IS 'Starts, updates and ends of transactions as stations reported them: StartTransaction and StopTransaction (1.6), TransactionEvent (2.x). The table transactions is made of these.';
COMMENT ON COLUMN transaction_events.charge_station_id IS 'Charge station, from the topic';
COMMENT ON COLUMN transaction_events.event_time IS 'The station''s own time if valid and in [2010, 2100), else -infinity';
COMMENT ON COLUMN transaction_events.evse_id IS 'EVSE (2.x) or connector (1.6); 0 = the whole station, -1 = not stated';
COMMENT ON COLUMN transaction_events.digest IS 'XXH3-64 of the content: equal facts have equal digests';
COMMENT ON COLUMN transaction_events.received_at IS 'When the message was received from the broker';
COMMENT ON COLUMN transaction_events.time_source IS 's = station, r = time of receipt (station gave none), i = invalid (event_time is -infinity, time_text has the text)';
COMMENT ON COLUMN transaction_events.flags IS 'What looks odd; see flag_names()';
COMMENT ON COLUMN transaction_events.connector_id IS 'Connector, where stated';
COMMENT ON COLUMN transaction_events.ocpp_version IS '1.6, 2.0.1 or 2.1';
COMMENT ON COLUMN transaction_events.event_type IS 'Started, Updated or Ended (1.6: StartTransaction = Started, StopTransaction = Ended); NULL = not stated';
COMMENT ON COLUMN transaction_events.transaction_id IS 'As the station wrote it. NULL for a 1.6 start, whose id comes with the result: see transaction_starts';
COMMENT ON COLUMN transaction_events.seq_no IS '2.x: seqNo';
COMMENT ON COLUMN transaction_events.trigger_reason IS '2.x: triggerReason';
COMMENT ON COLUMN transaction_events.charging_state IS '2.x: transactionInfo.chargingState';
COMMENT ON COLUMN transaction_events.id_token IS 'idTag (1.6) or idToken.idToken (2.x), as written; compare without regard to case';
COMMENT ON COLUMN transaction_events.id_token_type IS '2.x: idToken.type';
COMMENT ON COLUMN transaction_events.meter_start IS '1.6: meterStart in Wh';
COMMENT ON COLUMN transaction_events.meter_stop IS '1.6: meterStop in Wh';
COMMENT ON COLUMN transaction_events.stopped_reason IS 'Why it ended, as reported; NULL = not stated (Local by default)';
COMMENT ON COLUMN transaction_events.offline IS '2.x: true if the event happened while the station was offline';
COMMENT ON COLUMN transaction_events.reservation_id IS 'Reservation that the transaction used up';
COMMENT ON COLUMN transaction_events.remote_start_id IS '2.x: remoteStartId of the request that started it';
COMMENT ON COLUMN transaction_events.number_of_phases_used IS '2.x: numberOfPhasesUsed';
COMMENT ON COLUMN transaction_events.cable_max_current IS '2.x: cableMaxCurrent in A';
COMMENT ON COLUMN transaction_events.time_spent_charging IS '2.x: transactionInfo.timeSpentCharging in seconds';
COMMENT ON COLUMN transaction_events.message_id IS 'OCPP message id; not unique over time';
COMMENT ON COLUMN transaction_events.time_text IS 'The station''s text, where event_time does not say all of it';
COMMENT ON COLUMN transaction_events.extra IS 'Fields of the message that have no column';
COMMENT ON COLUMN transaction_events.payload_raw IS 'The message as received, where its text could not be stored unchanged';
SELECT make_partitioned('transaction_events', 'event_time', 'month');

CREATE TABLE authorizations (
    charge_station_id text COLLATE "C" NOT NULL,
    event_time timestamptz NOT NULL,
    evse_id integer NOT NULL,
    digest bigint NOT NULL,
    received_at timestamptz NOT NULL,
    time_source "char" NOT NULL,
    flags integer NOT NULL,
    ocpp_version text NOT NULL,
    id_token text,
    id_token_type text,
    message_id text,
    extra jsonb,
    status text,
    group_id_token text,
    expiry_date timestamptz,
    result_received_at timestamptz,
    result_rank bigint,
    result_digest bigint,
    payload_raw bytea,
    PRIMARY KEY (charge_station_id, event_time, evse_id, digest)
) PARTITION BY RANGE (event_time);
COMMENT ON TABLE authorizations IS 'Authorize requests, with the outcome from their results';
COMMENT ON COLUMN authorizations.charge_station_id IS 'Charge station, from the topic';
COMMENT ON COLUMN authorizations.event_time IS 'Time of receipt: Authorize carries no time of its own';
COMMENT ON COLUMN authorizations.evse_id IS '-1: Authorize names no EVSE';
COMMENT ON COLUMN authorizations.digest IS 'XXH3-64 of direction, action, message id and content';
COMMENT ON COLUMN authorizations.received_at IS 'When the request was received from the broker';
COMMENT ON COLUMN authorizations.time_source IS 'r: time of receipt';
COMMENT ON COLUMN authorizations.flags IS 'What looks odd; see flag_names()';
COMMENT ON COLUMN authorizations.ocpp_version IS '1.6, 2.0.1 or 2.1';
COMMENT ON COLUMN authorizations.id_token IS 'idTag (1.6) or idToken.idToken (2.x), as written; compare without regard to case';
COMMENT ON COLUMN authorizations.id_token_type IS '2.x: idToken.type';
COMMENT ON COLUMN authorizations.message_id IS 'OCPP message id; not unique over time';
COMMENT ON COLUMN authorizations.extra IS 'Fields of the request that have no column';
COMMENT ON COLUMN authorizations.status IS 'Outcome: Accepted, Blocked, Expired, Invalid, ConcurrentTx, ...; NULL = no result seen';
COMMENT ON COLUMN authorizations.group_id_token IS 'parentIdTag (1.6) or groupIdToken.idToken (2.x)';
COMMENT ON COLUMN authorizations.expiry_date IS 'expiryDate (1.6) or cacheExpiryDateTime (2.x)';
COMMENT ON COLUMN authorizations.result_received_at IS 'When the result was received';
COMMENT ON COLUMN authorizations.result_rank IS 'How near the result is to the request, in microseconds and more: where message ids repeat, the nearest wins';
COMMENT ON COLUMN authorizations.result_digest IS 'Decides between two results equally near; the result itself is in ocpp_events';
COMMENT ON COLUMN authorizations.payload_raw IS 'The message as received, where its text could not be stored unchanged';
SELECT make_partitioned('authorizations', 'event_time', 'month');

CREATE TABLE ocpp_events (
    charge_station_id text COLLATE "C" NOT NULL,
    event_time timestamptz NOT NULL,
    evse_id integer NOT NULL,
    digest bigint NOT NULL,
    received_at timestamptz NOT NULL,
    time_source "char" NOT NULL,
    flags integer NOT NULL,
    connector_id integer,
    ocpp_version text NOT NULL,
    direction text NOT NULL,
    kind text NOT NULL,
    action text NOT NULL,
    message_id text,
    trace_id text COLLATE "C",
    payload jsonb,
    request jsonb,
    error_code text,
    error_description text,
    time_text text,
    payload_raw bytea,
    PRIMARY KEY (charge_station_id, event_time, evse_id, digest)
) PARTITION BY RANGE (event_time);
COMMENT ON TABLE ocpp_events IS 'Every OCPP message that has no table of its own, in both directions';
COMMENT ON COLUMN ocpp_events.charge_station_id IS 'Charge station, from the topic';
COMMENT ON COLUMN ocpp_events.event_time IS 'The station''s own time if the message has one that is valid and in [2010, 2100); -infinity if it has one that is not; else the time of receipt';
COMMENT ON COLUMN ocpp_events.evse_id IS 'EVSE (2.x) or connector (1.6); 0 = the whole station, -1 = not stated';
COMMENT ON COLUMN ocpp_events.digest IS 'XXH3-64 of the content; with direction, action and message id where the message has no time of its own';
COMMENT ON COLUMN ocpp_events.received_at IS 'When the message was received from the broker';
COMMENT ON COLUMN ocpp_events.time_source IS 's = station, r = time of receipt (station gave none), i = invalid (event_time is -infinity, time_text has the text)';
COMMENT ON COLUMN ocpp_events.flags IS 'What looks odd; see flag_names()';
COMMENT ON COLUMN ocpp_events.connector_id IS 'Connector, where stated';
COMMENT ON COLUMN ocpp_events.ocpp_version IS '1.6, 2.0.1 or 2.1, or what the topic said';
COMMENT ON COLUMN ocpp_events.direction IS 'in = from the station, out = to the station';
COMMENT ON COLUMN ocpp_events.kind IS 'call, result, error, result_error or send (OCPP-J message types 2 to 6)';
COMMENT ON COLUMN ocpp_events.action IS 'OCPP action; may be empty for results that were not paired';
COMMENT ON COLUMN ocpp_events.message_id IS 'OCPP message id; not unique over time';
COMMENT ON COLUMN ocpp_events.trace_id IS 'W3C trace id from the MQTT 5 correlation data, where present, of messages without a time of their own: equal in call and result of one exchange';
COMMENT ON COLUMN ocpp_events.payload IS 'The request of a call, the response of a result, the details of an error';
COMMENT ON COLUMN ocpp_events.request IS 'The request that a gateway repeated beside the result';
COMMENT ON COLUMN ocpp_events.error_code IS 'OCPP error code';
COMMENT ON COLUMN ocpp_events.error_description IS 'OCPP error description';
COMMENT ON COLUMN ocpp_events.time_text IS 'The station''s text, where event_time does not say all of it';
COMMENT ON COLUMN ocpp_events.payload_raw IS 'The message as received, where its text could not be stored unchanged';
SELECT make_partitioned('ocpp_events', 'event_time', 'month');

CREATE FUNCTION flag_names(flags integer) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(f.name ORDER BY f.bit), '{}')
    FROM (VALUES
        (0, 'time_zoneless'),
        (1, 'time_adjusted'),
        (2, 'time_invalid'),
        (3, 'time_future'),
        (4, 'text_replaced'),
        (5, 'value_not_number'),
        (6, 'multiplier_out_of_range'),
        (7, 'layout_in_row'),
        (8, 'duplicate_start'),
        (9, 'duplicate_stop'),
        (10, 'stop_before_start'),
        (11, 'meter_backwards'),
        (12, 'energy_implausible')
    ) AS f (bit, name)
    WHERE flags & (1 << f.bit) <> 0
$$;
COMMENT ON FUNCTION flag_names IS 'The names of the bits of a flags column';

CREATE FUNCTION flag_meanings(flags integer) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(f.meaning ORDER BY f.bit), '{}')
    FROM (VALUES
        (0, 'the time had no zone and was taken as UTC'),
        (1, 'the time says more than an instant: 24:00, second 60, more than six decimals'),
        (2, 'the time is none, or outside 2010 to 2100'),
        (3, 'the time is later than the time of receipt'),
        (4, 'part of the message could not be stored as it was; payload_raw has the message as received'),
        (5, 'a sampled value is not a number'),
        (6, 'a multiplier beyond +-15, which views do not apply'),
        (7, 'the station sends too many different sets of samples; the row describes itself'),
        (8, 'several different starts'),
        (9, 'several different ends'),
        (10, 'the end is before the start'),
        (11, 'the meter at the end is below the meter at the start'),
        (12, 'more energy than 500 kW would give in the time')
    ) AS f (bit, meaning)
    WHERE flags & (1 << f.bit) <> 0
$$;
COMMENT ON FUNCTION flag_meanings IS 'What the bits of a flags column say, in words';
