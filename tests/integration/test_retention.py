"""`ocpp-persister partitions`: what is listed, created and dropped, and who waits for it."""

import datetime
import json
import os
import re
import threading
import time

import psycopg
import pytest
import rig
from conftest import needs_failpoints, run_cli, stored

TODAY = datetime.datetime.now(datetime.timezone.utc).replace(hour=0, minute=0, second=0,
                                                             microsecond=0)

METER_VALUE = """INSERT INTO ocpp.meter_values (charge_station_id, event_time, received_at, digest,
    layout_id, evse_id, flags, time_source, source, sampled)
    VALUES (%s, %s, now(), %s, 0, 1, 0, 's', 'M', '{}')"""


def ago(days):
    return TODAY - datetime.timedelta(days=days)


def name_of(day, table="meter_values"):
    return f"{table}_{day:%Y_%m_%d}" if table == "meter_values" else f"{table}_{day:%Y_%m}"


@pytest.fixture
def partitions(migrated):
    """partitions("list", ...): the command, as a writer that owns nothing."""
    settings = migrated.writer_settings()

    def run(*arguments, **kwargs):
        return run_cli(settings, "partitions", *arguments, **kwargs)

    return run


def fill(database, days, rows=50):
    """Meter values of so many days ago, each day in its partition."""
    with database.connect() as session:
        for day in days:
            at = ago(day) + datetime.timedelta(hours=1)
            session.execute("SELECT ensure_partition('meter_values', %s)", (at,))
            for n in range(rows):
                session.execute(METER_VALUE, ("cs", at + datetime.timedelta(seconds=n), n))


def listed(partitions, *options):
    done = partitions("list", "--json", *options)
    assert done.returncode == 0, done.stderr
    return {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}


def facts(database):
    """Everything that is stored, as one digest a partition."""
    return dict(database.rows("""
        SELECT tableoid::regclass::text, md5(string_agg(m::text, ';' ORDER BY m::text))
        FROM meter_values m GROUP BY 1"""))


# ---- list ----


def test_list_says_what_there_is(migrated, partitions):
    fill(migrated, [0, 5, 6])
    admin = migrated.connect()
    admin.execute("ANALYZE meter_values")
    admin.execute(f"ALTER TABLE meter_values DETACH PARTITION {name_of(ago(6))}")
    admin.execute("CREATE TABLE meter_values_default PARTITION OF meter_values DEFAULT")
    admin.execute("SELECT ensure_partition('transactions', now() - interval '100 days')")
    admin.execute("CREATE SCHEMA archive")
    admin.execute(f"ALTER TABLE {name_of(ago(100), 'transactions')} SET SCHEMA archive")
    admin.execute("CREATE TABLE meter_values_of_mine (a int)")
    admin.execute(f"CREATE TABLE {name_of(ago(9))} (LIKE meter_values)")  # 8192 bytes
    found = listed(partitions)
    assert found[name_of(ago(5))]["state"] == "attached"
    assert found[name_of(ago(5))]["estimated_rows"] == 50
    assert found[name_of(ago(5))]["bytes"] > 8192
    assert datetime.datetime.fromisoformat(found[name_of(ago(5))]["from_time"]) == ago(5)
    assert datetime.datetime.fromisoformat(found[name_of(ago(5))]["to_time"]) == ago(4)
    assert found[name_of(ago(6))]["state"] == "detached"
    assert datetime.datetime.fromisoformat(found[name_of(ago(6))]["to_time"]) == ago(5)
    assert found["meter_values_default"]["state"] == "default"
    assert found["meter_values_undated"]["state"] == "undated"
    assert found[f"archive.{name_of(ago(100), 'transactions')}"]["state"] == "elsewhere"
    assert "meter_values_of_mine" not in found
    assert {line["parent"] for line in found.values()} == {
        name for name, in migrated.rows("SELECT table_name FROM partitioned_tables")}
    # For people, and of one table.
    text = partitions("list", "--table", "meter_values")
    lines = [line.split() for line in text.stdout.splitlines()]
    assert lines[0] == ["TABLE", "FROM", "TO", "ROWS", "SIZE", "STATE", "NAME"]
    assert any(line[:4] == ["meter_values", f"{ago(5):%Y-%m-%d}", f"{ago(4):%Y-%m-%d}", "~50"]
               and line[-2:] == ["attached", name_of(ago(5))] for line in lines)
    assert all(line[0] == "meter_values" for line in lines[1:])
    # No column touches the next, not even the longest size.
    assert {line[-2] for line in lines[1:]} == {"attached", "default", "detached", "undated"}


def test_partition_that_somebody_has_locked_keeps_nobody_else_waiting(migrated, partitions):
    """By VACUUM FULL or CLUSTER, say. Only its size is not known."""
    fill(migrated, [0, 5])
    admin, locker = migrated.connect(), migrated.connect(autocommit=False)
    admin.execute("SELECT ensure_partition(table_name, now() - interval '200 days') "
                  "FROM partitioned_tables WHERE step = 'month'")
    admin.execute("INSERT INTO transaction_keys (charge_station_id, transaction_id, "
                  "partition_time) VALUES ('cs', '1', '2024-02-03Z')")
    locked = {name_of(ago(5)), name_of(ago(200), "transactions")}
    for name in locked:
        locker.execute(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
    found = listed(partitions)
    assert {name for name in found if found[name]["bytes"] is None} == locked
    assert found[name_of(ago(0))]["bytes"] > 0
    lines = partitions("list", "--table", "meter_values").stdout.splitlines()
    assert [line.split()[-3:] for line in lines if name_of(ago(5)) in line] == [
        ["locked", "attached", name_of(ago(5))]]
    done = partitions("drop", "--older-than", "90d", "--table", "ocpp_events")
    assert done.returncode == 0 and done.stderr == "", done
    assert done.stdout.startswith(f"dropped {name_of(ago(200), 'ocpp_events')} (")
    # The writer's connection asks these.
    admin.execute("SET lock_timeout = '100ms'")
    assert admin.execute("SELECT prune_transaction_keys(10)").fetchone() == (1,)
    assert admin.execute("SELECT ensure_partition('meter_values', %s)", (ago(7),)).fetchone()[0]
    assert run_cli(migrated.settings(), "migrate", "roles", timeout=rig.HANGS_S).returncode == 0


@pytest.mark.parametrize("arguments, code, says", [
    ([], 2, "say list, ensure, drop or archive"),
    (["drop"], 2, "drop needs --older-than"),
    (["drop", "--older-than"], 2, "--older-than needs a value"),
    (["drop", "--older-than", "soon"], 2, "--older-than 90d"),
    (["drop", "--older-than", "-1d"], 2, "--older-than 90d"),
    (["drop", "--older-than", "90"], 2, "a day or more"),
    (["drop", "--older-than", "3m"], 2, "a day or more"),
    (["archive", "--older-than", "36501d", "--to", "/tmp"], 2, "--older-than 90d"),
    (["ensure", "--days", "x"], 2, "--days 7"),
    (["list", "--table", "connector_status"], 1, 'no table "connector_status" is partitioned'),
    (["drop", "--older-than", "90d", "--table", "pg_class"], 1, 'no table "pg_class" is part'),
])
def test_wrong_words_are_answered(partitions, arguments, code, says):
    done = partitions(*arguments)
    assert done.returncode == code and says in done.stderr and done.stdout == "", done


def test_what_is_not_there_has_its_exit_code(database, migrated):
    nowhere = {**database.settings(), "storage.postgres.port": rig.free_port()}
    assert run_cli(nowhere, "partitions", "list").returncode == 4
    admin = migrated.connect()
    admin.execute("DROP SCHEMA ocpp CASCADE")
    done = run_cli(database.settings(), "partitions", "list")
    assert done.returncode == 5 and "migrate up" in done.stderr, done


# ---- ensure ----


def test_ensure_makes_the_coming_days_once(migrated, partitions):
    would = partitions("ensure", "--days", "10", "--table", "meter_values", "--dry-run")
    days = [name_of(ago(-n)) for n in range(11)]
    assert would.stdout.splitlines() == [f"would create {name}" for name in days]
    assert not set(days) & set(listed(partitions))
    done = partitions("ensure", "--days", "10", "--table", "meter_values")
    assert done.returncode == 0 and done.stdout.splitlines() == [f"made {name}" for name in days]
    assert set(days) <= set(listed(partitions))
    assert partitions("ensure", "--days", "10", "--table", "meter_values").stdout == ""
    # By itself, as many days as `run` makes, of all tables.
    assert partitions("ensure").returncode == 0
    made = {line["parent"] for line in listed(partitions).values() if line["state"] == "attached"}
    assert made == {name for name, in migrated.rows("SELECT table_name FROM partitioned_tables")}


# ---- drop ----


def test_drop_removes_what_is_old_and_nothing_else(migrated, partitions):
    fill(migrated, [0, 1, 10, 90, 91, 200])
    with migrated.connect() as session:
        session.execute(METER_VALUE, ("cs", "-infinity", 1))
        session.execute("SELECT ensure_partition('transactions', %s)", (ago(300),))
    before = facts(migrated)
    would = partitions("drop", "--older-than", "90d", "--dry-run")
    assert would.returncode == 0 and facts(migrated) == before
    # The day that began 90 days ago had its end less than 90 days ago.
    assert [line.split(" (")[0] for line in would.stdout.splitlines()] == [
        f"would drop {name_of(ago(300), 'transactions')}", f"would drop {name_of(ago(200))}",
        f"would drop {name_of(ago(91))}"]
    done = partitions("drop", "--older-than", "90d", "--table", "meter_values")
    assert done.returncode == 0, done.stderr
    assert [line.split(" (")[0] for line in done.stdout.splitlines()] == [
        f"dropped {name_of(ago(200))}", f"dropped {name_of(ago(91))}"]
    after = facts(migrated)
    assert after == {name: before[name] for name in before
                     if name not in (name_of(ago(200)), name_of(ago(91)))}
    assert "meter_values_undated" in after
    left = listed(partitions)
    assert name_of(ago(200)) not in left and name_of(ago(300), "transactions") in left
    assert not [line for line in left.values() if line["state"] == "retired"]
    # Never what is not over, however young.
    done = partitions("drop", "--older-than", "1d", "--table", "meter_values")
    assert done.returncode == 0 and set(facts(migrated)) == {
        name_of(TODAY), name_of(ago(1)), "meter_values_undated"}


def test_partition_under_another_name_is_dropped_by_its_time(migrated, partitions):
    """A month in place of its days, say."""
    admin = migrated.connect()
    admin.execute("""CREATE TABLE old_values PARTITION OF meter_values
        FOR VALUES FROM ('2024-01-01Z') TO ('2024-02-01Z')""")
    admin.execute(METER_VALUE, ("cs", "2024-01-15Z", 1))
    done = partitions("drop", "--older-than", "90d")
    assert done.returncode == 0 and done.stdout.startswith("dropped old_values (")
    assert migrated.value("SELECT count(*) FROM meter_values") == 0


def test_writers_do_not_wait_and_a_long_reader_is_waited_for(migrated, partitions):
    """The longest wait of a writer is compared with that of a writer to a table that nobody else
    touches: waits that both have are due to the machine."""
    fill(migrated, [0, 100, 101, 102, 103])
    before = facts(migrated)
    admin = migrated.connect()
    admin.execute("CREATE TABLE public.control (n bigint)")
    reader = migrated.connect(autocommit=False)
    # Has a lock on the parent until its end, and on none of the old partitions, so each try gets
    # that far.
    reader.execute(f"SELECT count(*) FROM meter_values WHERE event_time >= '{TODAY}'").fetchone()
    ended, worst, written = threading.Event(), {}, {}

    def write(what, sql, parameters):
        worst[what] = written[what] = 0
        with psycopg.connect(migrated.dsn(), autocommit=True) as session:
            session.execute("SET synchronous_commit = off")
            while not ended.is_set():
                begun = time.monotonic()
                session.execute(sql, parameters(written[what]))
                worst[what] = max(worst[what], time.monotonic() - begun)
                written[what] += 1

    threads = [
        threading.Thread(target=write, args=("control", "INSERT INTO public.control VALUES (%s)",
                                             lambda n: (n,))),
        threading.Thread(target=write, args=("meter_values", METER_VALUE, lambda n: (
            "writer", TODAY + datetime.timedelta(hours=2), n)))]
    for thread in threads:
        thread.start()
    answers = []
    dropping = threading.Thread(
        target=lambda: answers.append(partitions("drop", "--older-than", "90d")))
    dropping.start()
    # While the reader is there it tries and tries: 40 ms each time, and nothing is dropped.
    tries = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
    seen = 0
    while seen < 5:
        rig.wait_until(lambda: migrated.value(tries) == 1, rig.STILL_S, "a try of the drop")
        rig.wait_until(lambda: migrated.value(tries) == 0, rig.STILL_S, "the end of the try")
        seen += 1
    assert dropping.is_alive() and name_of(ago(100)) in listed(partitions)
    assert written["meter_values"] > 0
    reader.rollback()
    dropping.join(rig.HANGS_S)
    ended.set()
    for thread in threads:
        thread.join(rig.HANGS_S)
    done, = answers
    assert done.returncode == 0 and done.stdout.count("dropped ") == 4, done
    assert f"waiting: for process {reader.info.backend_pid} of " in done.stderr, done.stderr
    today = migrated.value("SELECT count(*) FROM meter_values WHERE charge_station_id = 'writer'")
    assert today == written["meter_values"]
    admin.execute("DELETE FROM meter_values WHERE charge_station_id = 'writer'")
    assert facts(migrated) == {name_of(TODAY): before[name_of(TODAY)]}
    wait_ms = 1000 * (worst["meter_values"] - worst["control"])
    print(f"longest insert: {1000 * worst['meter_values']:.0f} ms beside the drop, "
          f"{1000 * worst['control']:.0f} ms into a table that nobody touches")
    assert wait_ms <= 100


def test_interrupted_drop_is_finished_by_the_next(migrated, partitions):
    fill(migrated, [100, 101])
    session = psycopg.connect(migrated.dsn(), autocommit=True)
    retired = session.execute("SELECT ocpp.retire_partition('meter_values', %s)",
                              (name_of(ago(100)),)).fetchone()[0]
    session.close()
    found = listed(partitions)
    assert found[retired]["state"] == "retired" and name_of(ago(100)) not in found
    assert datetime.datetime.fromisoformat(found[retired]["from_time"]) == ago(100)
    done = partitions("drop", "--older-than", "99d", "--dry-run")
    assert [line.split(" (")[0] for line in done.stdout.splitlines()] == [
        f"would drop {retired}", f"would drop {name_of(ago(101))}"]
    done = partitions("drop", "--older-than", "99d")
    assert done.stdout.count("dropped ") == 2 and facts(migrated) == {}


def test_retired_table_that_somebody_reads_is_waited_for(migrated, partitions):
    fill(migrated, [100])
    admin, reader = migrated.connect(), migrated.connect(autocommit=False)
    retired = admin.execute("SELECT retire_partition('meter_values', %s)",
                            (name_of(ago(100)),)).fetchone()[0]
    reader.execute(f"SELECT count(*) FROM {retired}")
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(partitions("drop", "--older-than", "90d")))
    thread.start()
    rig.wait_until(lambda: migrated.value("SELECT count(*) FROM pg_locks WHERE NOT granted") == 1,
                   rig.STILL_S, "the drop waits")
    reader.rollback()
    thread.join(rig.HANGS_S)
    assert answers[0].returncode == 0 and answers[0].stdout.startswith(f"dropped {retired} (")


def test_drop_names_whoever_has_what_it_waits_for(migrated, partitions):
    """Which need not be the partition or its table: to detach one locks the default partition."""
    fill(migrated, [100])
    admin, reader = migrated.connect(), migrated.connect(autocommit=False)
    admin.execute("CREATE TABLE meter_values_default PARTITION OF meter_values DEFAULT")
    reader.execute("SELECT count(*) FROM meter_values_default")
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(partitions("drop", "--older-than", "90d")))
    thread.start()
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    for _ in range(2):
        rig.wait_until(lambda: migrated.value(waits) == 1, rig.STILL_S, "a try of the drop")
        rig.wait_until(lambda: migrated.value(waits) == 0, rig.STILL_S, "the end of the try")
    reader.rollback()
    thread.join(rig.HANGS_S)
    assert answers[0].returncode == 0, answers
    said = f'waiting: for process {reader.info.backend_pid} of "postgres", whose transaction has ' \
           "meter_values_default, since "
    assert said in answers[0].stderr, answers


def test_partition_that_the_server_refuses_to_drop_stops_no_other(migrated, partitions):
    fill(migrated, [100, 101, 102])
    admin = migrated.connect()
    admin.execute(f"CREATE VIEW of_mine AS SELECT * FROM {name_of(ago(102))}")
    for _ in range(2):  # as it was, and once it is retired
        done = partitions("drop", "--older-than", "90d")
        assert done.returncode == 1 and "view ocpp.of_mine depends on" in done.stderr, done
        found = listed(partitions, "--table", "meter_values").values()
        assert {line["state"] for line in found} == {"undated", "retired"}, found
    assert migrated.value("SELECT count(*) FROM of_mine") == 50
    admin.execute("DROP VIEW of_mine")
    assert partitions("drop", "--older-than", "90d").returncode == 0


def test_retired_table_is_as_old_as_its_youngest_row_may_be(migrated, partitions):
    """One that took the days of two years: what an archive left of it, a drop by another age must
    leave, too."""
    admin = migrated.connect()
    admin.execute(f"""CREATE TABLE old_values PARTITION OF meter_values
        FOR VALUES FROM ('{ago(800)}') TO ('{ago(100)}')""")
    retired = admin.execute("SELECT retire_partition('meter_values', 'old_values')").fetchone()[0]
    found = listed(partitions)[retired]
    assert found["state"] == "retired"
    assert datetime.datetime.fromisoformat(found["from_time"]) == ago(800)
    assert datetime.datetime.fromisoformat(found["to_time"]) == ago(100)
    assert partitions("drop", "--older-than", "101d").stdout == ""
    assert partitions("drop", "--older-than", "99d").stdout.startswith(f"dropped {retired} (")


def test_partition_whose_rows_are_in_other_tables_is_left(migrated, partitions, tmp_path):
    """To detach it would hide them, and an archive of itself would be empty."""
    admin = migrated.connect()
    admin.execute(f"""CREATE TABLE parted PARTITION OF meter_values
        FOR VALUES FROM ('{ago(100)}') TO ('{ago(99)}') PARTITION BY HASH (charge_station_id)""")
    admin.execute("CREATE TABLE part PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0)")
    fill(migrated, [100])
    for command in (("drop",), ("archive", "--to", str(tmp_path))):
        done = partitions(*command, "--older-than", "90d")
        assert done.returncode == 0 and done.stdout == "", done
    assert listed(partitions)["parted"]["state"] == "partitioned"
    assert migrated.value("SELECT count(*) FROM meter_values") == 50
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        admin.execute("SELECT retire_partition('meter_values', 'parted')")


def test_late_event_of_a_dropped_day_is_stored(running, migrated, partitions, publish):
    """In a partition that is made for it, beside a program that knew the one before."""
    at = f"{ago(100) + datetime.timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}"
    running()

    def value(number):
        publish.call("cs1", "MeterValues", {"connectorId": 1, "meterValue": [
            {"timestamp": at, "sampledValue": [{"value": str(number)}]}]}, id=str(number))

    value(1)
    stored(migrated, 1)
    done = partitions("drop", "--older-than", "90d", "--table", "meter_values")
    assert done.returncode == 0 and done.stdout.startswith(f"dropped {name_of(ago(100))} (")
    value(2)
    stored(migrated, 2)
    assert migrated.rows("SELECT event_time::text <> '', sampled::text FROM meter_values") == [
        (True, "{2}")]
    assert migrated.value("SELECT count(*) FROM dead_letters") == 0
    assert listed(partitions)[name_of(ago(100))]["state"] == "attached"


# ---- by the daemon ----


def states(database):
    return dict(database.rows("SELECT name, state FROM partition_list() WHERE state <> 'undated'"))


def meter_values(publish, days, number):
    at = f"{ago(days) + datetime.timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}"
    publish.call("cs1", "MeterValues", {"connectorId": 1, "meterValue": [
        {"timestamp": at, "sampledValue": [{"value": str(number)}]}]}, id=str(number))


def test_daemon_drops_what_is_older_than_its_table_keeps(running, migrated):
    fill(migrated, [0, 5, 100, 101])
    admin = migrated.connect()
    admin.execute("ANALYZE meter_values")
    admin.execute("SELECT ensure_partition('ocpp_events', now() - interval '200 days')")
    admin.execute("SELECT retire_partition('meter_values', %s)", (name_of(ago(101)),))
    before = facts(migrated)
    kept = {name: before[name] for name in (name_of(ago(0)), name_of(ago(5)))}
    p = running({"retention.meter_values": "30d"})
    dropped = [p.wait_event("partition_dropped", count=number) for number in (1, 2)]
    assert [(line["table"], line["rows_estimated"]) for line in dropped] == [
        ("meter_values", "50"), ("meter_values", "50")]
    assert dropped[0]["partition"].startswith(f"{name_of(ago(101))}_retired_")
    assert dropped[1]["partition"] == name_of(ago(100))
    assert facts(migrated) == kept
    # Tables that keep their rows lost nothing.
    assert states(migrated)[name_of(ago(200), "ocpp_events")] == "attached"


def test_daemon_goes_on_where_partitions_are_needed(running, migrated):
    """However many."""
    fill(migrated, range(100, 113), rows=1)
    admin = migrated.connect()
    admin.execute("SELECT ensure_partition('ocpp_events', now() - interval '200 days')")
    for days in range(101, 113):
        admin.execute(f"CREATE VIEW of_mine_{days} AS SELECT * FROM {name_of(ago(days))}")
    p = running({"retention.meter_values": "30d", "retention.ocpp_events": "60d"})
    dropped = {p.wait_event("partition_dropped", count=number)["partition"] for number in (1, 2)}
    assert dropped == {name_of(ago(200), "ocpp_events"), name_of(ago(100))}
    found = rig.wait_until(
        lambda: [line for line in p.events("retention_failed") if line["sqlstate"] == "2BP01"],
        rig.STILL_S, "the reason")
    assert found[0]["msg"].startswith(f"{name_of(ago(112))}: cannot drop table"), found


def test_daemon_waits_for_whoever_drops_or_reads(running, migrated):
    """A table that somebody reads keeps no writer waiting, and the other tables not at all."""
    fill(migrated, [100])
    admin, reader = migrated.connect(), migrated.connect(autocommit=False)
    other = migrated.connect()
    admin.execute("SELECT ensure_partition('ocpp_events', now() - interval '200 days')")
    admin.execute("SELECT ensure_partition('meter_values', now())")
    admin.execute("CREATE TABLE public.control (n int)")
    old = name_of(ago(200), "ocpp_events")
    reader.execute("SELECT count(*) FROM meter_values")
    other.execute("SELECT pg_advisory_lock(hashtext('ocpp-persister retention'), 0)")
    p = running({"retention.meter_values": "30d", "retention.ocpp_events": "60d"})
    sessions = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"
    asked = migrated.value(sessions)
    rig.wait_until(lambda: migrated.value(sessions) > asked + 3, rig.STILL_S, "it looks again")
    assert {old, name_of(ago(100))} <= set(states(migrated))
    other.close()
    assert p.wait_event("partition_dropped")["partition"] == old
    assert "lock timeout" in p.wait_event("retention_failed")["msg"]
    worst, control, rows, ended = [0], [0], [0], threading.Event()

    def write(longest, sql, make):
        session = migrated.connect()
        while not ended.is_set():
            begun = time.monotonic()
            session.execute(sql, make())
            longest[0] = max(longest[0], time.monotonic() - begun)

    def row():
        rows[0] += 1
        return ("writer", TODAY + datetime.timedelta(hours=2), rows[0])

    threads = [threading.Thread(target=write, args=arguments) for arguments in (
        (worst, METER_VALUE, row), (control, "INSERT INTO public.control VALUES (1)", tuple))]
    for thread in threads:
        thread.start()
    # Each try is a session of its own, and too short to be seen.
    failed = "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    tried = migrated.value(failed)
    rig.wait_until(lambda: migrated.value(failed) > tried + 1, rig.HANGS_S, "tries of the daemon")
    reader.rollback()
    assert p.wait_event("partition_dropped", rig.HANGS_S, count=2)["partition"] == name_of(ago(100))
    ended.set()
    for thread in threads:
        thread.join(rig.HANGS_S)
    assert migrated.value("SELECT count(*) FROM meter_values") == rows[0] > 0
    print(f"longest insert: {1000 * worst[0]:.0f} ms beside the daemon's drop, "
          f"{1000 * control[0]:.0f} ms into a table that nobody touches")


def test_daemon_passes_over_nothing_beside_one_refused_and_one_in_use(running, migrated):
    """The two are in one table, and the oldest partition of another one is dropped."""
    fill(migrated, [150, 151], rows=1)
    admin, reader = migrated.connect(), migrated.connect(autocommit=False)
    admin.execute("SELECT ensure_partition('ocpp_events', %s)", (ago(70),))
    admin.execute(f"CREATE VIEW of_mine AS SELECT * FROM {name_of(ago(151))}")
    reader.execute(f"SELECT count(*) FROM {name_of(ago(150))}")
    p = running({"retention.meter_values": "30d", "retention.ocpp_events": "30d"})
    assert p.wait_event("partition_dropped")["partition"] == name_of(ago(70), "ocpp_events")
    assert {line["sqlstate"] for line in p.events("retention_failed")} == {"2BP01", "55P03"}
    reader.rollback()
    assert p.wait_event("partition_dropped", count=2)["partition"] == name_of(ago(150))


def test_late_event_of_an_expired_time_is_skipped(running, migrated, publish):
    p = running({"retention.meter_values": "30d"})
    meter_values(publish, 100, 1)
    meter_values(publish, 5, 2)
    # The event of a table that keeps its rows is stored, without the values that came with it.
    at = f"{ago(100) + datetime.timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}"
    publish.call("cs1", "StopTransaction", {
        "transactionId": 7, "meterStop": 5, "timestamp": at, "transactionData": [
            {"timestamp": at, "sampledValue": [{"value": "5"}]}]}, id="3")
    # So is a message of which a part is not too old.
    publish.call("cs1", "MeterValues", {"connectorId": 1, "meterValue": [
        {"timestamp": at, "sampledValue": [{"value": "6"}]},
        {"timestamp": f"{ago(4):%Y-%m-%dT%H:%M:%SZ}", "sampledValue": [{"value": "7"}]}]}, id="4")
    stored(migrated, 4)
    assert migrated.value("SELECT reasons FROM ingest_progress") == {"skipped:expired": 1}
    assert migrated.rows("SELECT sampled::text FROM meter_values ORDER BY 1") == [
        ("{2}",), ("{7}",)]
    assert migrated.rows("SELECT transaction_id, meter_stop::integer FROM transactions") == [
        ("7", 5)]
    assert name_of(ago(100)) not in states(migrated)
    assert migrated.value("SELECT count(*) FROM dead_letters") == 0
    assert p.metrics()['ocpp_persister_messages_skipped_total{reason="expired"}'] == 1
    done = run_cli(migrated.settings(), "verify")
    assert done.returncode == 0 and "stored 3 + duplicate 0 + dead-lettered 0 + skipped 1" \
        in done.stdout, done


def test_dropping_can_be_left_to_others(running, migrated, publish):
    fill(migrated, [100])
    p = running({"retention.meter_values": "30d", "retention.drop": "false"})
    meter_values(publish, 90, 1)
    stored(migrated, 1)
    assert migrated.value("SELECT reasons FROM ingest_progress") == {"skipped:expired": 1}
    assert states(migrated) == {name_of(ago(100)): "attached", **{
        name: "attached" for name in states(migrated) if name > name_of(ago(1))
        or not name.startswith("meter_values")}}
    assert p.events("partition_dropped") == []


@needs_failpoints
@pytest.mark.parametrize("years", [20, -20])
def test_wrong_clock_expires_and_drops_nothing(migrated, broker, publish, persister, years):
    """The slower of the program's clock and the database's counts."""
    fill(migrated, [0, 5])
    before = facts(migrated)
    p = persister({**migrated.settings(), **broker.settings(), "retention.meter_values": "30d"},
                  environment={"CLOCK_WRONG_BY": str(years * 365 * 86400)}).start()
    p.wait_event("broker_connected")
    p.wait_event("database_connected")
    meter_values(publish, 2, 1)
    stored(migrated, 1)
    assert migrated.value("SELECT reasons FROM ingest_progress") == {}
    assert p.stop() == 0  # it looks for what is old at the start
    assert p.events("partition_dropped") == []
    assert {name: rows for name, rows in facts(migrated).items() if name in before} == before


@needs_failpoints
@pytest.mark.parametrize("command", ["drop", "archive"])
def test_commands_are_careful_about_clocks(migrated, partitions, tmp_path, command):
    fill(migrated, [0, 40, 400])
    arguments = [command, "--older-than", "90d", "--table", "meter_values"]
    if command == "archive":
        arguments += ["--to", tmp_path]
    before = facts(migrated)

    def run(*more, wrong_by_days=0, code=0):
        done = partitions(*map(str, arguments), *more, env={
            **os.environ, "CLOCK_WRONG_BY": str(wrong_by_days * 86400)})
        assert done.returncode == code, done
        return done

    for days, word in ((365, "behind"), (-365, "ahead of")):
        for more in ([], ["--dry-run"]):
            said = run(*more, wrong_by_days=days, code=1).stderr
            assert re.search(rf"the database's clock is 5\d{{5}} minutes {word} ", said), said
            assert "--trust-clock" in said
    # By the earlier one of the two, also where that is trusted.
    assert run("--trust-clock", wrong_by_days=-365).stdout == ""
    assert facts(migrated) == before
    # Nothing was stored for as long: all that is there would be too old.
    session = migrated.connect()
    session.execute("INSERT INTO ingest_progress (spool, seq, owner, updated_at) "
                    "VALUES (gen_random_uuid(), 1, gen_random_uuid(), now() - interval '91 days')")
    said = run(code=1).stderr
    assert "nothing was stored since" in said and "--trust-clock" in said
    assert facts(migrated) == before
    run("--trust-clock")
    assert sorted(facts(migrated)) == sorted(name for name in before
                                             if name != name_of(ago(400)))
    session.execute("UPDATE ingest_progress SET updated_at = now() - interval '89 days'")
    run()


def test_replay_skips_what_is_expired(migrated):
    days = [200, 100, 5]
    lines = "".join(
        f"{ago(day):%Y-%m-%dT%H:%M:%SZ} cs1 " + json.dumps(frame) + "\n" for day in days
        for frame in ([2, f"a{day}", "Authorize", {"idTag": "A"}],
                      [3, f"a{day}", {"idTagInfo": {"status": "Accepted"}}],
                      [2, f"m{day}", "MeterValues", {"connectorId": 1, "meterValue": [
                          {"timestamp": f"{ago(day):%Y-%m-%dT%H:%M:%SZ}",
                           "sampledValue": [{"value": "1"}]}]}]))
    settings = {**migrated.writer_settings(), "retention.authorizations": "60d",
                "retention.meter_values": "150d"}
    arguments = ["replay", "--json", "--lines", "{time} {station} {frame}"]
    for extra in (["--dry-run"], []):
        done = run_cli(settings, *arguments, *extra, "-", input=lines)
        assert json.loads(done.stdout)["skipped_reasons"] == {"expired": 3}, done
    # The result of a call that was skipped is stored: the table of results keeps its rows.
    assert migrated.value("SELECT count(*) FROM authorizations") == 1
    assert migrated.value("SELECT count(*) FROM ocpp_events") == 3
    assert migrated.value("SELECT count(*) FROM meter_values") == 2
    assert not {name_of(ago(100), "authorizations"), name_of(ago(200))} & set(states(migrated))
    assert run_cli(migrated.settings(), "verify").returncode == 0


@pytest.mark.parametrize("settings, says", [
    ({"retention.meter_values": "1h"}, "retention.meter_values (1h) is less than a day"),
    ({"retention.ocpp_events": "13d"},
     "retention.ocpp_events (13d) is less than twice pairing.keep"),
    ({"retention.authorizations": "30d", "pairing.keep": "20d"}, "less than twice pairing.keep"),
    ({"retention.transactions": "90d"},
     "retention.transactions (90d) is less than retention.transaction_events (0: forever)"),
    ({"retention.transactions": "90d", "retention.transaction_events": "100d"},
     "retention.transactions (90d) is less than retention.transaction_events (100d)"),
    ({"retention.metervalues": "90d"}, "retention.meter_values"),
    ({"retention.transactions": "90d", "retention.transaction_events": "90d",
      "retention.meter_values": "1d", "retention.authorizations": "14d",
      "retention.ocpp_events": "0s"}, None),
])
def test_settings_that_cannot_be_are_refused(settings, says):
    done = run_cli({"spool.bytes_max": "64MiB", "spool.segment_bytes": "4MiB", **settings},
                   "config", "check")
    assert done.returncode == (0 if says is None else 3), done
    assert says is None or says in done.stderr, done


# ---- others who make partitions ----


def test_beside_pg_partman(migrated, tmp_path, postgres):
    """It makes them, as docs/operating.md says; we fill, archive, restore and drop them."""
    if not migrated.rows("SELECT name FROM pg_available_extensions WHERE name = 'pg_partman'"):
        pytest.skip("pg_partman is not installed (deploy/install-deps test)")
    admin = migrated.connect()
    admin.execute("SET timezone = 'UTC'")
    admin.execute("CREATE SCHEMA partman")
    admin.execute("CREATE EXTENSION pg_partman SCHEMA partman")
    for table, column, step in admin.execute(
            "SELECT table_name, time_column, step FROM partitioned_tables").fetchall():
        admin.execute("""SELECT partman.create_parent(%s, %s, 'native', %s,
            p_template_table := %s, p_start_partition := %s)""", (
            f"ocpp.{table}", column, "daily" if step == "day" else "monthly", f"ocpp.{table}",
            f"{ago(65 if step == 'day' else 110):%Y-%m-%d}"))
        admin.execute(f"DROP TABLE {table}_default")
    admin.execute("UPDATE partman.part_config SET inherit_privileges = true, "
                  "infinite_time_partitions = true")
    admin.execute("SELECT partman.reapply_privileges(parent_table) FROM partman.part_config")
    admin.execute("CALL partman.run_maintenance_proc()")
    settings = migrated.writer_settings()
    at = f"{ago(62) + datetime.timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}"
    frames = [[2, "1", "Authorize", {"idTag": "A"}],
              [2, "2", "StartTransaction", {"connectorId": 1, "idTag": "A", "meterStart": 1,
                                            "timestamp": at}],
              [3, "2", {"transactionId": 5, "idTagInfo": {"status": "Accepted"}}],
              [2, "3", "MeterValues", {"connectorId": 1, "meterValue": [
                  {"timestamp": at, "sampledValue": [{"value": "3"}]}]}],
              [2, "4", "MeterValues", {"connectorId": 1, "meterValue": [
                  {"timestamp": "whenever", "sampledValue": [{"value": "4"}]}]}]]
    lines = "".join(f"{at} cs1 {json.dumps(frame)}\n" for frame in frames)
    replayed = run_cli(settings, "replay", "--lines", "{time} {station} {frame}", "-", input=lines)
    assert "5 messages = 5 stored" in replayed.stdout, replayed
    tables = ("meter_values", "transactions", "transaction_events", "authorizations", "ocpp_events",
              "transaction_starts", "transaction_keys")

    def contents():
        return {table: migrated.rows(f"SELECT t::text FROM {table} t ORDER BY 1")
                for table in tables}

    before = contents()
    assert all(before.values())
    assert {name for name, in migrated.rows("SELECT DISTINCT tableoid::regclass::text "
                                            "FROM meter_values")} == {
        f"meter_values_p{ago(62):%Y_%m_%d}", "meter_values_undated"}
    migrated.value("SELECT prune_transaction_keys(1000)")
    assert contents() == before
    done = run_cli(settings, "partitions", "archive", "--older-than", "20d", "--to", str(tmp_path))
    assert done.returncode == 0, done
    admin.execute("CALL partman.run_maintenance_proc()")
    migrated.value("SELECT prune_transaction_keys(1000)")
    assert [len(rows) for rows in contents().values()] == [1, 0, 0, 0, 0, 0, 0]
    assert run_cli(settings, "replay", str(tmp_path)).returncode == 0
    assert contents() == before
    assert run_cli(settings, "partitions", "drop", "--older-than", "20d").returncode == 0
    admin.execute("CALL partman.run_maintenance_proc()")
    assert [len(rows) for rows in contents().values()] == [1, 0, 0, 0, 0, 0, 1]


# ---- rights ----


def refused(session, sql, *parameters):
    with pytest.raises(psycopg.Error) as caught:
        session.execute(sql, parameters or None)
    return caught.value.diag.sqlstate


def test_only_partitions_of_ours_whose_time_is_over_can_be_retired(migrated):
    fill(migrated, [0, 100])
    admin = migrated.connect()
    admin.execute("CREATE TABLE meter_values_default PARTITION OF meter_values DEFAULT")
    admin.execute("CREATE TABLE public.mine (a timestamptz) PARTITION BY RANGE (a)")
    admin.execute("CREATE TABLE public.mine_2024 PARTITION OF public.mine "
                  "FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')")
    admin.execute("CREATE TABLE meter_values_2024_01_01 (a int)")
    migrated.writer_settings()  # makes the role
    writer = psycopg.connect(migrated.cluster.dsn(migrated.name, "persister", "secret"),
                             autocommit=True)
    for parent, name in (("meter_values", name_of(TODAY)), ("meter_values", "meter_values_undated"),
                         ("meter_values", "meter_values_default"), ("mine", "mine_2024"),
                         ("meter_values", "meter_values_2024_01_01"),
                         ("transactions", name_of(ago(100))), ("meter_values", "meter_values"),
                         ("meter_values", "dead_letters"), ("meter_values", None)):
        assert refused(writer, "SELECT ocpp.retire_partition(%s, %s)", parent, name) == "55000"
    for name in (name_of(ago(100)), "meter_values_2024_01_01", "dead_letters", "nothing", None):
        assert refused(writer, "SELECT ocpp.drop_retired(%s)", name) == "55000"
    # Nor by a name that only looks like one of a retired table.
    oid = admin.execute("SELECT 'meter_values_2024_01_01'::regclass::oid").fetchone()[0]
    assert refused(writer, f"ALTER TABLE ocpp.meter_values_2024_01_01 RENAME TO x_retired_{oid}") \
        == "42501"
    assert refused(writer, f"DROP TABLE ocpp.{name_of(ago(100))}") == "42501"
    retired = writer.execute("SELECT ocpp.retire_partition('meter_values', %s)",
                             (name_of(ago(100)),)).fetchone()[0]
    assert refused(writer, "SELECT ocpp.retire_partition('meter_values', %s)", retired) == "55000"
    writer.execute("SELECT ocpp.drop_retired(%s)", (retired,))
    writer.close()


def test_readers_and_everybody_may_not_drop(migrated):
    fill(migrated, [100])
    name = f"reader_of_{migrated.name}"
    admin = migrated.connect()
    admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret' IN ROLE ocpp_reader")
    settings = migrated.cluster.settings(migrated.name, name, "secret")
    done = run_cli(settings, "partitions", "drop", "--older-than", "90d")
    assert done.returncode == 4 and "permission denied" in done.stderr, done
    assert set(facts(migrated)) == {name_of(ago(100))}
    open_to_all = migrated.rows("""
        SELECT p.oid::regprocedure::text FROM pg_proc p
        WHERE p.prosecdef AND p.pronamespace = 'ocpp'::regnamespace
          AND p.proname IN ('retire_partition', 'drop_retired')
          AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                      WHERE a.grantee = 0)""")
    assert open_to_all == []
    admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
