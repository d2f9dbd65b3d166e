#!/bin/sh
# Run once, by the PostgreSQL image when it creates the cluster: creates a role that may only write rows,
# for the persister, and one that may only read, for Grafana. The owner runs migrate.
set -eu

psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" \
    -v writer="$POSTGRES_PERSISTER_PASSWORD" -v reader="$POSTGRES_GRAFANA_PASSWORD" <<'SQL'
CREATE ROLE ocpp_writer;
CREATE ROLE ocpp_reader;
CREATE ROLE persister LOGIN PASSWORD :'writer' IN ROLE ocpp_writer;
CREATE ROLE grafana LOGIN PASSWORD :'reader' IN ROLE ocpp_reader;
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database()) \gexec
SELECT format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO persister', current_database()) \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO grafana', current_database()) \gexec
SQL
