"""The SQL functions that create partitions, and what readers notice of them."""

import json
import threading

import psycopg
import pytest
import rig
from conftest import run_cli, stored

DAY = "2026-01-31 00:00Z"  # sessions here are not in UTC

METER_VALUE = """INSERT INTO ocpp.meter_values (charge_station_id, event_time, received_at, digest,
    layout_id, evse_id, flags, time_source, source, sampled)
    VALUES (%s, %s, now(), %s, 0, 1, 0, 's', 'M', '{}')"""


def partitions(database, table="meter_values"):
    return {name: bounds for name, bounds in database.rows("""
        SELECT c.relname::text, pg_get_expr(c.relpartbound, c.oid)
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = %s::regclass""", table)}


def test_every_partitioned_table_is_registered_with_its_column(migrated):
    real = migrated.rows("""
        SELECT c.relname::text, a.attname::text FROM pg_class c
        JOIN pg_partitioned_table p ON p.partrelid = c.oid
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
        WHERE c.relnamespace = 'ocpp'::regnamespace AND p.partstrat = 'r' AND p.partnatts = 1
        ORDER BY 1""")
    registered = migrated.rows("SELECT table_name, time_column FROM partitioned_tables ORDER BY 1")
    assert real == registered
    assert len(real) == 6
    assert all(set(partitions(migrated, name)) == {f"{name}_undated"} for name, _ in real)


def test_every_table_column_view_and_function_has_a_comment(migrated, migrate):
    assert migrate("maeve", "up").returncode == 0
    silent = migrated.rows("""
        SELECT c.relname::text, NULL FROM pg_class c
        WHERE c.relnamespace IN ('ocpp'::regnamespace, 'maeve'::regnamespace)
          AND c.relkind IN ('r', 'p', 'v', 'm')
          AND NOT c.relispartition AND obj_description(c.oid, 'pg_class') IS NULL
        UNION ALL
        SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace IN ('ocpp'::regnamespace, 'maeve'::regnamespace)
          AND c.relkind IN ('r', 'p', 'v', 'm')
          AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
          AND col_description(c.oid, a.attnum) IS NULL
        UNION ALL
        SELECT p.proname, NULL FROM pg_proc p
        WHERE p.pronamespace IN ('ocpp'::regnamespace, 'maeve'::regnamespace)
          AND obj_description(p.oid, 'pg_proc') IS NULL""")
    # Kept exactly as golang-migrate makes it.
    assert {name for name, _ in silent} == {"schema_migrations"}


def test_masked_views_say_of_their_columns_what_their_tables_say(migrated):
    assert migrated.rows("""
        SELECT v.relname, a.attname FROM pg_class v
        JOIN pg_class t ON t.relnamespace = v.relnamespace AND t.relname || '_masked' = v.relname
        JOIN pg_attribute a ON a.attrelid = v.oid
        JOIN pg_attribute b ON b.attrelid = t.oid AND b.attname = a.attname
        WHERE v.relnamespace = 'ocpp'::regnamespace AND a.attnum > 0 AND b.attnum > 0
          AND col_description(v.oid, a.attnum) <> col_description(t.oid, b.attnum)""") == []


@pytest.mark.parametrize("zone, style", [("UTC", "ISO"), ("Asia/Kolkata", "SQL, DMY"),
                                         ("America/St_Johns", "German")])
def test_bounds_are_utc_whatever_the_session_says(migrated, zone, style):
    session = migrated.connect()
    session.execute("SELECT set_config('timezone', %s, false), set_config('datestyle', %s, false)",
                    (zone, style))
    for table, at in (("meter_values", "2026-01-31 23:59:59.999999Z"),
                      ("transactions", "2026-02-28 23:59:59Z")):
        assert session.execute("SELECT ensure_partition(%s, %s)", (table, at)).fetchone()[0]
    utc = migrated.connect()
    utc.execute("SET timezone = 'UTC'")
    bounds = dict(utc.execute("""
        SELECT c.relname::text, pg_get_expr(c.relpartbound, c.oid) FROM pg_class c
        WHERE c.relispartition AND c.relkind = 'r'""").fetchall())
    assert bounds["meter_values_2026_01_31"] == \
        "FOR VALUES FROM ('2026-01-31 00:00:00+00') TO ('2026-02-01 00:00:00+00')"
    assert bounds["transactions_2026_02"] == \
        "FOR VALUES FROM ('2026-02-01 00:00:00+00') TO ('2026-03-01 00:00:00+00')"
    assert bounds["transactions_undated"] == \
        "FOR VALUES FROM ('-infinity') TO ('2010-01-01 00:00:00+00')"


def test_second_call_makes_nothing(migrated):
    assert migrated.value("SELECT ensure_partition('meter_values', %s)", DAY) is True
    assert migrated.value("SELECT ensure_partition('meter_values', %s)", DAY) is False
    assert set(partitions(migrated)) == {"meter_values_undated", "meter_values_2026_01_31"}


def test_partitions_look_like_their_parents(migrated):
    def shape(name):
        return migrated.rows("""
            SELECT attname::text, format_type(atttypid, atttypmod), attnotnull,
                attcollation::regcollation::text, pg_get_expr(d.adbin, d.adrelid)
            FROM pg_attribute a
            LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum""", name) + migrated.rows(
            "SELECT indisunique, indisprimary, indkey::text, indoption::text FROM pg_index "
            "WHERE indrelid = %s::regclass", name)

    for table, in migrated.rows("SELECT table_name FROM partitioned_tables"):
        migrated.value("SELECT ensure_partition(%s, %s)", table, DAY)
        names = partitions(migrated, table)
        assert len(names) == 2
        for name in names:
            assert shape(name) == shape(table)


def test_times_outside_go_to_undated_and_nothing_else_does(migrated):
    for at in ("-infinity", "1970-01-01", "2009-12-31 23:59:59Z", "2100-01-01 00:00:00Z",
               "infinity"):
        assert migrated.value("SELECT name FROM partition_of('meter_values', %s)", at) \
            == "meter_values_undated"
        assert migrated.value("SELECT ensure_partition('meter_values', %s)", at) is False
    assert migrated.value("SELECT name FROM partition_of('meter_values', '2010-01-01Z')") \
        == "meter_values_2010_01_01"
    assert migrated.value("SELECT name FROM partition_of('transactions', "
                          "'2099-12-31 23:59:59Z')") == "transactions_2099_12"
    with migrated.connect() as session:
        session.execute(METER_VALUE, ("cs", "-infinity", 1))
        # A row there that a later partition would claim is refused immediately.
        with pytest.raises(psycopg.errors.CheckViolation):
            session.execute(METER_VALUE, ("cs", "1970-01-01", 2))
        with pytest.raises(psycopg.errors.CheckViolation):
            session.execute(METER_VALUE, ("cs", DAY, 3))


def test_undated_can_be_made_again(migrated):
    migrated.rows("DROP TABLE meter_values_undated")
    assert migrated.value("SELECT ensure_partition('meter_values', '-infinity')") is True
    with migrated.connect() as session:
        session.execute(METER_VALUE, ("cs", "-infinity", 1))
        with pytest.raises(psycopg.errors.CheckViolation):
            session.execute(METER_VALUE, ("cs", "1970-01-01", 2))


def test_tables_without_partitions_are_refused(migrated):
    for name in ("connector_status", "no_table", "meter_values_undated"):
        with pytest.raises(psycopg.errors.UndefinedObject, match="is not partitioned by time"):
            migrated.value("SELECT ensure_partition(%s, now())", name)


def test_two_sessions_at_once_make_one_partition(migrated):
    first, second = migrated.connect(autocommit=False), migrated.connect(autocommit=False)
    assert first.execute("SELECT ensure_partition('meter_values', %s)", (DAY,)).fetchone()[0]
    answers = []

    def other():
        answers.append(second.execute("SELECT ensure_partition('meter_values', %s)",
                                      (DAY,)).fetchone()[0])
        second.commit()

    thread = threading.Thread(target=other)
    thread.start()
    rig.wait_until(lambda: migrated.value("SELECT count(*) FROM pg_locks WHERE NOT granted") == 1,
                   10, "the second session waits")
    first.commit()
    thread.join(rig.HANGS_S)
    assert answers == [False]
    assert set(partitions(migrated)) == {"meter_values_undated", "meter_values_2026_01_31"}


def test_many_sessions_at_once_never_fail(migrated):
    """As many workers do after midnight, for several tables and days."""
    made, failures = [], []

    def worker(seed):
        try:
            with migrated.connect() as session:
                for step in range(12):
                    day = f"2026-03-{(seed + step) % 4 + 1:02} 00:00Z"
                    for table in ("meter_values", "transactions"):
                        if session.execute("SELECT ensure_partition(%s, %s)",
                                           (table, day)).fetchone()[0]:
                            made.append((table, day))
        except psycopg.Error as e:
            failures.append(e)

    threads = [threading.Thread(target=worker, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(rig.HANGS_S)
    assert failures == []
    assert len(made) == 5  # four days, one month
    assert len(partitions(migrated)) == 5


def test_open_reader_does_not_delay_a_new_partition(migrated):
    """The reason for _undated in place of a DEFAULT partition: attaching beside a DEFAULT one takes
    an ACCESS EXCLUSIVE lock on it, which waits for any open query on the parent."""
    migrated.value("SELECT ensure_partition('meter_values', %s)", DAY)
    reader = migrated.connect(autocommit=False)
    assert reader.execute("SELECT count(*) FROM meter_values").fetchone() == (0,)
    writer = migrated.connect(autocommit=False)
    writer.execute(METER_VALUE, ("cs", DAY, 1))
    held = migrated.rows("SELECT DISTINCT relation::regclass::text FROM pg_locks "
                         "WHERE pid = %s AND mode = 'AccessShareLock' AND relation::regclass::text "
                         "LIKE 'meter_values%%'", reader.info.backend_pid)
    assert {"meter_values", "meter_values_undated"} <= {name for name, in held}

    session = migrated.connect()
    session.execute("SET lock_timeout = '2s'")
    assert session.execute("SELECT ensure_partition('meter_values', '2026-02-01Z')").fetchone()[0]
    session.execute(METER_VALUE, ("cs", "2026-02-01 12:00Z", 2))
    # The reader's own query sees the new one, and is not in the way of the next.
    assert reader.execute("SELECT count(*) FROM meter_values").fetchone() == (1,)
    assert session.execute("SELECT ensure_partition('meter_values', '2026-02-02Z')").fetchone()[0]

    # The same beside a DEFAULT partition, to show that this test can fail.
    session.execute("CREATE TABLE meter_values_default (LIKE meter_values INCLUDING ALL)")
    session.execute("ALTER TABLE meter_values ATTACH PARTITION meter_values_default DEFAULT")
    other = migrated.connect(autocommit=False)
    other.execute("SELECT count(*) FROM meter_values")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        session.execute("SELECT ensure_partition('meter_values', '2026-02-03Z')")


@pytest.mark.parametrize("table, action", [("meter_values", "MeterValues"),
                                           ("ocpp_events", "FirmwareStatusNotification")])
def test_default_partition_that_has_rows_of_a_day_takes_more_of_them(
        running, migrated, publish, table, action):
    """An operator made it; PostgreSQL allows no partition of that day beside it."""
    with migrated.connect() as c:
        c.execute(f"CREATE TABLE rest (LIKE {table} INCLUDING ALL);"
                  f" ALTER TABLE {table} ATTACH PARTITION rest DEFAULT")
    p = running()

    def tell(n):
        if table == "meter_values":
            publish.call(f"cs{n}", action, {"connectorId": 1, "meterValue": [
                {"timestamp": "2026-01-31T10:00:00Z", "sampledValue": [{"value": "1"}]}]})
        else:
            publish.call(f"cs{n}", action, {"status": "Idle"})

    tell(0)
    stored(migrated, 1)
    with migrated.connect() as c:
        name, = c.execute(f"SELECT tableoid::regclass::text FROM {table}").fetchone()
        c.execute(f"ALTER TABLE {table} DETACH PARTITION {name};"
                  f" INSERT INTO rest SELECT * FROM {name}; DROP TABLE {name}")
    p.stop()
    p.start()
    for n in range(1, 4):
        tell(n)
    publish.call("cs9", "Authorize", {"idTag": "T"})
    tell(0)  # a copy of the first
    stored(migrated, 6)
    assert migrated.rows(f"SELECT tableoid::regclass::text, count(*)::int FROM {table}"
                         " GROUP BY 1") == [("rest", 4)]
    assert migrated.value("SELECT count(*) FROM dead_letters") == 0
    assert p.running and not p.events("batch_failed")


DATED_AND_NOT = {
    "meter_values": ("MeterValues", lambda time: {"connectorId": 1, "meterValue": [
        {"timestamp": time, "sampledValue": [{"value": "1"}]}]}),
    "transaction_events": ("StartTransaction", lambda time: {
        "connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": time}),
    "ocpp_events": ("StatusNotification", lambda time: {
        "connectorId": 1, "status": "Available", "errorCode": "NoError", "timestamp": time}),
}


@pytest.mark.parametrize("table", DATED_AND_NOT)
def test_tables_are_locked_before_their_partitions(running, migrated, publish, table):
    """As by whoever alters a table or detaches a partition: with the other order, each would wait
    for the other, and PostgreSQL would end one of them."""
    p = running()
    action, request = DATED_AND_NOT[table]

    def both(id):
        for time in f"2026-01-31T10:0{id}:00Z", f"yesterday {id}":
            publish.call("cs1", action, request(time), id=time)

    both(1)
    stored(migrated, 2)  # the partitions are there
    claims = migrated.connect(autocommit=False)
    claims.execute("LOCK TABLE ingest_progress IN EXCLUSIVE MODE")
    values(publish, "cs2", 31)
    waits(migrated, "ingest_progress")
    both(2)
    p.wait_metric("ocpp_persister_mqtt_messages_received_total{qos=\"1\"}", 5)
    holder = migrated.connect(autocommit=False)
    holder.execute(f"LOCK TABLE ONLY {table}")
    claims.rollback()
    waits(migrated, table)
    for leaf in partitions(migrated, table):
        holder.execute(f"LOCK TABLE {leaf} NOWAIT")
    holder.rollback()
    stored(migrated, 5)


def waits(database, table):
    rig.wait_until(lambda: database.value(
        "SELECT count(*) FROM pg_locks WHERE relation = %s::regclass AND NOT granted", table),
        what=f"somebody waits for {table}")


def undated(publish, station):
    publish.call(station, "MeterValues", {"connectorId": 1, "meterValue": [
        {"timestamp": "yesterday", "sampledValue": [{"value": "1"}]}]})


def test_partition_of_undated_rows_is_made_again_when_it_was_dropped(running, migrated, publish):
    migrated.rows("DROP TABLE meter_values_undated")
    p = running()
    undated(publish, "a")
    stored(migrated, 1)
    assert migrated.rows("SELECT tableoid::regclass::text, charge_station_id FROM meter_values") \
        == [("meter_values_undated", "a")]
    assert p.running and not p.events("batch_failed")


def test_undated_rows_of_a_detached_partition_wait_as_dead_letters(running, migrated, publish):
    p = running()
    bounds = migrated.value("SELECT pg_get_expr(relpartbound, oid) FROM pg_class"
                            " WHERE oid = 'meter_values_undated'::regclass")
    migrated.rows("ALTER TABLE meter_values DETACH PARTITION meter_values_undated")
    undated(publish, "a")
    values(publish, "b", 31)
    stored(migrated, 2)
    assert migrated.rows("SELECT reason, charge_station_id FROM dead_letters") == [
        ("partition_detached", "a")]
    assert migrated.rows("SELECT charge_station_id FROM meter_values") == [("b",)]
    migrated.rows(f"ALTER TABLE meter_values ATTACH PARTITION meter_values_undated {bounds}")
    p.stop()
    done = run_cli(p.settings, "dead-letters", "requeue", "--all")
    assert "requeued 1: stored 1, " in done.stdout, done.stdout + done.stderr
    assert migrated.value("SELECT count(*) FROM meter_values_undated") == 1


def scanned(session, sql):
    """Names of the tables that a query's plan reads."""
    found = set()

    def walk(node):
        if "Relation Name" in node:
            found.add(node["Relation Name"])
        for child in node.get("Plans", []):
            walk(child)

    walk(session.execute("EXPLAIN (FORMAT JSON) " + sql).fetchone()[0][0]["Plan"])
    return found


def test_one_stations_utc_day_touches_one_partition(migrated):
    for day in range(1, 29):
        migrated.value("SELECT ensure_partition('meter_values', %s)", f"2026-02-{day:02} 00:00Z")
    where = ("WHERE charge_station_id = 'cs001' AND event_time >= '2026-02-10' "
             "AND event_time < '2026-02-11'")
    session = migrated.connect()
    session.execute("SET timezone = 'UTC'")
    assert scanned(session, f"SELECT * FROM meter_values {where}") == {"meter_values_2026_02_10"}
    assert scanned(session, f"SELECT * FROM meter_samples {where}") == {
        "meter_values_2026_02_10", "meter_value_layouts"}
    assert scanned(session, f"SELECT * FROM meter_values_json {where}") == {
        "meter_values_2026_02_10", "meter_value_layouts"}
    # By index once there are enough rows to matter.
    plan = json.dumps(session.execute(
        f"EXPLAIN (FORMAT JSON) SELECT * FROM meter_samples {where}").fetchone()[0])
    assert "Index" in plan


def test_functions_work_without_our_schema_in_search_path(migrated):
    session = migrated.connect(search_path="public")
    assert session.execute("SELECT ocpp.ensure_partition('meter_values', %s)", (DAY,)).fetchone()[0]
    assert session.execute("SELECT ocpp.partition_exists('meter_values', "
                           "'meter_values_2026_01_31')").fetchone()[0]
    assert session.execute("SELECT name FROM ocpp.partition_of('meter_values', %s)",
                           (DAY,)).fetchone()[0] == "meter_values_2026_01_31"
    session.execute(METER_VALUE, ("cs", DAY, 1))
    for view in ("meter_samples", "meter_values_json", "sessions", "suspicious_sessions"):
        session.execute(f"SELECT * FROM ocpp.{view}").fetchall()


def test_temporary_table_cannot_stand_in_for_ours(migrated):
    """ensure_partition runs with its owner's rights."""
    session = migrated.connect(search_path="public")
    session.execute("CREATE TEMP TABLE partitioned_tables AS SELECT 'x; --' AS table_name, "
                    "'y' AS time_column, 'day' AS step")
    with pytest.raises(psycopg.errors.UndefinedObject):
        session.execute("SELECT ocpp.ensure_partition('x; --', now())")


# ---- partitions of another name ----

def values(publish, station, day, hour=10):
    publish.call(station, "MeterValues", {"connectorId": 1, "meterValue": [{
        "timestamp": f"2026-01-{day:02}T{hour:02}:00:00Z", "sampledValue": [{"value": "1"}]}]},
        id=f"{day}.{hour}")


def start(publish, station, id):
    publish.call(station, "StartTransaction", {
        "connectorId": 1, "idTag": "T", "meterStart": 0,
        "timestamp": "2026-01-31T00:00:00Z"}, id=id)


BY_ANOTHER_NAME = {
    "renamed": """ALTER TABLE meter_values_2026_01_31 RENAME TO old_values;
        ALTER TABLE transaction_events_2026_01 RENAME TO old_events;
        ALTER TABLE transactions_2026_01 RENAME TO old_transactions;""",
    "attached again": """ALTER TABLE meter_values DETACH PARTITION meter_values_2026_01_31;
        ALTER TABLE meter_values_2026_01_31 RENAME TO old_values;
        ALTER TABLE meter_values ATTACH PARTITION old_values
            FOR VALUES FROM ('2026-01-31 00:00Z') TO ('2026-02-01 00:00Z');""",
    "a month for its days": """CREATE TABLE january (LIKE meter_values INCLUDING ALL);
        INSERT INTO january SELECT * FROM meter_values;
        DROP TABLE meter_values_2026_01_30, meter_values_2026_01_31;
        ALTER TABLE meter_values ATTACH PARTITION january
            FOR VALUES FROM ('2026-01-01 00:00Z') TO ('2026-02-01 00:00Z');""",
    "a month beside its days": """CREATE TABLE january (LIKE meter_values INCLUDING ALL);
        INSERT INTO january SELECT * FROM meter_values;
        ALTER TABLE meter_values DETACH PARTITION meter_values_2026_01_30;
        ALTER TABLE meter_values DETACH PARTITION meter_values_2026_01_31;
        ALTER TABLE meter_values ATTACH PARTITION january
            FOR VALUES FROM (MINVALUE) TO ('2026-02-01 00:00Z');""",
}


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("way", BY_ANOTHER_NAME)
def test_partition_is_known_by_its_time_not_by_its_name(running, migrated, publish, way, restarted):
    """It takes what is of its time, and stops nothing."""
    if way == "a month beside its days":
        migrated.rows("DROP TABLE meter_values_undated")
    p = running()
    values(publish, "a", 30)
    values(publish, "a", 31)
    start(publish, "a", "s")
    stored(migrated, 3)
    with migrated.connect() as session:
        session.execute(BY_ANOTHER_NAME[way])
    if restarted:
        p.restart()
    values(publish, "b", 31)
    values(publish, "b", 30)
    values(publish, "b", 5)
    start(publish, "b", "s")
    values(publish, "a", 31)  # a duplicate
    publish.result("a", "StartTransaction",
                   {"transactionId": 5, "idTagInfo": {"status": "Accepted"}}, id="s")
    stored(migrated, 9)
    assert migrated.rows("SELECT reason, detail FROM dead_letters") == []
    assert migrated.value("SELECT count(*) FROM meter_values") == 5
    assert migrated.value("SELECT count(*) FROM transaction_events") == 2
    assert migrated.rows("SELECT charge_station_id, transaction_id FROM transactions"
                         " WHERE transaction_id = '5'") == [("a", "5")]


@pytest.mark.parametrize("name", ["meter_values_2025_12_62", "meter_values_2026_1_31"])
def test_table_named_after_no_day_stands_for_none(running, migrated, publish, name):
    """It is not a partition, but nor is it where the rows of 31 January belong."""
    migrated.rows(f"CREATE TABLE {name} (LIKE meter_values INCLUDING ALL)")
    running()
    values(publish, "a", 31)
    stored(migrated, 1)
    assert migrated.rows("SELECT reason, detail FROM dead_letters") == []
    assert migrated.value("SELECT count(*) FROM meter_values_2026_01_31") == 1


def test_partition_of_a_part_of_a_day_stops_nobody_else(running, migrated, publish):
    """There is no place for what it does not take, until it is detached."""
    with migrated.connect() as session:
        session.execute("""CREATE TABLE morning (LIKE meter_values INCLUDING ALL);
            ALTER TABLE meter_values ATTACH PARTITION morning
            FOR VALUES FROM ('2026-01-31 06:00Z') TO ('2026-01-31 12:00Z')""")
    p = running()
    values(publish, "a", 31)
    values(publish, "a", 30)
    stored(migrated, 2)
    assert migrated.rows("SELECT reason FROM dead_letters") == [("partition_detached",)]
    migrated.rows("ALTER TABLE meter_values DETACH PARTITION morning")
    p.stop()
    done = run_cli(p.settings, "dead-letters", "requeue", "--all")
    assert "requeued 1: stored 1, " in done.stdout, done.stdout + done.stderr
