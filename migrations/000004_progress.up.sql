-- What the program has done: how far it got, and what it could not store.

CREATE TABLE ingest_progress (
    spool uuid PRIMARY KEY,
    seq bigint NOT NULL,
    received bigint NOT NULL DEFAULT 0,
    stored bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    dead_lettered bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0,
    reasons jsonb NOT NULL DEFAULT '{}',
    owner uuid,
    backend_pid integer,
    backend_start timestamptz,
    client_id text,
    gap_first_seq bigint,
    gap_last_seq bigint,
    gap_records bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE ingest_progress IS 'How far each log is stored here. A batch''s first statement moves seq on, in the transaction of its rows: so a batch is in the database as a whole, once, or not at all.';
COMMENT ON COLUMN ingest_progress.spool IS 'Identity of the log';
COMMENT ON COLUMN ingest_progress.seq IS 'Last record of the log whose rows are here';
COMMENT ON COLUMN ingest_progress.received IS 'OCPP messages taken from the log: stored + duplicate + dead_lettered + skipped';
COMMENT ON COLUMN ingest_progress.stored IS 'Messages whose first row was new';
COMMENT ON COLUMN ingest_progress.duplicate IS 'Messages that were here before';
COMMENT ON COLUMN ingest_progress.dead_lettered IS 'Messages set aside in dead_letters';
COMMENT ON COLUMN ingest_progress.skipped IS 'Messages left out by configuration';
COMMENT ON COLUMN ingest_progress.reasons IS 'Dead letters and skipped messages by reason: {"dead_lettered:bad_msgpack": 3, ...}';
COMMENT ON COLUMN ingest_progress.owner IS 'The process that feeds the log, by a random number of its own: two that feed copies of one log notice each other by it';
COMMENT ON COLUMN ingest_progress.backend_pid IS 'The server process that wrote last; ended by a worker that comes back, so that a half-dead connection cannot hold the row';
COMMENT ON COLUMN ingest_progress.backend_start IS 'When that process started: process ids repeat';
COMMENT ON COLUMN ingest_progress.client_id IS 'MQTT client id of the worker';
COMMENT ON COLUMN ingest_progress.gap_first_seq IS 'First record of the last gap: records that the database lost (a restore) after the log had let go of them';
COMMENT ON COLUMN ingest_progress.gap_last_seq IS 'Last record of the last gap';
COMMENT ON COLUMN ingest_progress.gap_records IS 'Records in all gaps';
COMMENT ON COLUMN ingest_progress.updated_at IS 'When it last moved';
SELECT grant_table('ingest_progress');

CREATE TABLE dead_letters (
    topic_digest bigint NOT NULL,
    topic text NOT NULL,
    payload_digest bigint NOT NULL,
    reason text NOT NULL,
    payload_bytes bigint NOT NULL,
    payload bytea,
    payload_sha256 bytea,
    charge_station_id text COLLATE "C",
    detail text,
    error_offset bigint,
    count bigint NOT NULL,
    first_received_at timestamptz NOT NULL,
    last_received_at timestamptz NOT NULL,
    spool uuid NOT NULL,
    seq bigint NOT NULL,
    message_index integer NOT NULL,
    PRIMARY KEY (topic_digest, payload_digest, reason, payload_bytes)
);
COMMENT ON TABLE dead_letters IS 'Messages that could not be stored, with why. The same bytes on the same topic for the same reason are one row with a count.';
COMMENT ON COLUMN dead_letters.topic_digest IS 'XXH3-64 of the topic, which may be longer than an index takes';
COMMENT ON COLUMN dead_letters.topic IS 'MQTT topic';
COMMENT ON COLUMN dead_letters.payload_digest IS 'XXH3-64 of the message';
COMMENT ON COLUMN dead_letters.reason IS 'Class of the fault, as in the metrics';
COMMENT ON COLUMN dead_letters.payload_bytes IS 'Size of the message as received';
COMMENT ON COLUMN dead_letters.payload IS 'The message; its beginning if it was over the limit; NULL if dead_letters.bytes_max was reached (the log still has it)';
COMMENT ON COLUMN dead_letters.payload_sha256 IS 'SHA-256 of the whole message, where payload is only its beginning';
COMMENT ON COLUMN dead_letters.charge_station_id IS 'Charge station, where the topic names one';
COMMENT ON COLUMN dead_letters.detail IS 'What was wrong, in words';
COMMENT ON COLUMN dead_letters.error_offset IS 'Position in the bytes of the message, where known';
COMMENT ON COLUMN dead_letters.count IS 'How often it came';
COMMENT ON COLUMN dead_letters.first_received_at IS 'When it came first';
COMMENT ON COLUMN dead_letters.last_received_at IS 'When it came last';
COMMENT ON COLUMN dead_letters.spool IS 'The log that has the last one';
COMMENT ON COLUMN dead_letters.seq IS 'Its record there';
COMMENT ON COLUMN dead_letters.message_index IS 'Position within the record, where one MQTT message carried several';
SELECT grant_table('dead_letters');
