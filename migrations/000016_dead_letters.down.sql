DROP TABLE dead_letters_beyond;
ALTER TABLE dead_letters DROP COLUMN topic_bytes, DROP COLUMN topic_raw;
COMMENT ON COLUMN dead_letters.topic IS 'MQTT topic';
