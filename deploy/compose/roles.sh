#!/bin/sh
# Run once, by the image of PostgreSQL when it makes the cluster: a role that may write rows and nothing
# else, for the persister, and one that may read, for Grafana. The owner migrates.
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
