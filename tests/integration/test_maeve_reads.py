"""Schema maeve: the types in MaEVE's queries for what stations report, and their plans."""

import pytest
from conftest import make_database, run_cli
from test_maeve import TABLES
from test_maeve_writes import plan

OK = 0

# MaEVE's reads of these tables; %s are its parameters.
STATION = "WHERE charge_station_id = %s"
READS = (
    (f"* FROM charging_profiles {STATION} ORDER BY stack_level, charging_profile_id", 1),
    (f"* FROM charging_profiles {STATION} AND connector_id = %s ORDER BY stack_level", 2),
    ("* FROM reservations WHERE reservation_id = %s", None),
    (f"* FROM reservations {STATION} AND status = 'Accepted' ORDER BY created_at", 1),
    (f"* FROM reservations {STATION} AND connector_id = %s AND status = 'Accepted' LIMIT 1", 2),
    (f"* FROM local_auth_list_versions {STATION} LIMIT 1", 1),
    (f"* FROM local_auth_list_entries {STATION} ORDER BY id_tag", 1),
    (f"* FROM device_report {STATION} ORDER BY generated_at DESC LIMIT %s OFFSET %s", 3),
    (f"count(*) FROM device_report {STATION}", 1),
    (f"* FROM charge_station_event {STATION} ORDER BY timestamp DESC LIMIT %s OFFSET %s", 3),
    (f"count(*) FROM charge_station_event {STATION}", 1),
    (f"* FROM variable_monitoring {STATION} AND id = %s", 2),
    (f"* FROM variable_monitoring {STATION} ORDER BY id LIMIT %s OFFSET %s", 3),
    (f"* FROM display_messages {STATION} AND message_id = %s", 2),
    (f"* FROM display_messages {STATION} ORDER BY message_id", 1),
    (f"* FROM publish_firmware_status {STATION}", 1),
)


def parameters(station, count):
    return (5,) if count is None else (station, 5, 0)[:count]


@pytest.fixture(scope="module")
def filled(workspace, postgres):
    """Three years of what many stations and their CSMS say, so that indexes are worth it."""
    database = make_database(postgres)
    for words in (("up",), ("maeve", "up")):
        assert run_cli(database.settings(), "migrate", *words).returncode == OK
    rows = database.connect()
    rows.execute("SELECT ensure_partition(p, d) FROM generate_series(timestamptz '2024-01-01Z',"
                 " timestamptz '2026-09-30Z', interval '1 month') d,"
                 " unnest(ARRAY['ocpp_events', 'transactions']) p")
    rows.execute("""
        INSERT INTO ocpp_events (charge_station_id, event_time, evse_id, digest, received_at,
            time_source, flags, ocpp_version, direction, kind, action, message_id, payload)
        SELECT 'cs' || n % 100, t.at + h.half * interval '1 second', -1, n * 2 + h.half,
            t.at + h.half * interval '1 second', 'r', 0, '1.6',
            CASE h.half WHEN 0 THEN 'out' ELSE 'in' END,
            CASE h.half WHEN 0 THEN 'call' ELSE 'result' END, a.name, n::text,
            CASE h.half WHEN 0 THEN jsonb_build_object('reservationId', n, 'connectorId', 1,
                'idTag', 'TAG', 'expiryDate', '2090-01-31T10:00:00Z', 'id', n)
                ELSE '{"status": "Accepted"}' END
        FROM generate_series(1, 36000) n
        CROSS JOIN LATERAL (
            SELECT timestamptz '2024-01-01Z' + n * interval '40 minutes' AS at) t
        CROSS JOIN LATERAL (
            SELECT (ARRAY['SetChargingProfile', 'ReserveNow', 'SendLocalList', 'NotifyReport',
                'NotifyEvent', 'SetVariableMonitoring', 'SetDisplayMessage', 'DataTransfer',
                'Heartbeat', 'StatusNotification', 'CancelReservation', 'PublishFirmware']
                )[1 + n / 100 % 12] AS name) a
        CROSS JOIN generate_series(0, 1) AS h (half)""")
    rows.execute("ANALYZE ocpp_events")
    return database


def connect(database):
    """As docs/maeve.md has MaEVE's role: these plans take longer to compile than to run."""
    connection = database.connect(search_path="maeve")
    connection.execute("SET jit = off")
    return connection


@pytest.mark.parametrize("sql, count", READS)
def test_reads_use_indexes_in_every_partition(filled, sql, count):
    ran = plan(connect(filled), "SELECT " + sql, *parameters("cs7", count))
    events = {(kind, index) for name, kind, index in ran
              if name and name.startswith("ocpp_events_2")}
    assert events
    assert not any(kind == "Seq Scan" for kind, _ in events), events


def test_reservation_is_found_by_its_id_alone(filled):
    connection = connect(filled)
    find = "SELECT charge_station_id, status FROM reservations WHERE reservation_id = 34905"
    assert connection.execute(find).fetchall() == [("cs5", "Accepted")]
    plan, = connection.execute("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) " + find).fetchone()
    read = 0

    def walk(node):
        nonlocal read
        if node.get("Relation Name", "").startswith("ocpp_events_2"):
            read += ((node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
                     * node["Actual Loops"])
        for child in node.get("Plans", []):
            walk(child)

    walk(plan[0]["Plan"])
    assert 0 < read < 20


def kind(connection, oid):
    name, = connection.execute("SELECT format_type(%s, NULL)", (oid,)).fetchone()
    return {"character varying": "varchar", "timestamp without time zone": "timestamp",
            "timestamp with time zone": "timestamptz"}.get(name, name)


@pytest.mark.parametrize("sql, count", READS)
def test_reads_of_maeve_prepare_and_give_its_types(filled, sql, count):
    connection = connect(filled)
    given = parameters("cs", count)
    text = "SELECT " + sql
    for number in range(1, len(given) + 1):
        text = text.replace("%s", f"${number}", 1)
    connection.execute("PREPARE q AS " + text)
    types, = connection.execute("SELECT parameter_types::text[] FROM pg_prepared_statements"
                                " WHERE name = 'q'").fetchone()
    assert set(types) <= {"text", "character varying", "integer", "bigint"}
    cursor = connection.execute(f"EXECUTE q ({', '.join(map(repr, given))})")
    kinds = [f"{column.name} {kind(connection, column.type_code)}"
             for column in cursor.description]
    table = sql.split()[2]
    assert ", ".join(kinds) == (TABLES[table] if sql.startswith("*") else "count bigint")
