"""What goes wrong between us and the database, and what becomes of the messages."""

import random
import signal

import psycopg
import pytest
import rig
from conftest import run_cli, stored


def meter(publish, number, station="cs001", value=None, time=None):
    publish.call(station, "MeterValues", {"connectorId": 1, "meterValue": [
        {"timestamp": time or f"2026-01-31T{number // 3600:02}:{number // 60 % 60:02}:"
                              f"{number % 60:02}Z",
         "sampledValue": [{"value": value or str(number)}]}]}, id=str(number))


def count(database, table="meter_values"):
    return database.value(f"SELECT count(*) FROM {table}")


def totals(database):
    return database.rows(
        "SELECT received, stored, duplicate, dead_lettered FROM ingest_progress")[0]


@pytest.fixture
def through_proxy(persister, migrated, broker, proxy, postgres):
    """A persister whose way to PostgreSQL leads through a proxy: (persister, proxy)."""
    def start(settings=None):
        door = proxy(postgres.port, postgres=True)
        p = persister({"spool.segment_bytes": "4MiB", **migrated.settings(door.port),
                       **broker.settings(), **(settings or {})}).start()
        p.wait_event("broker_connected")
        p.wait_event("database_connected")
        return p, door

    return start


def test_answer_to_commit_that_is_swallowed_doubles_nothing(through_proxy, migrated, publish):
    p, door = through_proxy()
    meter(publish, 0)
    stored(migrated, 1)
    door.swallow_commit(arrives=True)
    meter(publish, 1)
    assert door.swallowed.wait(rig.HANGS_S)
    for i in range(2, 20):
        meter(publish, i)
    stored(migrated, 20)
    assert count(migrated) == 20 and totals(migrated) == (20, 20, 0, 0)
    assert p.events("database_lost", kind="uncertain")


def test_commit_that_never_arrives_loses_nothing(through_proxy, migrated, publish):
    p, door = through_proxy()
    meter(publish, 0)
    stored(migrated, 1)
    door.swallow_commit(arrives=False)
    meter(publish, 1)
    assert door.swallowed.wait(rig.HANGS_S)
    for i in range(2, 20):
        meter(publish, i)
    stored(migrated, 20)
    assert count(migrated) == 20 and totals(migrated) == (20, 20, 0, 0)
    assert p.events("database_lost", kind="uncertain")


def test_connection_cut_after_any_number_of_bytes(through_proxy, migrated, publish):
    p, door = through_proxy()
    sent = 0
    for cut in range(1, 4000, 171):
        door.cut_after(cut, "up")
        for _ in range(3):
            meter(publish, sent)
            sent += 1
        stored(migrated, sent)
    assert count(migrated) == sent
    received, kept, duplicate, dead = totals(migrated)
    assert (received, kept, duplicate, dead) == (sent, sent, 0, 0)


class CutAtPrepare:
    """Cuts the connections that prepare something, as often as it is asked to."""

    def __init__(self):
        self.left, self.cuts = 0, 0

    def feed(self, direction, data):
        # Parse: its length, then the name of the statement. Nothing else has these bytes.
        if direction == rig.UP and self.left > 0 and b"\0\0\0" in data and data[:1] == b"P":
            self.left -= 1
            self.cuts += 1
            raise ConnectionResetError


def test_connection_cut_while_it_prepares_a_statement_comes_back(
        persister, migrated, broker, proxy, postgres, publish):
    """What the lost connection still had to report means nothing to the next one."""
    cut = CutAtPrepare()
    door = proxy(postgres.port, observe=lambda: cut)
    p = persister({**migrated.settings(door.port), **broker.settings()}).start()
    p.wait_event("broker_connected")
    p.wait_event("database_connected")
    for number in range(3):
        cut.left = 1
        door.cut()  # the next connection has nothing prepared
        meter(publish, number)
        stored(migrated, number + 1)
        assert cut.cuts == number + 1
    assert count(migrated) == 3 and totals(migrated) == (3, 3, 0, 0)


def test_server_that_stops_answering_is_left_and_its_lock_taken_back(
        through_proxy, migrated, publish):
    """Half-dead: the old backend holds the row of our progress until it is ended."""
    p, door = through_proxy({"storage.postgres.timeout": "2s"})
    meter(publish, 0)
    stored(migrated, 1)
    door.stall("down")
    meter(publish, 1)
    p.wait_event("database_lost", 30)
    door.flow()
    for i in range(2, 10):
        meter(publish, i)
    stored(migrated, 10)
    assert count(migrated) == 10


def test_row_that_the_database_refuses_is_set_aside_alone(running, migrated, publish):
    """A CHECK of the operator's own stands for whatever we did not foresee."""
    with migrated.connect() as c:
        c.execute("ALTER TABLE meter_values ADD CONSTRAINT ours CHECK (charge_station_id <> 'bad')")
    p = running()
    p.process.send_signal(signal.SIGSTOP)  # so that one batch holds them all
    for i in range(40):
        meter(publish, i, station="bad" if i in (7, 8, 31) else "good")
    p.process.send_signal(signal.SIGCONT)
    stored(migrated, 40)
    assert totals(migrated) == (40, 37, 0, 3)
    assert migrated.rows("SELECT charge_station_id, reason, count(*) FROM dead_letters"
                         " GROUP BY 1, 2") == [("bad", "constraint", 3)]
    assert "ours" in migrated.value("SELECT detail FROM dead_letters LIMIT 1")


def test_message_that_is_refused_where_nobody_says_which_is_found_by_halving(
        running, migrated, publish):
    with migrated.connect() as c:
        c.execute("ALTER TABLE connector_status ADD CONSTRAINT ours CHECK (status <> 'Odd')")
    p = running()
    p.process.send_signal(signal.SIGSTOP)
    for i in range(30):
        publish.call(f"cs{i:03}", "StatusNotification", {
            "connectorId": 1, "errorCode": "NoError", "status": "Odd" if i == 17 else "Available",
            "timestamp": "2026-01-31T10:00:00Z"}, id=str(i))
    p.process.send_signal(signal.SIGCONT)
    stored(migrated, 30)
    assert totals(migrated) == (30, 29, 0, 1)
    assert migrated.rows("SELECT charge_station_id FROM dead_letters") == [("cs017",)]
    assert count(migrated, "connector_status") == 29


def test_names_longer_than_an_index_takes_are_set_aside_alone(running, migrated, publish):
    """PostgreSQL finds only while it writes that an index has no room for them (54000)."""
    running()
    long = "".join(random.Random(1).choices("0123456789abcdef", k=20000))
    start = {"connectorId": 1, "idTag": "T", "meterStart": 1, "timestamp": "2026-01-31T10:00:00Z"}
    bad = [
        lambda: publish.call(long, "Heartbeat", {}),
        lambda: meter(publish, 1, station=long),
        lambda: publish.raw(f"cs/in/ocpp1.6/{long}", b"no message"),
        lambda: publish.call("cs001", "StartTransaction", start, id=long),
        lambda: publish.call("cs001", long, {}),
        lambda: publish.call("cs001", "TransactionEvent", {
            "eventType": "Started", "timestamp": "2026-01-31T10:00:00Z", "seqNo": 0,
            "triggerReason": "Authorized", "transactionInfo": {"transactionId": long}},
            version="2.0.1"),
    ]
    for number, send in enumerate(bad):
        meter(publish, 100 + number)
        send()
    meter(publish, 200)
    stored(migrated, 2 * len(bad) + 1)
    assert totals(migrated) == (2 * len(bad) + 1, len(bad) + 1, 0, len(bad))
    assert dict(migrated.rows("SELECT reason, count(*) FROM dead_letters GROUP BY reason")) == {
        "limit": len(bad) - 1, "unknown_format": 1}
    assert migrated.value("SELECT count(*) FROM dead_letters WHERE length(topic) > 20000") == 3


def test_partition_dropped_behind_our_back_is_made_again(running, migrated, publish):
    p = running()
    meter(publish, 0)
    stored(migrated, 1)
    with migrated.connect() as c:
        c.execute("DROP TABLE meter_values_2026_01_31")
    meter(publish, 1)
    stored(migrated, 2)
    assert count(migrated) == 1
    assert p.events("batch_failed", kind="route")


def test_partition_made_by_another_worker_is_used(running, migrated, publish):
    running()
    with migrated.connect() as c:
        c.execute("SELECT ensure_partition('meter_values', '2026-01-31')")
    meter(publish, 0)
    stored(migrated, 1)
    assert count(migrated) == 1


def test_open_reader_does_not_delay_a_new_partition(running, migrated, publish):
    running()
    meter(publish, 0)
    stored(migrated, 1)
    reader = migrated.connect(autocommit=False)
    reader.execute("SELECT count(*) FROM meter_values")
    meter(publish, 1, time="2026-02-01T00:00:00Z")
    stored(migrated, 2)
    reader.close()


def test_one_mad_clock_does_not_make_thousands_of_partitions(running, migrated, publish):
    running({"partitions.outside_max": 5})
    for year in range(2011, 2031):
        meter(publish, year, time=f"{year}-06-15T12:00:00Z")
    stored(migrated, 20)
    received, kept, duplicate, dead = totals(migrated)
    assert kept + dead == 20 and dead >= 10
    assert migrated.rows("SELECT DISTINCT reason FROM dead_letters") == [("partition_limit",)]
    made = migrated.value("SELECT count(*) FROM pg_inherits"
                          " WHERE inhparent = 'meter_values'::regclass")
    assert made <= 5 + 2 + 5


def test_impossible_times_are_kept_with_their_text(running, migrated, publish):
    running()
    for i, time in enumerate(["0000-00-00T00:00:00Z", "1970-01-01T00:00:00Z",
                              "2000-00-00 00:00:00", "9999-12-31T23:59:59Z", "yesterday",
                              "2026-01-31T24:00:00Z", "2026-01-31T10:00:00"]):
        meter(publish, i, time=time)
    stored(migrated, 7)
    assert migrated.rows(
        "SELECT time_text, isfinite(event_time), time_source, flag_names(flags)"
        " FROM meter_values ORDER BY sampled[1]") == [
        ("0000-00-00T00:00:00Z", False, "i", ["time_invalid"]),
        ("1970-01-01T00:00:00Z", False, "i", ["time_invalid"]),
        ("2000-00-00 00:00:00", False, "i", ["time_invalid"]),
        ("9999-12-31T23:59:59Z", False, "i", ["time_invalid"]),
        ("yesterday", False, "i", ["time_invalid"]),
        ("2026-01-31T24:00:00Z", True, "s", ["time_adjusted"]),
        ("2026-01-31T10:00:00", True, "s", ["time_zoneless"])]


def test_repeats_take_the_careful_path_and_are_counted(running, migrated, publish):
    p = running()
    for round_ in range(3):
        for i in range(30):
            meter(publish, i)
        stored(migrated, 30 * (round_ + 1))
    assert totals(migrated) == (90, 30, 60, 0) and count(migrated) == 30
    assert p.metric("ocpp_persister_batches_failed_total") == 0


def test_station_that_varies_its_samples_does_not_flood_the_layouts(running, migrated, publish):
    running({"layouts.per_station_max": 10})
    for i in range(50):
        publish.call("cs001", "MeterValues", {"connectorId": 1, "meterValue": [
            {"timestamp": f"2026-01-31T10:00:{i:02}Z", "sampledValue": [
                {"value": str(i), "measurand": f"Voltage.{i}", "unit": "V"},
                {"value": "x"}]}]})
    stored(migrated, 50)
    assert count(migrated, "meter_value_layouts") == 10
    assert count(migrated) == 50
    assert migrated.rows(
        "SELECT measurand, value, unit, value_text FROM meter_samples"
        " WHERE position = 1 ORDER BY event_time") == [
        (f"Voltage.{i}", i, "V", str(i)) for i in range(50)]
    assert migrated.value("SELECT count(*) FROM meter_samples WHERE value_text = 'x'") == 50


def test_database_that_refuses_is_asked_again_until_it_is_fixed(
        persister, migrated, broker, publish, postgres):
    with psycopg.connect(postgres.dsn(), autocommit=True) as c:
        c.execute("CREATE ROLE rotated LOGIN PASSWORD 'other' IN ROLE ocpp_writer")
    p = persister({**postgres.settings(migrated.name, "rotated", "new"),
                   **broker.settings()}).start()
    p.wait_event("broker_connected")
    assert "password" in p.wait_event("database_lost")["msg"]
    meter(publish, 0)
    assert p.running and p.http("/readyz")[0] == 503
    with psycopg.connect(postgres.dsn(), autocommit=True) as c:
        c.execute("ALTER ROLE rotated PASSWORD 'new'")
    stored(migrated, 1)


def test_new_cause_of_an_outage_is_said_immediately(
        persister, migrated, broker, publish, postgres):
    """Twice: the second time nothing was stored in between."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as c:
        c.execute("CREATE ROLE changed LOGIN PASSWORD 'new' IN ROLE ocpp_writer")
        p = persister({**postgres.settings(migrated.name, "changed", "new"), **broker.settings()})
        p.environment = {"FAILPOINT_HASTE": "20"}
        p.start().wait_event("database_connected")
        for round in (1, 2):
            c.execute("ALTER ROLE changed PASSWORD 'other'")
            c.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                      " WHERE usename = 'changed'")
            refused = p.wait_event("database_lost", 20, round, sqlstate="28P01")
            assert refused["heals"] == "by_a_person"
            c.execute("ALTER ROLE changed PASSWORD 'new'")
            p.wait_event("database_connected", count=round + 1)
    assert len(p.events("database_lost", heals="by_itself")) == 2


def test_writer_needs_no_more_than_its_role(persister, migrated, broker, publish, postgres):
    with psycopg.connect(postgres.dsn(), autocommit=True) as c:
        c.execute("CREATE ROLE meter_writer LOGIN PASSWORD 'secret' IN ROLE ocpp_writer")
    p = persister({**postgres.settings(migrated.name, "meter_writer", "secret"),
                   **broker.settings()}).start()
    p.wait_event("broker_connected")
    p.wait_event("database_connected")
    for i in range(3):
        meter(publish, i)
        meter(publish, i)
    publish.call("cs001", "StartTransaction", {"connectorId": 1, "idTag": "T", "meterStart": 1,
                                               "timestamp": "2026-01-31T10:00:00Z"}, id="s")
    publish.result("cs001", "StartTransaction", {"transactionId": 5,
                                                 "idTagInfo": {"status": "Accepted"}}, id="s")
    publish.raw("cs/in/ocpp1.6/cs001", "nonsense")
    stored(migrated, 9)
    assert totals(migrated) == (9, 5, 3, 1)
    assert not p.events("batch_failed")


@pytest.mark.parametrize("state, reason, remedy", [
    ("behind", "schema_behind", "migrate up"),
    ("ahead", "schema_ahead", "migrate goto"),
    ("dirty", "schema_dirty", "migrate force"),
    ("none", "schema_behind", "migrate up"),
])
def test_run_refuses_a_schema_that_is_not_its_own(persister, database, broker, state, reason,
                                                  remedy):
    if state != "none":
        assert run_cli(database.settings(), "migrate", "up").returncode == 0
    with database.connect() as c:
        if state == "behind":
            c.execute("UPDATE schema_migrations SET version = version - 1")
        elif state == "ahead":
            c.execute("UPDATE schema_migrations SET version = version + 1")
        elif state == "dirty":
            c.execute("UPDATE schema_migrations SET dirty = true")
    p = persister({**database.settings(), **broker.settings()}).start()
    assert p.wait_exit(30) == 5
    assert remedy in p.events("stopping", reason=reason)[0]["hint"]

@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
def test_database_that_is_not_utf8_is_refused_with_the_remedy(persister, postgres, broker,
                                                              encoding):
    name = f"odd_{encoding.lower()}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    settings = postgres.settings(name)
    for command in (("migrate", "up"), ("dead-letters", "list"), ("store", "token", "list")):
        done = run_cli(settings, *command)
        assert done.returncode == 4, done.stderr
        assert f'"{name}" has the encoding {encoding}' in done.stderr
        assert "ENCODING 'UTF8' TEMPLATE template0" in done.stderr
    p = persister({**settings, **broker.settings()}).start()
    assert p.wait_exit() == 4
    assert p.events("stopping")[0]["reason"] == "database_encoding"
