"""What the pipeline does with a batch that cannot be stored as it is: nothing is lost, no other
message suffers, and every further attempt differs from the one before."""

import json
import os
import random

import psycopg
import pytest
import rig
from conftest import run_cli, stored


STORE = {"mqtt.topics": "cs/in/+/+, cs/out/+/+, cs/store/+"}


def meter(number, station="cs001", id="1"):
    """A meter value of its own second of one day, as JSON."""
    time = f"2026-01-31T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"
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


def drained(database, count):
    """Waits while the number of messages that have reached the database grows."""
    reached = -1
    while reached < count:
        before = reached
        rig.wait_until(lambda: database.value(
            "SELECT coalesce(sum(received), 0) FROM ingest_progress") > before, 120,
            lambda: f"more than {before} of {count} messages")
        reached = database.value("SELECT coalesce(sum(received), 0) FROM ingest_progress")


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
    done = run_cli(settings, "replay", *options, str(capture), timeout=rig.HANGS_S)
    assert done.returncode == 0, done.stderr
    assert "41 messages = 40 stored + 0 duplicate + 1 dead-lettered" in done.stdout
    assert numbers(migrated) == set(range(40))


# ---- messages that PostgreSQL refuses ----

def token(number, **more):
    return {"op": "set", "uid": f"T{number}", "type": "RFID", "country_code": "GB",
            "party_id": "TWK", "contract_id": f"GBTWK{number:08}", "issuer": "Thoughtworks",
            "valid": True, "cache_mode": "ALWAYS", **more}


def noise(size, seed=1):
    """Text that no compression makes much shorter."""
    return "".join(random.Random(seed).choices("0123456789abcdef", k=size))


def failed_batches(p):
    return p.metric("ocpp_persister_batches_failed_total")


@pytest.mark.parametrize("count, bad, foreseen", [
    (3000, [1500], True), (5000, [4499], True), (3000, [1500], False), (5000, [4499], False),
    (700, [0, 1, 350, 699], False)])
def test_bad_rows_in_one_mqtt_message_cost_nobody_else(running, migrated, publish, count, bad,
                                                       foreseen):
    with migrated.connect() as c:
        c.execute("ALTER TABLE tokens ADD CONSTRAINT ours CHECK (issuer <> 'Nobody')")
    p = running(STORE)
    wrong = {"contract_id": noise(3000)} if foreseen else {"issuer": "Nobody"}
    publish.raw("cs/store/token", json.dumps(
        [token(n, **(wrong if n in bad else {})) for n in range(count)]))
    publish.raw("cs/store/token", json.dumps(token(count)))  # and who comes after
    stored(migrated, count + 1, timeout=300)
    assert totals(migrated) == (count + 1, count + 1 - len(bad), 0, len(bad))
    assert migrated.value("SELECT count(*) FROM tokens") == count + 1 - len(bad)
    assert [i for i, in migrated.rows(
        "SELECT message_index FROM dead_letters ORDER BY 1")] == bad
    assert migrated.rows("SELECT DISTINCT reason FROM dead_letters") == [
        ("limit" if foreseen else "constraint",)]
    # One search for each: 2^13 is more than 5,000, and the record as a whole is tried between.
    assert failed_batches(p) <= (0 if foreseen else 16 * len(bad))


def test_names_too_long_for_an_index_fail_no_batch(running, migrated, publish):
    p = running()
    for n in range(1500):
        long = "x" * 3500 if n % 2 else noise(3500, n)  # whether it could be compressed or not
        publish.call("cs001", "Authorize", {"idTag": f"T{n}"}, id=long if n % 10 == 5 else str(n))
    stored(migrated, 1500, timeout=300)
    assert totals(migrated) == (1500, 1350, 0, 150)
    assert migrated.value("SELECT count(*) FROM authorizations") == 1350
    assert migrated.rows("SELECT reason, count(*) FROM dead_letters GROUP BY 1") == [("limit", 150)]
    assert failed_batches(p) == 0


@pytest.mark.parametrize("size, reason", [(2668, None), (2669, "limit")])
def test_longest_name_that_an_index_takes_is_stored(running, migrated, publish, size, reason):
    """2,704 bytes: the heads of the entry (8) and of the text (4), 8 + 4 + 8 for the rest of the
    key and 4 to align its last part."""
    running()
    publish.send(noise(size), meter(1))
    stored(migrated, 1)
    assert migrated.rows("SELECT reason FROM dead_letters") == ([(reason,)] if reason else [])


def test_answer_with_an_id_too_long_for_an_index_does_not_cost_the_start(running, migrated,
                                                                         publish):
    p = running()
    publish.result("cs001", "StartTransaction", {
        "transactionId": noise(2690), "idTagInfo": {"status": "Accepted"}}, id="7")
    publish.call("cs001", "StartTransaction", {
        "connectorId": 1, "idTag": "T", "meterStart": 1, "timestamp": "2026-01-31T10:00:00Z"},
        id="7")
    stored(migrated, 2)
    assert migrated.rows("SELECT reason FROM dead_letters") == [("limit",)]
    assert migrated.value("SELECT count(*) FROM transaction_events") == 1
    assert failed_batches(p) == 0


@pytest.mark.parametrize("fault, reason", [
    ("CREATE UNIQUE INDEX ours ON connector_status (vendor_id)", "constraint"),
    ("""CREATE FUNCTION ours() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.vendor_id = 'same' AND NEW.charge_station_id = 'cs007' THEN
            RAISE EXCEPTION 'not this one'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER ours BEFORE INSERT ON connector_status
        FOR EACH ROW EXECUTE FUNCTION ours()""", "constraint"),
    # Without the name of a constraint, as a row that goes to the wrong partition; at COMMIT.
    ("""CREATE FUNCTION ours() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.charge_station_id = 'cs007' THEN
            RAISE EXCEPTION 'not this one' USING ERRCODE = 'check_violation'; END IF;
        RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER ours AFTER INSERT ON connector_status
        DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION ours()""", "constraint")])
def test_rules_of_the_operators_own_stop_nobody_else(running, migrated, publish, fault, reason):
    with migrated.connect() as c:
        c.execute(fault)
    running()
    for n in range(20):
        publish.call(f"cs{n:03}", "StatusNotification", {
            "connectorId": 1, "errorCode": "NoError", "status": "Available",
            "vendorId": "same" if n in (5, 7) else f"v{n}",
            "timestamp": "2026-01-31T10:00:00Z"}, id=str(n))
    stored(migrated, 20, timeout=300)
    assert totals(migrated) == (20, 19, 0, 1)
    assert migrated.rows("SELECT charge_station_id, reason FROM dead_letters") == [
        ("cs007", reason)]


def test_layout_of_a_message_set_aside_is_written_with_the_next(running, migrated, publish):
    running({"partitions.outside_max": "0"})

    def value(time):
        return {"connectorId": 1, "meterValue": [{"timestamp": time, "sampledValue": [
            {"value": "1", "measurand": "Of.Its.Own"}]}]}

    publish.call("cs001", "MeterValues", value("2012-01-31T10:00:00Z"))
    publish.call("cs001", "MeterValues", value("2026-01-31T10:00:00Z"))
    stored(migrated, 2)
    assert migrated.rows("SELECT reason FROM dead_letters") == [("partition_limit",)]
    assert migrated.rows("SELECT measurand FROM meter_samples") == [("Of.Its.Own",)]


# ---- batches that take too long ----

def test_batch_that_is_too_slow_gets_smaller_until_it_is_not(waiting, migrated, publish):
    """Each row takes a millisecond: 5,000 more than the timeout, half of them less."""
    count = int(os.environ.get("SLOW_MESSAGES", 6000))
    with migrated.connect() as c:
        c.execute("""
            CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(0.001); RETURN NEW; END $$;
            CREATE TRIGGER slow BEFORE INSERT ON meter_values FOR EACH ROW
            EXECUTE FUNCTION slow()""")
    p = waiting({"storage.postgres.timeout": "4s"})
    sent = [publish.client.publish("cs/in/ocpp1.6/cs001", json.dumps(meter(n)), 1)
            for n in range(count)]
    sent[-1].wait_for_publish(300)
    p.wait_metric("ocpp_persister_mqtt_messages_received_total", count)
    p.let_go()
    drained(migrated, count)
    assert totals(migrated) == (count, count, 0, 0)
    assert p.events("batch_too_slow")


@pytest.mark.parametrize("records", [1, 40])
def test_statement_timeout_of_the_role_makes_batches_smaller(waiting, migrated, publish, records):
    """Down to one record, which gets more time if that is ours to give."""
    with migrated.connect() as c:
        c.execute("""
            CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END $$;
            CREATE TRIGGER slow BEFORE INSERT ON meter_values FOR EACH ROW
            EXECUTE FUNCTION slow()""")
        if records > 1:
            c.execute(f"ALTER DATABASE {migrated.name} SET statement_timeout = '1s'")
    p = waiting({"storage.postgres.timeout": "1s" if records == 1 else "60s"})
    values = [meter(n) for n in range(40)]
    for at in range(0, 40, 40 // records):
        publish.raw("cs/in/ocpp1.6/cs001", json.dumps(values[at:at + 40 // records]))
    p.let_go()
    drained(migrated, 40)
    assert totals(migrated) == (40, 40, 0, 0)
    assert p.events("record_too_slow" if records == 1 else "batch_too_slow")


# ---- dead letters ----

def test_dead_letter_that_is_refused_itself_is_stored_as_little(running, migrated, publish):
    with migrated.connect() as c:
        c.execute("ALTER TABLE dead_letters ADD CONSTRAINT ours CHECK (payload_bytes <> 7"
                  " OR payload IS NULL AND topic = '')")
    p = running()
    publish.raw("cs/in/ocpp1.6/cs001", b"no JSON")
    publish.raw("cs/in/ocpp1.6/cs001", b"nor this one")
    publish.send("cs001", meter(1))
    stored(migrated, 3)
    assert migrated.rows("SELECT topic, payload, reason, seq > 0 FROM dead_letters"
                         " ORDER BY payload_bytes") == [
        ("", None, "unknown_format", True),
        ("cs/in/ocpp1.6/cs001", b"nor this one", "unknown_format", True)]
    assert failed_batches(p) < 10


def test_dead_letters_that_nothing_helps_are_tried_at_leisure(running, migrated, publish):
    with migrated.connect() as c:
        c.execute("ALTER TABLE dead_letters ADD CONSTRAINT ours CHECK (count < 0)")
    p = running()
    publish.raw("cs/in/ocpp1.6/cs001", b"no JSON")
    p.wait_event("batch_failed")
    failed = failed_batches(p)
    assert failed < 10
    assert int(p.wait_event("will_retry")["in_ms"]) == 30000
    with migrated.connect() as c:
        c.execute("ALTER TABLE dead_letters DROP CONSTRAINT ours")
    stored(migrated, 1, timeout=300)
    assert failed_batches(p) <= failed + 1


def test_texts_of_dead_letters_can_always_be_stored(running, migrated, publish, tmp_path):
    """A name cut within a character for its detail; a topic that is not text, from a capture."""
    p = running(STORE)
    publish.raw("cs/store/token", json.dumps({"op": "set", "a" + "ä" * 60: 1},
                                             ensure_ascii=False).encode())
    stored(migrated, 1)
    assert migrated.rows("SELECT reason, detail LIKE 'there is no field \"aää%%' FROM dead_letters"
                         ) == [("bad_row", True)]
    assert failed_batches(p) == 0
    capture = tmp_path / "capture"
    capture.write_bytes(b"1770000000.5 1 cs/in/ocpp1.6/\xffcs\xc3  " + b"no JSON".hex().encode()
                        + b"\n")
    done = run_cli({**migrated.settings(), "spool.dir": tmp_path / "spool"}, "replay", str(capture))
    assert "1 dead-lettered" in done.stdout, done.stderr
    assert migrated.rows("SELECT topic, topic_raw FROM dead_letters WHERE topic_raw IS NOT NULL"
                         ) == [("cs/in/ocpp1.6/\ufffdcs\ufffd", b"cs/in/ocpp1.6/\xffcs\xc3")]


def test_dead_letters_are_bounded_in_rows_and_topics(running, migrated, publish):
    p = running({"dead_letters.rows_max": 20, "dead_letters.bytes_max": "1KiB",
                 "dead_letters.topic_bytes_max": "256"})
    for n in range(100):
        publish.raw(f"cs/in/ocpp1.6/{n}" + "x" * 8000, b"no JSON %d" % (n // 2))
    for n in range(100):
        publish.raw("cs/in/ocpp1.6/cs001", b"no JSON")  # of one row, which may have room or not
    stored(migrated, 200, timeout=120)
    assert migrated.value("SELECT count(*) FROM dead_letters") == 20
    assert migrated.rows("SELECT max(octet_length(topic)), min(topic_bytes), count(payload)"
                         " FROM dead_letters WHERE topic NOT LIKE '%%cs001'") == [(64, 8015, 0)]
    assert migrated.rows("SELECT reason, count + (SELECT sum(count) FROM dead_letters)"
                         " FROM dead_letters_beyond") == [("unknown_format", 200)]
    assert totals(migrated) == (200, 0, 0, 200)
    assert run_cli(p.settings, "verify").returncode == 0
    listed = run_cli(p.settings, "dead-letters", "list").stdout.splitlines()
    assert len(listed) == 21 and "(only counted)" in listed[-1]
    # What is removed makes room.
    assert "discarded 20" in run_cli(p.settings, "dead-letters", "discard", "--all").stdout
    publish.raw("cs/in/ocpp1.6/cs002", b"no JSON")
    stored(migrated, 201)
    assert migrated.value("SELECT count(*) FROM dead_letters") == 1
    assert migrated.value("SELECT count(*) FROM dead_letters_beyond") == 0


def test_equal_dead_letters_of_a_batch_are_one_row(waiting, migrated, publish):
    p = waiting()
    for n in range(300):
        publish.raw("cs/in/ocpp1.6/cs001", b"no JSON %d" % (n % 3))
    p.let_go()
    stored(migrated, 300)
    assert migrated.rows("SELECT payload, count, first_received_at < last_received_at, seq"
                         " FROM dead_letters ORDER BY seq") == [
        (b"no JSON %d" % n, 100, True, 298 + n) for n in range(3)]


@pytest.mark.parametrize("clock", [5, 1200000000, 4133980800, 253402300799])
def test_time_of_receipt_that_no_partition_has_stops_nothing(migrated, tmp_path, clock):
    """A computer without a clock of its own begins in 1970, a capture may say anything."""
    messages = [json.dumps({"type": 2, "action": action, "id": str(n), "request": request})
                for n, (action, request) in enumerate([
                    ("Heartbeat", {}), ("Authorize", {"idTag": "T"}),
                    ("BootNotification", {"chargePointVendor": "v", "chargePointModel": "m"})])]
    capture = tmp_path / "capture"
    capture.write_text("".join(f"{clock} 1 cs/in/ocpp1.6/cs001  {m.encode().hex()}\n"
                               for m in [*messages, "no JSON"]))
    for expected in ["3 stored + 0 duplicate + 1", "0 stored + 3 duplicate + 1"]:
        done = run_cli({**migrated.settings(), "spool.dir": tmp_path / "spool"}, "replay",
                       str(capture))
        assert f"4 messages = {expected} dead-lettered" in done.stdout, done.stderr
        capture = capture.rename(tmp_path / "again")
    assert migrated.value("SELECT count(*) FROM ocpp_events") == 2
