DROP TABLE dead_letters, ingest_progress;
