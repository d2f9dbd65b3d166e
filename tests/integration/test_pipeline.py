"""What the pipeline does with a batch that cannot be stored as it is: nothing is lost, nobody else
pays for it, and every further try differs from the one before."""

import json

import psycopg
import pytest
from conftest import run_cli, stored


def meter(number, station="cs001", id="1"):
    """A meter value of its own minute, as JSON."""
    time = f"2026-01-{1 + number // 1440:02}T{number // 60 % 24:02}:{number % 60:02}:00Z"
    return {"type": 2, "action": "MeterValues", "id": id, "request": {
        "connectorId": 1, "meterValue": [
            {"timestamp": time, "sampledValue": [{"value": str(number)}]}]}}


def crowded():
    """Well within mqtt.message_bytes_max, but of more rows than any transaction takes."""
    values = ",".join(["{}"] * 255000)
    return ('{"type":2,"action":"MeterValues","id":"1","request":{"connectorId":1,'
            f'"meterValue":[{values}]}}}}').encode()


def totals(database):
    return database.rows("SELECT sum(received)::int, sum(stored)::int, sum(duplicate)::int,"
                         " sum(dead_lettered)::int FROM ingest_progress")[0]


def numbers(database):
    return {int(n) for n, in database.rows("SELECT sampled[1] FROM meter_values")}


def publish_around_crowded(publish):
    for number in range(20):
        publish.send("cs001", meter(number))
    publish.raw("cs/in/ocpp1.6/cs002", crowded())
    for number in range(20, 40):
        publish.send("cs001", meter(number))


@pytest.fixture
def waiting(persister, migrated, broker, postgres):
    """waiting(settings): a persister whose database takes nothing until p.let_go(), so that what
    was published before is one backlog."""
    def allow(yes):
        with psycopg.connect(postgres.dsn(), autocommit=True) as c:
            c.execute(f"ALTER DATABASE {migrated.name} ALLOW_CONNECTIONS {yes}")

    def start(settings=None, **kwargs):
        allow(False)
        p = persister({"spool.segment_bytes": "4MiB", **migrated.settings(), **broker.settings(),
                       **(settings or {})}, **kwargs).start()
        p.let_go = lambda: allow(True)
        p.wait_event("broker_connected")
        p.wait_event("database_lost")
        return p

    yield start
    allow(True)


# ---- the first batch of a numbering ----

def test_record_too_large_costs_none_of_the_first_batch(waiting, migrated, publish):
    p = waiting()
    publish_around_crowded(publish)
    p.let_go()
    stored(migrated, 41, timeout=120)
    assert totals(migrated) == (41, 40, 0, 1)
    assert numbers(migrated) == set(range(40))
    assert migrated.rows("SELECT reason, charge_station_id FROM dead_letters") == [
        ("too_large", "cs002")]


@pytest.fixture
def capture(tmp_path):
    """A capture of mosquitto_sub with the crowded record in its middle."""
    path = tmp_path / "capture"
    payloads = [json.dumps(meter(n)).encode() for n in range(40)]
    payloads.insert(20, crowded())
    lines = [f"{1770000000 + n}.5 1 cs/in/ocpp1.6/cs00{2 if n == 20 else 1}  {payload.hex()}\n"
             for n, payload in enumerate(payloads)]
    path.write_text("".join(lines))
    return path


@pytest.mark.parametrize("options", [[], ["--no-bulk"], ["--jobs", "2"]])
def test_record_too_large_costs_none_of_a_replay(migrated, capture, tmp_path, options):
    settings = {**migrated.settings(), "spool.dir": tmp_path / "spool"}
    done = run_cli(settings, "replay", *options, str(capture), timeout=300)
    assert done.returncode == 0, done.stderr
    assert "41 messages = 40 stored + 0 duplicate + 1 dead-lettered" in done.stdout
    assert numbers(migrated) == set(range(40))
