COMMENT ON COLUMN dead_letters.topic_raw IS 'The topic as received, where it is not text that PostgreSQL takes: then topic is a readable form of it';
