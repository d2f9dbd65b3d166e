-- For the partition of $1 from $2 to $3: the name it had, its time, and the version of the schema.
SELECT (partition_of($1::text, $2::timestamptz)).name,
    to_char($2::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    to_char($3::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    (SELECT version FROM schema_migrations)
