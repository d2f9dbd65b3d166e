SELECT version, EXISTS (SELECT FROM partitioned_tables WHERE table_name = $1::text)
FROM schema_migrations
