"""An error that may be about one row or about all of them: a single bad row is set aside and its
neighbours are stored; what is refused alike waits, and none of it becomes a dead letter."""

import json

import pytest
import rig
from conftest import run_cli
from test_pipeline import drained, totals

TIME = "2026-01-31T10:00:00Z"
STATIONS = 12
BAD = "cs007"

# What each station says, by the table that has to take it.
TOLD = {
    "meter_values": ("MeterValues", {"connectorId": 1, "meterValue": [
        {"timestamp": TIME, "sampledValue": [{"value": "1"}]}]}),
    "connector_status": ("StatusNotification", {
        "connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": TIME}),
    "authorizations": ("Authorize", {"idTag": "T"}),
    "charge_station_status": ("BootNotification", {
        "chargePointVendor": "v", "chargePointModel": "m"}),
    "transaction_events": ("StartTransaction", {
        "connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": TIME}),
    "transactions": ("StopTransaction", {
        "transactionId": 5, "meterStop": 10, "timestamp": TIME}),
    "ocpp_events": ("DataTransfer", {"vendorId": "v"}),
}
ACTIONS = {table: action for table, (action, _) in TOLD.items()}
ACTIONS["exchange_halves"] = "Authorize"


# Each case waits through pauses that grow up to 30 s. A build with failpoints makes them shorter by
# this factor; no test here depends on their length.
HASTE = "20"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setenv("FAILPOINT_HASTE", HASTE)


def tell(publish, stations=range(STATIONS), tables=TOLD):
    sent = 0
    for n in stations:
        for table in tables:
            action, request = TOLD[table]
            publish.call(f"cs{n:03}", action, request, id=f"{n}-{action}")
            sent += 1
    return sent


def refuse(database, table, sqlstate, condition=f"NEW.charge_station_id = '{BAD}'"):
    with database.connect() as c:
        c.execute(f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF {condition} THEN RAISE EXCEPTION 'not this one' USING ERRCODE = '{sqlstate}'; END IF;
            RETURN NEW; END $$;
            CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table}
            FOR EACH ROW EXECUTE FUNCTION refuse()""")


def assert_only_bad_is_set_aside(database, sent, actions):
    drained(database, sent)
    dead = database.rows("SELECT charge_station_id, convert_from(payload, 'UTF8'), reason, detail"
                         " FROM dead_letters")
    assert {station for station, *_ in dead} == {BAD}, dead
    assert len(dead) == len(actions), dead
    for action in actions:
        assert any(f'"{action}"' in payload for _, payload, *_ in dead), (action, dead)
    assert {reason for _, _, reason, _ in dead} == {"constraint"}
    assert all("not this one" in detail or "policy" in detail for *_, detail in dead)
    assert totals(database) == (sent, sent - len(actions), 0, len(actions))


@pytest.mark.parametrize("sqlstate", ["42501", "0A000", "55000", "XX000", "42P01", "42883", "38000",
                                      "ZZ123"])
def test_row_that_alone_is_refused_is_set_aside(running, migrated, publish, sqlstate):
    refuse(migrated, "meter_values", sqlstate)
    p = running()
    assert_only_bad_is_set_aside(migrated, tell(publish), ["MeterValues"])
    assert p.running


# What a server says of itself. A trigger may say it, too: of a foreign table, of a file, of a lock.
SERVER = ["08006", "25006", "28000", "3D000", "40001", "53100", "53200", "55P03", "57014", "57P01",
          "58030"]


@pytest.mark.parametrize("sqlstate", SERVER)
def test_row_that_alone_is_refused_is_set_aside_whatever_the_server_says(
        running, migrated, publish, sqlstate):
    refuse(migrated, "meter_values", sqlstate)
    p = running()
    assert_only_bad_is_set_aside(migrated, tell(publish), ["MeterValues"])
    assert p.running


def test_row_over_which_the_connection_is_lost_is_set_aside(running, migrated, publish):
    refuse(migrated, "connector_status", "P0001", f"NEW.charge_station_id = '{BAD}' AND"
           " pg_terminate_backend(pg_backend_pid())")
    running()
    sent = tell(publish)
    drained(migrated, sent)
    assert totals(migrated) == (sent, sent - 1, 0, 1)
    assert migrated.rows("SELECT charge_station_id FROM dead_letters") == [(BAD,)]


def test_row_that_is_too_slow_for_the_server_is_set_aside(running, migrated, publish):
    refuse(migrated, "meter_values", "P0001", f"NEW.charge_station_id = '{BAD}' AND"
           " pg_sleep(3600) IS NOT NULL")
    with migrated.connect() as c:
        c.execute(f"ALTER DATABASE {migrated.name} SET statement_timeout = '1s'")
    running()
    sent = tell(publish)
    drained(migrated, sent)
    assert totals(migrated) == (sent, sent - 1, 0, 1)
    assert migrated.rows("SELECT charge_station_id FROM dead_letters") == [(BAD,)]


def test_row_that_somebody_holds_waits_for_them(running, migrated, publish):
    """Others of its table would be stored meanwhile: the row is not at fault."""
    with migrated.connect() as c:
        c.execute(f"ALTER DATABASE {migrated.name} SET lock_timeout = '200ms'")
    p = running()
    sent = tell(publish)
    drained(migrated, sent)
    holder = migrated.connect()
    holder.autocommit = False
    holder.execute(f"SELECT FROM connector_status WHERE charge_station_id = '{BAD}' FOR UPDATE")
    for n in range(STATIONS):
        publish.call(f"cs{n:03}", "StatusNotification", {
            "connectorId": 1, "errorCode": "NoError", "status": "Charging",
            "timestamp": "2026-01-31T11:00:00Z"}, id="2")
    tries = 20  # more than anything that is set aside gets
    rig.wait_until(lambda: p.metric("ocpp_persister_batches_failed_total") > tries,
                   what=lambda: rig.tail(p.log))
    assert migrated.value("SELECT count(*) FROM dead_letters") == 0
    holder.rollback()
    drained(migrated, sent + STATIONS)
    assert totals(migrated) == (sent + STATIONS, sent + STATIONS, 0, 0)


@pytest.mark.parametrize("table", ["meter_values", "connector_status", "authorizations",
                                   "charge_station_status", "transaction_events", "transactions",
                                   "ocpp_events", "exchange_halves"])
def test_row_that_any_table_refuses_stops_nobody_else(running, migrated, publish, table):
    """Its tables may be those of several messages."""
    refuse(migrated, table, "42501")
    p = running()
    sent = tell(publish)
    drained(migrated, sent)
    assert {s for s, in migrated.rows("SELECT charge_station_id FROM dead_letters")} == {BAD}
    _, stored, duplicate, dead = totals(migrated)
    assert dead >= 1 and stored + dead == sent and duplicate == 0
    assert any(f'"{ACTIONS[table]}"' in payload for payload, in migrated.rows(
        "SELECT convert_from(payload, 'UTF8') FROM dead_letters"))
    assert p.running


def test_message_among_many_of_one_record_is_found(running, migrated, publish):
    refuse(migrated, "meter_values", "XX000")
    running()
    action, request = TOLD["meter_values"]
    publish.raw("cs/in/ocpp1.6/cs001", json.dumps(
        [{"type": 2, "action": action, "id": str(n), "request": {
            "connectorId": n, "meterValue": request["meterValue"]}} for n in range(30)]))
    with migrated.connect() as c:
        c.execute("CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                  " IF NEW.connector_id = 17 AND NEW.charge_station_id = 'cs002' THEN"
                  " RAISE EXCEPTION 'no' USING ERRCODE = 'XX000'; END IF; RETURN NEW; END $$")
    publish.raw("cs/in/ocpp1.6/cs002", json.dumps(
        [{"type": 2, "action": action, "id": str(n), "request": {
            "connectorId": n, "meterValue": request["meterValue"]}} for n in range(30)]))
    publish.raw("cs/in/ocpp1.6/cs003", json.dumps(
        {"type": 2, "action": action, "id": "1", "request": request}))
    drained(migrated, 61)
    assert totals(migrated) == (61, 60, 0, 1)


def test_policy_that_refuses_one_row(running, migrated, publish):
    with migrated.connect() as c:
        c.execute(f"""ALTER TABLE connector_status ENABLE ROW LEVEL SECURITY;
            CREATE POLICY ours ON connector_status USING (charge_station_id <> '{BAD}')""")
    running()
    assert_only_bad_is_set_aside(migrated, tell(publish), ["StatusNotification"])


def test_last_message_waits_for_another_to_compare_with(running, migrated, publish):
    refuse(migrated, "meter_values", "55000")
    p = running()
    tell(publish, [7], ["meter_values"])
    rig.wait_until(lambda: any(e.get("event") == "batch_failed" and e.get("hint")
                               for e in p.lines()), what=lambda: rig.tail(p.log))
    assert totals(migrated) == (0, 0, 0, 0)
    tell(publish, [8], ["meter_values"])
    assert_only_bad_is_set_aside(migrated, 2, ["MeterValues"])


def captured(path, tables):
    """A capture of one message for each (station, table)."""
    with open(path, "w") as f:
        for n, (station, table) in enumerate(tables):
            action, request = TOLD[table]
            f.write(json.dumps({"tst": TIME, "topic": f"cs/in/ocpp1.6/{station}", "qos": 1,
                                "payload": json.dumps({"type": 2, "action": action, "id": f"m{n}",
                                                       "request": request})}) + "\n")
    return str(path)


@pytest.mark.parametrize("state", ["42501", "XX000", "58030", "28000"])
def test_last_message_of_its_table_does_not_wait_for_ever(migrated, tmp_path, state):
    """There is nothing to compare it with: it is tried for ten times storage.postgres.timeout."""
    refuse(migrated, "connector_status", state)
    path = captured(tmp_path / "c", [("cs001", "ocpp_events"), (BAD, "connector_status")])
    done = run_cli({**migrated.settings(), "storage.postgres.timeout": "1s"}, "replay", path)
    assert done.returncode == 0, done.stderr
    assert migrated.value("SELECT count(*) FROM ocpp_events") == 1
    assert migrated.rows("SELECT charge_station_id, reason FROM dead_letters") == [
        (BAD, "constraint")]


@pytest.mark.parametrize("state", ["42501", "XX000", "55000"])
def test_those_refused_with_it_and_stored_without_it_speak_for_their_table(
        migrated, tmp_path, state):
    """It is the last one of a replay: no others come."""
    refuse(migrated, "connector_status", state)
    path = captured(tmp_path / "c", [(f"x{n}", "connector_status") for n in range(20)]
                    + [(BAD, "connector_status")])
    done = run_cli({**migrated.settings(), "storage.postgres.timeout": "1h"}, "replay", path)
    assert done.returncode == 0, done.stderr
    assert migrated.value("SELECT count(*) FROM connector_status") == 20
    assert migrated.rows("SELECT charge_station_id FROM dead_letters") == [(BAD,)]


def test_row_that_is_too_slow_for_us_is_set_aside(running, migrated, publish):
    """Without a statement_timeout it is our own patience that ends."""
    refuse(migrated, "meter_values", "P0001", f"NEW.charge_station_id = '{BAD}' AND"
           " pg_sleep(3600) IS NOT NULL")
    running({"storage.postgres.timeout": "1s"})
    sent = tell(publish)
    drained(migrated, sent)
    assert totals(migrated) == (sent, sent - 1, 0, 1)
    assert migrated.rows("SELECT charge_station_id FROM dead_letters") == [(BAD,)]


def test_row_that_somebody_holds_is_waited_for_without_a_lock_timeout(
        running, migrated, publish):
    p = running({"storage.postgres.timeout": "1s"})
    sent = tell(publish)
    drained(migrated, sent)
    holder = migrated.connect(autocommit=False)
    holder.execute(f"SELECT FROM connector_status WHERE charge_station_id = '{BAD}' FOR UPDATE")
    for n in range(STATIONS):
        publish.call(f"cs{n:03}", "StatusNotification", {
            "connectorId": 1, "errorCode": "NoError", "status": "Charging",
            "timestamp": "2026-01-31T11:00:00Z"}, id="2")
    tries = 12
    rig.wait_until(lambda: p.metric("ocpp_persister_batches_failed_total") > tries,
                   what=lambda: rig.tail(p.log))
    assert p.events("batch_failed", reason="locked")
    assert migrated.value("SELECT count(*) FROM dead_letters") == 0
    holder.rollback()
    drained(migrated, sent + STATIONS)
    assert totals(migrated) == (sent + STATIONS, sent + STATIONS, 0, 0)


def slow_at_commit(database, table, wait):
    with database.connect() as c:
        c.execute(f"""CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.charge_station_id = '{BAD}' THEN {wait}; END IF; RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER slow AFTER INSERT OR UPDATE ON {table}
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()""")


@pytest.mark.parametrize("table", ["meter_values", "connector_status"])
def test_row_that_makes_its_commit_too_slow_is_set_aside(running, migrated, publish, table):
    """A deferred constraint trigger: its time is that of the row, not of COMMIT."""
    slow_at_commit(migrated, table, "PERFORM pg_sleep(3600)")
    running({"storage.postgres.timeout": "1s"})
    sent = tell(publish)
    drained(migrated, sent)
    assert totals(migrated) == (sent, sent - 1, 0, 1)
    assert migrated.rows("SELECT charge_station_id FROM dead_letters") == [(BAD,)]


def test_row_that_is_too_slow_in_the_last_statements_is_set_aside(running, migrated, publish):
    """COMMIT has been sent with them, and does not answer for them."""
    refuse(migrated, "connector_status", "P0001", f"NEW.charge_station_id = '{BAD}' AND"
           " pg_sleep(3600) IS NOT NULL")
    running({"storage.postgres.timeout": "1s"})
    sent = tell(publish)
    drained(migrated, sent)
    assert totals(migrated) == (sent, sent - 1, 0, 1)
    assert migrated.rows("SELECT charge_station_id FROM dead_letters") == [(BAD,)]


def test_row_whose_commit_waits_for_a_lock_waits_and_says_so(running, migrated, publish):
    with migrated.connect() as c:
        c.execute("CREATE TABLE held (n int); INSERT INTO held VALUES (1);"
                  " GRANT SELECT, UPDATE ON held TO ocpp_writer")
    slow_at_commit(migrated, "connector_status", "PERFORM FROM held FOR UPDATE")
    p = running({"storage.postgres.timeout": "1s"})
    holder = migrated.connect(autocommit=False)
    holder.execute("SELECT FROM held FOR UPDATE")
    sent = tell(publish)
    tries = 12
    rig.wait_until(lambda: p.metric("ocpp_persister_batches_failed_total") > tries,
                   what=lambda: rig.tail(p.log))
    assert p.events("batch_failed", reason="locked") and not p.events("record_too_slow")
    assert migrated.value("SELECT count(*) FROM dead_letters") == 0
    holder.rollback()
    drained(migrated, sent)
    assert totals(migrated) == (sent, sent, 0, 0)


LEAF = "meter_values_2026_01_31"


# ---- with whom a row is compared ----

OTHERS = 200  # more than are tried


@pytest.mark.parametrize("state", ["42501", "53100"])
def test_rows_of_other_tables_say_nothing(running, migrated, publish, state):
    """A table that takes nothing from anybody: its only message so far is as good as any."""
    refuse(migrated, "connector_status", state, "true")
    p = running()
    tell(publish, [0], ["connector_status"])
    for n in range(OTHERS):  # each as large as it: smaller ones say nothing of a full disk
        publish.call(f"cs{n:03}", "DataTransfer", {"vendorId": "v", "data": "d" * 200}, id=f"d{n}")
    rig.wait_until(lambda: any("for table connector_status" in e.get("hint", "")
                               for e in p.lines()), what=lambda: rig.tail(p.log))
    tell(publish, [1], ["connector_status"])
    failed = p.metric("ocpp_persister_batches_failed_total")
    p.wait_metric("ocpp_persister_batches_failed_total", lambda n: n > failed + 1)
    assert migrated.value("SELECT count(*) FROM dead_letters") == 0
    with migrated.connect() as c:
        c.execute("DROP TRIGGER refuse ON connector_status")
    drained(migrated, OTHERS + 2)
    assert totals(migrated) == (OTHERS + 2, OTHERS + 2, 0, 0)


@pytest.mark.parametrize("state", ["42501", "53100"])
def test_row_of_its_table_is_found_however_far_it_is(running, migrated, publish, state):
    refuse(migrated, "connector_status", state)
    running()
    tell(publish, [7], ["connector_status"])
    for n in range(1000):
        publish.call(f"x{n % 10}", "DataTransfer", {"vendorId": str(n)}, id=f"d{n}")
    tell(publish, [8], ["connector_status"])
    drained(migrated, 1002)
    assert totals(migrated) == (1002, 1001, 0, 1)
    assert migrated.rows("SELECT charge_station_id FROM dead_letters") == [(BAD,)]


def test_many_that_are_refused_before_one_that_is_not(running, migrated, publish):
    refuse(migrated, "meter_values", "42501")
    running()
    for n in range(25):
        publish.call(BAD, "MeterValues", {"connectorId": n, "meterValue": [
            {"timestamp": TIME, "sampledValue": [{"value": "1"}]}]}, id=str(n))
    tell(publish, [8], ["meter_values"])
    drained(migrated, 26)
    assert totals(migrated) == (26, 1, 0, 25)


def test_partition_that_takes_nothing_sets_nothing_aside(running, migrated, publish):
    """Others of the table go to another partition."""
    def values(station, day):
        publish.call(station, "MeterValues", {"connectorId": 1, "meterValue": [
            {"timestamp": f"2026-01-{day}T10:00:00Z", "sampledValue": [{"value": "1"}]}]},
            id=f"{day}")

    p = running()
    values("cs000", 30)
    values("cs000", 31)
    drained(migrated, 2)
    refuse(migrated, LEAF, "53100", "true")
    for n in range(1, STATIONS):
        values(f"cs{n:03}", 31)
        values(f"cs{n:03}", 30)
    rig.wait_until(lambda: p.metric("ocpp_persister_batches_failed_total") > 40
                   or len(p.events("will_retry")) > 2, what=lambda: rig.tail(p.log))
    assert migrated.value("SELECT count(*) FROM dead_letters") == 0
    with migrated.connect() as c:
        c.execute(f"DROP TRIGGER refuse ON {LEAF}")
    drained(migrated, 2 * STATIONS)
    assert totals(migrated) == (2 * STATIONS, 2 * STATIONS, 0, 0)
