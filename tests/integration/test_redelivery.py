"""Acknowledgements that do not reach the broker: what it delivers again is stored once, and what it
wrongly believes to have delivered is not treated as known."""

import json

import pytest
import rig
from conftest import Publisher, run_cli
from rig import DOWN, UP

# No message counts as a duplicate because of what it says and when it came.
NO_WINDOW = {"dedupe.window": "0s"}
TOTAL = "SELECT coalesce(sum(received), 0) FROM ingest_progress"
DROPPED = "ocpp_persister_mqtt_redeliveries_dropped_total"


@pytest.fixture
def setup(persister, migrated, broker, proxy):
    """A persister behind a door, and somebody who publishes beside it."""
    door = proxy(broker.port)
    publish = Publisher(broker.port)
    p = persister({**migrated.settings(), **broker.settings(door.port), **NO_WINDOW}).start()
    p.wait_event("broker_connected")
    p.wait_event("database_connected")
    yield p, door, publish
    publish.close()


def authorize(publish, count, station="cs001", first=0):
    """Every message is like the one before: message ids repeat."""
    for i in range(first, first + count):
        publish.call(station, "Authorize", {"idTag": f"T{i // 2}"}, id="1")


def wait_received(database, p, count):
    rig.wait_until(lambda: database.value(TOTAL) >= count, 60,
                   lambda: f"{database.value(TOTAL)} of {count}\n{rig.tail(p.log)}")


def settled(database, p, publish, count):
    """Comes after everything that was in flight: nothing more will come."""
    publish.call("last", "Heartbeat", {}, id="end")
    wait_received(database, p, count + 1)
    rig.wait_until(lambda: database.value(
        "SELECT count(*) FROM ocpp_events WHERE charge_station_id = 'last'"), 60, "no heartbeat")
    assert database.value(TOTAL) == count + 1, database.rows("TABLE ingest_progress")


def balanced(database):
    done = run_cli(database.settings(), "verify")
    assert done.returncode == 0 and "balanced" in done.stdout, done.stdout + done.stderr


def test_lost_acknowledgements_double_nothing(setup, migrated):
    p, door, publish = setup
    for times in (1, 2):
        door.stall(UP)
        authorize(publish, 50)
        wait_received(migrated, p, 50 * times)
        door.cut()
        door.flow()
        p.wait_metric(DROPPED, 50 * times, 60)
        p.wait_event("broker_connected", 60, count=times + 1)
    settled(migrated, p, publish, 100)
    assert migrated.value("SELECT count(*) FROM authorizations") == 100
    balanced(migrated)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_killed_before_the_broker_heard_of_it_doubles_nothing(
        setup, migrated, version):
    p, door, publish = setup
    p.kill9()
    p.settings["mqtt.version"] = version
    p.start().wait_event("broker_connected", 60)
    door.stall(UP)
    authorize(publish, 50)
    wait_received(migrated, p, 50)
    p.kill9()
    door.cut()
    door.flow()
    p.start().wait_event("broker_connected", 60)
    p.wait_metric(DROPPED, 50, 60)
    settled(migrated, p, publish, 50)
    assert migrated.value("SELECT count(*) FROM authorizations") == 50
    balanced(migrated)


@pytest.mark.parametrize("killed", [False, True])
def test_message_that_never_came_is_not_taken_for_known(setup, migrated, killed):
    """The broker sent it and believes that we may have it: it sets DUP when it sends it again."""
    p, door, publish = setup
    authorize(publish, 10)
    wait_received(migrated, p, 10)
    door.stall(DOWN)
    authorize(publish, 10)  # the same again
    if killed:
        p.kill9()
    door.cut()
    door.flow()
    if killed:
        p.start()
    p.wait_event("broker_connected", 60, count=1 if killed else 2)
    settled(migrated, p, publish, 20)
    assert p.metric("ocpp_persister_mqtt_messages_redelivered_total") == 10
    assert p.metric(DROPPED) == 0
    assert migrated.value("SELECT count(*) FROM authorizations") == 20


def test_equal_messages_are_each_stored_once(setup, migrated):
    p, door, publish = setup
    door.stall(UP)
    payload = json.dumps({"type": 2, "action": "Heartbeat", "id": "1", "request": {}})
    for _ in range(20):
        publish.raw("cs/in/ocpp1.6/cs001", payload)
    wait_received(migrated, p, 20)
    door.cut()
    door.flow()
    p.wait_metric(DROPPED, 20, 60)
    settled(migrated, p, publish, 20)
