-- Transactions told by a CSMS through the store, beside those merged from what stations send. They
-- are kept apart: those have a digest and ranks for each fact, these are one party's word.

CREATE TABLE store_transactions (
    charge_station_id text COLLATE "C" NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    id_token text,
    id_token_type text,
    started_at timestamptz,
    stopped_at timestamptz,
    stopped_reason text,
    meter_start numeric,
    meter_stop numeric,
    seq_no_start integer,
    seq_no_stop integer,
    offline boolean,
    total_cost numeric,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charge_station_id, transaction_id)
);
CREATE INDEX store_transactions_id_token ON store_transactions (id_token);
CREATE INDEX store_transactions_started_at ON store_transactions (started_at);
CREATE INDEX store_transactions_stopped_at ON store_transactions (stopped_at);
COMMENT ON TABLE store_transactions IS 'Transactions told through the store. The view all_transactions has these and those that stations reported.';
COMMENT ON COLUMN store_transactions.charge_station_id IS 'Charge station';
COMMENT ON COLUMN store_transactions.transaction_id IS 'Unique per station only';
COMMENT ON COLUMN store_transactions.id_token IS 'Token that started it; NULL = no start was told';
COMMENT ON COLUMN store_transactions.id_token_type IS 'Type of the token';
COMMENT ON COLUMN store_transactions.started_at IS 'First meter value of the start, else when it was told; NULL = no start was told';
COMMENT ON COLUMN store_transactions.stopped_at IS 'Last meter value of the end, else when it was told; NULL = no end was told';
COMMENT ON COLUMN store_transactions.stopped_reason IS 'Why it ended, where told';
COMMENT ON COLUMN store_transactions.meter_start IS 'Energy register in Wh at the start, where told';
COMMENT ON COLUMN store_transactions.meter_stop IS 'Energy register in Wh at the end, where told';
COMMENT ON COLUMN store_transactions.seq_no_start IS 'seqNo of the start, where told';
COMMENT ON COLUMN store_transactions.seq_no_stop IS 'seqNo of the end, where told';
COMMENT ON COLUMN store_transactions.offline IS 'The start happened offline';
COMMENT ON COLUMN store_transactions.total_cost IS 'Cost so far, where told';
COMMENT ON COLUMN store_transactions.created_at IS 'When it was first stored here';
COMMENT ON COLUMN store_transactions.updated_at IS 'When this row last changed here';
SELECT grant_table('store_transactions');

CREATE TABLE store_transaction_values (
    charge_station_id text COLLATE "C" NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    event_time timestamptz NOT NULL,
    digest bytea NOT NULL,
    sampled_value jsonb NOT NULL,
    PRIMARY KEY (charge_station_id, transaction_id, event_time, digest)
);
COMMENT ON TABLE store_transaction_values IS 'Meter values of transactions told through the store; the same ones told twice are one row';
COMMENT ON COLUMN store_transaction_values.charge_station_id IS 'Charge station';
COMMENT ON COLUMN store_transaction_values.transaction_id IS 'Of the transaction in store_transactions';
COMMENT ON COLUMN store_transaction_values.event_time IS 'Time of the values';
COMMENT ON COLUMN store_transaction_values.digest IS 'SHA-256 of sampled_value';
COMMENT ON COLUMN store_transaction_values.sampled_value IS 'Array as OCPP 2.x sampledValue';
SELECT grant_table('store_transaction_values');

CREATE FUNCTION energy_register(sampled_value jsonb) RETURNS numeric
LANGUAGE sql STABLE AS $$
    SELECT normalised((s.sample ->> 'value')::numeric, unit_factor(u.unit),
        CASE WHEN u.multiplier ~ '^-?[0-9]{1,5}$' THEN u.multiplier::integer END)
    FROM jsonb_array_elements(CASE WHEN jsonb_typeof(sampled_value) = 'array'
        THEN sampled_value END) WITH ORDINALITY AS s (sample, position)
    CROSS JOIN LATERAL (
        SELECT coalesce(s.sample #>> '{unitOfMeasure,unit}', s.sample ->> 'unit', 'Wh') AS unit,
            s.sample #>> '{unitOfMeasure,multiplier}' AS multiplier
    ) u
    WHERE coalesce(s.sample ->> 'measurand', 'Energy.Active.Import.Register')
            = 'Energy.Active.Import.Register'
      AND s.sample ->> 'phase' IS NULL
      AND s.sample ->> 'value' ~ '^-?[0-9]{1,60}([.][0-9]{1,60})?$'
    ORDER BY s.position
    LIMIT 1
$$;
COMMENT ON FUNCTION energy_register IS 'The energy register in Wh among sampled values: the first that has no phase; NULL if there is none';

CREATE VIEW all_transactions AS
SELECT t.charge_station_id, t.transaction_id, t.id_token, t.id_token_type, t.started_at,
    t.stopped_at, t.stopped_reason, t.meter_start, t.meter_stop, t.seq_no_start, t.seq_no_stop,
    coalesce(t.offline, false) AS offline, t.total_cost, t.partition_time AS list_time,
    t.last_event_at
FROM transactions t
UNION ALL
SELECT s.charge_station_id, s.transaction_id, s.id_token, s.id_token_type, s.started_at,
    s.stopped_at, s.stopped_reason, s.meter_start, s.meter_stop, s.seq_no_start, s.seq_no_stop,
    coalesce(s.offline, false), s.total_cost, coalesce(s.started_at, s.stopped_at, s.created_at),
    NULL
FROM store_transactions s
WHERE NOT EXISTS (
    SELECT FROM transaction_keys k
    WHERE k.charge_station_id = s.charge_station_id AND k.transaction_id = s.transaction_id);
COMMENT ON VIEW all_transactions IS 'Transactions from what stations reported and, where they reported nothing, from what was told through the store';
SELECT grant_table('all_transactions');
