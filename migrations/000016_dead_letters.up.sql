-- Dead letters are bounded in rows and topics, too, and have a form whatever they are made of.

ALTER TABLE dead_letters
    ADD COLUMN topic_bytes bigint,
    ADD COLUMN topic_raw bytea;
COMMENT ON COLUMN dead_letters.topic IS 'MQTT topic; its beginning if topic_bytes is not NULL; empty in the last resort, where the row was refused with it';
COMMENT ON COLUMN dead_letters.topic_bytes IS 'Size of the topic as received, where it was cut (dead_letters.topic_bytes_max); NULL = it is whole';
COMMENT ON COLUMN dead_letters.topic_raw IS 'The topic as received, where it is no text that PostgreSQL takes: then topic is a readable form of it';

CREATE TABLE dead_letters_beyond (
    reason text PRIMARY KEY,
    count bigint NOT NULL,
    payload_bytes numeric NOT NULL,
    first_received_at timestamptz NOT NULL,
    last_received_at timestamptz NOT NULL,
    spool uuid NOT NULL,
    seq bigint NOT NULL,
    message_index integer NOT NULL
);
COMMENT ON TABLE dead_letters_beyond IS 'Dead letters for which dead_letters had no room (dead_letters.rows_max): how many, per reason. The log has them.';
COMMENT ON COLUMN dead_letters_beyond.reason IS 'Class of the fault, as in dead_letters';
COMMENT ON COLUMN dead_letters_beyond.count IS 'How many there were';
COMMENT ON COLUMN dead_letters_beyond.payload_bytes IS 'Size of their messages together';
COMMENT ON COLUMN dead_letters_beyond.first_received_at IS 'When the first came';
COMMENT ON COLUMN dead_letters_beyond.last_received_at IS 'When the last came';
COMMENT ON COLUMN dead_letters_beyond.spool IS 'The log that has the last one';
COMMENT ON COLUMN dead_letters_beyond.seq IS 'Its record there';
COMMENT ON COLUMN dead_letters_beyond.message_index IS 'Position within the record, where one MQTT message carried several';
SELECT grant_table('dead_letters_beyond');

-- The columns of dead_letters that readers may read are granted one by one.
SELECT grant_readers();
