"""A full disk: 40 MB of memory, mounted for the test. Needs root (or says so)."""

import itertools
import json
import os
import shutil
import signal
import subprocess

import pytest
import rig
from conftest import Publisher, make_database, run_cli

DISK_MB = 40
PAYLOAD = "x" * 20000


@pytest.fixture
def small_disk(workspace, tmp_path):
    path = tmp_path / "small"
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "none", path],
                          capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a file system cannot be mounted here, which needs root: {done.stderr}")
    yield path
    subprocess.run(["umount", "--lazy", path], check=True)


def publish_data(publish, station, count):
    """Does not wait: the broker keeps what nobody takes."""
    for i in range(count):
        publish.client.publish(f"cs/in/ocpp1.6/{station}", json.dumps(
            {"type": 2, "action": "DataTransfer", "id": str(i),
             "request": {"vendorId": "V", "data": PAYLOAD}}), 1)


def wait_stored(database, p, count):
    """Waits as long as anything moves; gives up after a minute in which nothing does."""
    seen = [-1]

    def received():
        return database.value("SELECT coalesce(sum(received), 0) FROM ingest_progress")

    while True:
        def moved():
            now = received()
            return now >= count or now != seen[0]

        rig.wait_until(moved, 60, lambda: f"{received()} of {count}\n{rig.tail(p.log)}")
        seen[0] = received()
        if seen[0] >= count:
            return


def fill(path):
    """To the last block."""
    with open(path, "ab", buffering=0) as f:
        try:
            while f.write(bytes(4096)):
                pass
        except OSError:
            pass


def files(path):
    return {entry.name: entry.stat().st_size for entry in os.scandir(path)}


_numbers = itertools.count()


@pytest.fixture
def outage(workspace):
    """A cluster of its own, that can be stopped."""
    cluster = rig.Postgres(workspace, name=f"outage{next(_numbers)}").start()
    yield cluster
    if cluster.running:
        cluster.stop()


def test_full_disk_is_waited_out_and_every_start_succeeds(
        small_disk, outage, persister, broker):
    database = make_database(outage)
    publish = Publisher(broker.port)
    p = persister({**database.settings(), **broker.settings(), "spool.dir": small_disk / "spool",
                   "spool.segment_bytes": "4MiB", "spool.retain": "30d",
                   "spool.archive": "none"}).start("--migrate")
    p.wait_event("broker_connected")
    p.wait_event("database_connected")
    outage.stop()
    sent = 4000  # 80 MB
    publish_data(publish, "cs001", sent)
    p.wait_event("spool_disk_full", 120)
    p.wait_metric("ocpp_persister_intake_waiting", 1, 60)
    assert p.metric("ocpp_persister_spool_disk_full") == 1
    said = p.events("spool_disk_full")[0]
    assert "No space left on device" in said["msg"] and "resumes by itself" in said["hint"]
    for _ in range(16):
        p.kill9()
        fill(small_disk / "of-somebody-else")
        p.start().wait_event("log_opened")
        p.wait_metric("ocpp_persister_intake_waiting", 1, 60)
    (small_disk / "of-somebody-else").unlink()
    outage.start()
    wait_stored(database, p, sent)
    assert p.events("spool_let_go")
    assert database.value("SELECT count(DISTINCT message_id) FROM ocpp_events") == sent
    publish_data(publish, "cs002", 100)
    wait_stored(database, p, sent + 100)
    assert database.value("SELECT count(DISTINCT message_id) FROM ocpp_events"
                          " WHERE charge_station_id = 'cs002'") == 100
    publish.close()


def test_what_is_stored_goes_first_and_packing_does_no_harm(
        small_disk, migrated, persister, broker):
    """Far more than the disk holds, with spool.retain of a month and archives."""
    publish = Publisher(broker.port)
    p = persister({**migrated.settings(), **broker.settings(), "spool.dir": small_disk / "spool",
                   "spool.segment_bytes": "4MiB", "spool.retain": "30d"}).start()
    p.wait_event("broker_connected")
    sent = 6000  # 120 MB
    for i in range(sent):
        data = os.urandom(9500).hex()
        publish.client.publish("cs/in/ocpp1.6/cs001", json.dumps(
            {"type": 2, "action": "DataTransfer", "id": str(i),
             "request": {"vendorId": "V", "data": data}}), 1)
    wait_stored(migrated, p, sent)
    assert migrated.value("SELECT count(DISTINCT message_id) FROM ocpp_events") == sent
    assert p.running and not p.events("stopping")
    assert p.events("spool_let_go"), files(small_disk / "spool")
    publish.close()


def test_large_row_that_finds_no_room_waits_for_it(small_disk, outage, persister, broker):
    """Small ones are accepted meanwhile: they say nothing about it."""
    database = make_database(outage)
    assert run_cli(database.settings(), "migrate", "up").returncode == 0
    place = small_disk / "tables"
    place.mkdir()
    shutil.chown(place, "postgres")
    day = "2026-01-31"
    database.rows(f"SELECT ensure_partition('meter_values', '{day} 00:00Z')")
    with database.connect() as session:
        session.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
        session.execute("ALTER TABLE meter_values_2026_01_31 SET TABLESPACE small")
        session.execute("ALTER INDEX meter_values_2026_01_31_pkey SET TABLESPACE small")
    others = small_disk / "of-somebody-else"
    fill(others)
    os.truncate(others, others.stat().st_size - (128 << 10))
    p = persister({**database.settings(), **broker.settings()})
    publish = Publisher(broker.port)
    p.start().wait_event("broker_connected")
    p.wait_event("database_connected")

    def values(station, count):
        publish.call(station, "MeterValues", {"connectorId": 1, "meterValue": [
            {"timestamp": f"{day}T10:{n // 60 % 60:02}:{n % 60:02}.{n // 3600:03}Z",
             "sampledValue": [{"value": str(n)}]} for n in range(count)]})

    values("large", 5000)
    for n in range(10):
        values(f"small{n}", 1)
    tries = 14  # more than anything that is set aside gets
    p.wait_metric("ocpp_persister_batches_failed_total", tries)
    assert p.events("batch_failed", sqlstate="53100")[0]["heals"] == "by_a_person"
    assert database.value("SELECT count(*) FROM dead_letters") == 0
    others.unlink()
    wait_stored(database, p, 11)
    assert database.value("SELECT count(*) FROM meter_values") == 5010
    assert database.value("SELECT count(*) FROM dead_letters") == 0
    p.stop()
    database.close()
    publish.close()


def fill_inodes(path):
    folder = path / "inodes-of-somebody-else"
    folder.mkdir()
    for n in itertools.count():
        try:
            (folder / str(n)).touch()
        except OSError:
            return folder


@pytest.mark.parametrize("lacks", ["blocks", "inodes", "folder", "a segment"])
def test_first_start_on_a_full_disk_waits_for_room(
        small_disk, migrated, persister, broker, publish, lacks):
    """There is no log yet, and no room to make one."""
    log = small_disk / "some" / "spool"
    if lacks == "inodes":
        subprocess.run(["mount", "-o", "remount,nr_inodes=50", small_disk], check=True)
    if lacks != "folder":
        log.mkdir(parents=True)
    others = fill_inodes(small_disk) if lacks == "inodes" else small_disk / "of-somebody-else"
    if lacks != "inodes":
        fill(others)
    if lacks == "a segment":  # the small files of a log find room
        os.truncate(others, others.stat().st_size - (64 << 10))
    p = persister({**migrated.settings(), **broker.settings(), "spool.dir": log,
                   "spool.segment_bytes": "4MiB"}).start()
    said = p.wait_event("spool_disk_full")
    assert "No space left on device" in said["msg"] and "by itself" in said["hint"]
    assert p.http("/healthz")[0] == 200
    status, body = p.http("/readyz")
    assert status == 503 and "disk" in body
    assert p.metric("ocpp_persister_spool_disk_full") == 1
    p.process.send_signal(signal.SIGHUP)
    p.process.send_signal(signal.SIGUSR1)
    p.wait_event("reloaded")
    # Stopped while it waits, it ends as it should, and a second start waits again.
    assert p.stop() == 0
    p.start().wait_event("spool_disk_full")
    assert p.running
    if lacks == "inodes":
        shutil.rmtree(others)
    else:
        others.unlink()
    p.wait_event("broker_connected")
    p.wait_event("database_connected")
    publish_data(publish, "cs001", 10)
    wait_stored(migrated, p, 10)
    assert p.http("/readyz")[0] == 200
    assert p.metric("ocpp_persister_spool_disk_full") == 0
    assert p.stop() == 0
