"""Killed at any moment: what was acknowledged is there, once, unaltered."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import psycopg
import pytest
import rig
from conftest import BINARY, ROOT, STATIONS, Database, make_database, stored, verify_ledger
from stations_rig import undelivered

sys.path.insert(0, os.path.join(ROOT, "tests", "chaos"))

from tap import Tap  # noqa: E402


@pytest.fixture
def own_postgres(workspace):
    """A cluster that may be killed, with real syncing."""
    cluster = rig.Postgres(workspace, name=f"killed{random.randrange(1 << 30)}").start()
    yield cluster
    cluster.stop()


class Fleet:
    """ocpp-stations with its ledger."""

    def __init__(self, folder, broker, *options):
        self.ledger = os.path.join(folder, "ledger.jsonl")
        self.process = subprocess.Popen(
            [STATIONS, "--broker", f"mqtt://127.0.0.1:{broker.port}", "--ledger", self.ledger,
             "--quiet", *map(str, options)], stdout=subprocess.PIPE, text=True)

    def published(self):
        try:
            with open(self.ledger, "rb") as f:
                return f.read().count(b'{"m":')
        except OSError:
            return 0

    def wait_published(self, count):
        rig.wait_until(lambda: self.published() >= count, 120,
                       lambda: f"{self.published()} of {count} messages published")

    def finish(self, timeout=rig.HANGS_S):
        """Its summary, once all is acknowledged."""
        out, _ = self.process.communicate(timeout=timeout)
        assert self.process.returncode == 0, out
        return json.loads(out)


def verify(database, ledger, timeout=60):
    """The last word of verify and the ledger, once it holds; its output if it never does."""
    done = []

    def look():
        done[:] = [verify_ledger(database, ledger)]
        return done[0].returncode == 0

    try:
        rig.wait_until(look, timeout, lambda: done[0].stdout)
    except rig.TimedOut:
        pytest.fail(done[0].stdout + done[0].stderr)
    return done[0].stdout


def drained(p):
    p.wait_metric("ocpp_persister_backlog_records", lambda v: v == 0, 120)


def test_each_of_the_three_killed_once_loses_and_doubles_nothing(
        own_postgres, broker, persister, proxy, tmp_path):
    database = make_database(own_postgres)
    tap = Tap()
    door = proxy(broker.port, observe=tap.observe)
    p = persister({**database.settings(), **broker.settings(door.port)}).start("--migrate")
    p.wait_event("broker_connected")
    p.wait_event("database_connected")
    fleet = Fleet(tmp_path, broker, "--seed", 11, "--rate", 1500, "--messages", 20000,
                  "--duplicates", 3, "--reorder", 20)
    fleet.wait_published(3000)
    p.kill9()
    p.start()
    fleet.wait_published(8000)
    own_postgres.kill9()
    own_postgres.start()
    fleet.wait_published(13000)
    broker.stop()  # a broker that is killed loses what it had acknowledged: not ours to repair
    broker.start()
    summary = fleet.finish()
    assert summary["acknowledged"] == summary["published"] > 19000
    # Counted separately: a broker that is stopped like this must have delivered all of it
    # (test_broker.py).
    rig.wait_until(lambda: not undelivered(fleet.ledger, [tap]), what=lambda: len(tap.deliveries))
    drained(p)
    assert "lost 0, doubled 0, altered 0" in verify(database, fleet.ledger)


def test_killed_again_and_again_under_load(own_postgres, broker, persister, tmp_path):
    """The persister, at random moments. The seed is printed, but the moments also depend on the
    machine."""
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"SEED={seed}")
    rng = random.Random(seed)
    database = make_database(own_postgres)
    p = persister({**database.settings(), **broker.settings(), "spool.segment_bytes": "4MiB"})
    p.start("--migrate").wait_event("broker_connected")
    p.wait_event("database_connected")  # killed while it migrates it would not start again
    fleet = Fleet(tmp_path, broker, "--seed", seed % 1000, "--rate", 1500, "--messages", 15000)
    at = 0
    for _ in range(8):
        at += rng.randrange(300, 2500)
        fleet.wait_published(min(at, 14000))
        p.kill9()
        p.start()
        p.wait_event("log_opened")
    fleet.finish()
    p.wait_event("database_connected")
    drained(p)
    assert "lost 0, doubled 0, altered 0" in verify(database, fleet.ledger)


def test_two_workers_share_a_subscription(own_postgres, broker, persister, tmp_path):
    database = make_database(own_postgres)
    settings = {**database.settings(), **broker.settings(), "mqtt.group": "store"}
    workers = [persister(settings).start("--migrate") for _ in range(2)]
    for w in workers:
        w.wait_event("broker_connected")
        w.wait_event("database_connected")
    fleet = Fleet(tmp_path, broker, "--seed", 5, "--rate", 3000, "--messages", 15000,
                  "--duplicates", 10, "--reorder", 60)
    fleet.finish()
    for w in workers:
        drained(w)
        assert w.metric('ocpp_persister_messages_total{outcome="stored"}') > 1000
    assert "lost 0, doubled 0, altered 0" in verify(database, fleet.ledger)


def test_two_workers_that_both_get_everything_store_it_once(
        own_postgres, broker, persister, tmp_path):
    database = make_database(own_postgres)
    settings = {**database.settings(), **broker.settings()}
    workers = [persister(settings).start("--migrate") for _ in range(2)]
    for w in workers:
        w.wait_event("broker_connected")
        w.wait_event("database_connected")
    fleet = Fleet(tmp_path, broker, "--seed", 6, "--rate", 1500, "--messages", 8000)
    fleet.finish()
    stored(database, 16000, 120)  # an empty log says nothing of what the broker still has
    for w in workers:
        drained(w)
    assert "lost 0, doubled 0, altered 0" in verify(database, fleet.ledger)
    received, stored_, duplicate = database.rows(
        "SELECT sum(received), sum(stored), sum(duplicate) FROM ingest_progress")[0]
    assert received >= 16000 and duplicate > 3000


def test_database_restored_to_an_earlier_point_is_fed_the_gap(
        workspace, broker, persister, publish):
    """Promise 7, with a file copy as the backup."""
    cluster = rig.Postgres(workspace, name="restored").start()
    database = make_database(cluster)
    p = persister({**database.settings(), **broker.settings()}).start("--migrate")
    p.wait_event("database_connected")
    p.wait_event("broker_connected")

    def send(numbers):
        for i in numbers:
            publish.call("cs001", "MeterValues", {"connectorId": 1, "meterValue": [
                {"timestamp": f"2026-01-31T10:{i // 60:02}:{i % 60:02}Z",
                 "sampledValue": [{"value": str(i)}]}]}, id=str(i))

    send(range(50))
    stored(database, 50)
    cluster.stop()
    backup = cluster.folder + ".backup"
    subprocess.run(["cp", "-a", cluster.folder, backup], check=True)
    cluster.start()
    send(range(50, 120))
    stored(database, 120)
    cluster.stop()
    subprocess.run(["rm", "-rf", cluster.folder], check=True)
    subprocess.run(["mv", backup, cluster.folder], check=True)
    cluster.start()
    p.wait_event("database_went_back", 60)
    send(range(120, 130))
    stored(database, 130, 60)
    assert database.value("SELECT count(*), count(DISTINCT event_time) FROM meter_values") == 130
    cluster.stop()


def test_what_neither_database_nor_log_has_any_more_is_told_as_a_gap(
        workspace, broker, persister, publish):
    cluster = rig.Postgres(workspace, name="gap").start()
    database = make_database(cluster)
    p = persister({**database.settings(), **broker.settings(), "spool.segment_bytes": "4MiB",
                   "spool.retain": "0s"}).start("--migrate")
    p.wait_event("database_connected")
    p.wait_event("broker_connected")

    def send(numbers):
        for i in numbers:
            publish.call("cs001", "DataTransfer", {"vendorId": "V", "data": str(i) * 25000},
                         id=f"{i:03}")

    send(range(100, 110))
    stored(database, 10)
    cluster.stop()
    backup = cluster.folder + ".backup"
    subprocess.run(["cp", "-a", cluster.folder, backup], check=True)
    cluster.start()
    send(range(110, 310))  # some 15 MB
    stored(database, 200)
    p.wait_metric("ocpp_persister_spool_segments", lambda v: v <= 2)  # the rest is removed
    cluster.stop()
    subprocess.run(["rm", "-rf", cluster.folder], check=True)
    subprocess.run(["mv", backup, cluster.folder], check=True)
    cluster.start()
    gap = p.wait_event("gap", 60)
    lost = int(gap["records"])
    assert gap["first_seq"] == "11" and 0 < lost < 200
    send(range(310, 320))
    stored(database, 220 - lost, 60)
    ids = [int(i) for i, in database.rows("SELECT message_id FROM ocpp_events ORDER BY 1")]
    assert ids == [*range(100, 110), *range(110 + lost, 320)]
    assert p.metric("ocpp_persister_gap_records_total") == lost
    assert database.rows("SELECT gap_first_seq, gap_last_seq, gap_records FROM ingest_progress") \
        == [(11, 10 + lost, lost)]
    cluster.stop()


def test_stops_properly_on_sigterm_and_goes_on_where_it_was(running, migrated, broker, publish):
    p = running()
    publish.call("cs001", "Heartbeat", {}, id="1")
    stored(migrated, 1)
    p.process.send_signal(signal.SIGTERM)
    assert p.wait_exit(20) == 0
    assert p.events("stopped", failed=0)
    # The broker keeps our session and what is published meanwhile.
    publish.call("cs001", "Heartbeat", {}, id="2")
    p.start()
    assert p.wait_event("broker_connected")["session_present"] == "1"
    stored(migrated, 2)
    assert p.wait_event("log_opened")["last_seq"] == "1"
    p.process.send_signal(signal.SIGINT)
    assert p.wait_exit(20) == 0


def test_stop_while_the_database_is_down_keeps_everything(
        own_postgres, broker, persister, publish):
    database = make_database(own_postgres)
    p = persister({**database.settings(), **broker.settings()}).start("--migrate")
    p.wait_event("database_connected")
    p.wait_event("broker_connected")
    own_postgres.stop()
    begin = time.monotonic()
    for i in range(20):
        publish.call("cs001", "Heartbeat", {}, id=str(i))
    p.wait_metric("ocpp_persister_backlog_records", 20)
    # How long the oldest one waits, and it goes on waiting.
    age = p.wait_metric("ocpp_persister_backlog_age_seconds", lambda v: v > 0)
    assert age < time.monotonic() - begin
    p.wait_metric("ocpp_persister_backlog_age_seconds", lambda v: v > age)
    assert p.http("/readyz")[0] == 503 and p.http("/healthz") == (200, "ok\n")
    p.process.send_signal(signal.SIGTERM)
    assert p.wait_exit(20) == 0
    p.start()  # the database is not there yet
    p.wait_event("database_lost")
    for i in range(20, 25):
        publish.call("cs001", "Heartbeat", {}, id=str(i))
    p.wait_metric("ocpp_persister_backlog_records", 25)
    assert p.metric("ocpp_persister_backlog_age_seconds") > age
    own_postgres.start()
    stored(database, 25, 60)
    p.wait_metric("ocpp_persister_backlog_age_seconds", lambda v: v == 0)
    # What the session had kept may have come before the answer to our SUBSCRIBE.
    rig.wait_until(lambda: p.http("/readyz") == (200, "ready\n"), 30, lambda: p.http("/readyz"))
