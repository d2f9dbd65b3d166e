"""An error that may be about one row or about all of them: the one is set aside, its neighbours are
stored; what is refused alike waits, and nothing of it becomes a dead letter."""

import json

import pytest
import rig
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
    rig.wait_until(lambda: any("it waits for one" in e.get("hint", "") for e in p.lines()),
                   what=lambda: rig.tail(p.log))
    assert totals(migrated) == (0, 0, 0, 0)
    tell(publish, [8], ["meter_values"])
    assert_only_bad_is_set_aside(migrated, 2, ["MeterValues"])


LEAF = "meter_values_2026_01_31"
REFUSED = [
    ("REVOKE INSERT ON meter_values, {leaf} FROM ocpp_writer",
     "GRANT INSERT ON meter_values, {leaf} TO ocpp_writer"),
    ("REVOKE INSERT ON {leaf} FROM ocpp_writer", "GRANT INSERT ON {leaf} TO ocpp_writer"),
    ("REVOKE INSERT, UPDATE ON connector_status FROM ocpp_writer",
     "GRANT INSERT, UPDATE ON connector_status TO ocpp_writer"),
    ("REVOKE UPDATE ON ingest_progress FROM ocpp_writer",
     "GRANT UPDATE ON ingest_progress TO ocpp_writer"),
    ("ALTER TABLE connector_status RENAME TO away", "ALTER TABLE away RENAME TO connector_status"),
    ("ALTER TABLE exchange_halves RENAME TO away", "ALTER TABLE away RENAME TO exchange_halves"),
    ("ALTER TABLE {leaf} ENABLE ROW LEVEL SECURITY",
     "ALTER TABLE {leaf} DISABLE ROW LEVEL SECURITY"),
] + [(f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          RAISE EXCEPTION 'nobody' USING ERRCODE = '{state}'; END $$;
          CREATE TRIGGER refuse BEFORE INSERT ON meter_values
          FOR EACH ROW EXECUTE FUNCTION refuse()""", "DROP TRIGGER refuse ON meter_values")
     for state in ("42501", "0A000", "55000", "XX000", "42P01")]


@pytest.mark.parametrize("broken, fixed", REFUSED)
def test_what_is_refused_alike_waits_and_is_stored_when_it_may_be(
        running, migrated, publish, broken, fixed):
    p = running()
    sent = tell(publish, [0])
    drained(migrated, sent)
    with migrated.connect() as c:
        c.execute(broken.format(leaf=LEAF))
    sent += tell(publish, range(1, STATIONS))
    rig.wait_until(lambda: p.events("will_retry"), what=lambda: rig.tail(p.log))
    rig.wait_until(lambda: any(int(e["in_ms"]) > 5000 for e in p.events("will_retry")),
                   what=lambda: rig.tail(p.log))
    assert migrated.value("SELECT count(*) FROM dead_letters") == 0
    assert p.running
    with migrated.connect() as c:
        c.execute(fixed.format(leaf=LEAF))
    drained(migrated, sent)
    assert totals(migrated) == (sent, sent, 0, 0)
