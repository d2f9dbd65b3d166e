"""The archived log: packed, inspected, exported, replayed."""

import glob
import json
import os
import re
import shutil
import subprocess
from datetime import datetime

import msgpack
import pytest
import rig
from conftest import BINARY, Publisher, make_database, run_cli, stored
from test_replay import assert_equal, contents, empty, fleet, replay  # noqa: F401

MESSAGES = 24000


def spool(folder, *arguments, code=0, **kwargs):
    done = run_cli({"spool.dir": folder}, "spool", *arguments, **kwargs)
    assert done.returncode == code, done.stdout[-2000:] + done.stderr
    return done


def listing(folder):
    return [json.loads(line) for line in spool(folder, "ls", "--json").stdout.splitlines()]


class Packed:
    """A process whose log has been packed, all but the segment that is being written."""

    def __init__(self, workspace, postgres, name):
        self.broker = rig.Broker(workspace, name=name).start()
        self.database = make_database(postgres)
        settings = {**self.database.settings(), **self.broker.settings(),
                    "spool.segment_bytes": "4MiB"}
        assert run_cli(settings, "migrate", "up").returncode == 0
        self.process = rig.Persister(workspace, BINARY, settings)
        self.folder = self.process.settings["spool.dir"]
        self.start()
        fleet(self.broker, MESSAGES, "--duplicates", "3")
        stored(self.database, MESSAGES, timeout=180)
        rig.wait_until(self.all_but_one, 180, lambda: str(os.listdir(self.folder)))

    def start(self):
        self.process.start()
        self.process.wait_event("broker_connected")
        self.process.wait_event("database_connected")

    def all_but_one(self):
        return self.process.metric("ocpp_persister_spool_archived_segments") \
            == self.process.metric("ocpp_persister_spool_segments") - 1 > 1

    def archives(self, folder=None):
        return sorted(glob.glob(os.path.join(folder or self.folder, "*.seg.zst")))

    def stop(self):
        self.process.stop()
        self.broker.stop()


@pytest.fixture(scope="module")
def packed(workspace, postgres):
    """Shared by all tests that only read it."""
    p = Packed(workspace, postgres, "mosquitto_packed")
    yield p
    p.stop()


def test_log_in_use_is_listed_and_verified(packed):
    folder = packed.folder
    files = listing(folder)
    assert sum(f["records"] for f in files) == MESSAGES
    assert [f["file"].endswith(".zst") for f in files] == [True] * (len(files) - 1) + [False]
    assert all(f["bytes"] < f["unpacked"] / 4 for f in files[:-1])
    assert [f["last_seq"] + 1 for f in files[:-1]] == [f["first_seq"] for f in files[1:]]
    assert f"{MESSAGES} records in {len(files)} files" in spool(folder, "ls").stdout
    assert spool(folder, "verify").stdout.startswith(f"{MESSAGES} records in")


def test_archives_are_files_of_zstd(packed, tmp_path):
    for path in packed.archives():
        subprocess.run(["zstd", "-q", "-t", path], check=True)
    # Unpacked with zstd, they are segments.
    folder = tmp_path / "log"
    shutil.copytree(packed.folder, folder)
    for path in glob.glob(f"{folder}/*.zst"):
        subprocess.run(["zstd", "-q", "-d", "--rm", path], check=True)
    files = listing(folder)
    assert not any(f["file"].endswith(".zst") for f in files)
    assert sum(f["records"] for f in files) == MESSAGES
    spool(folder, "verify")


def test_archives_are_replayed(packed, empty):  # noqa: F811
    other = empty()
    assert replay(other, packed.folder, timeout=rig.HANGS_S)["records"] == MESSAGES
    assert_equal(packed.database, other)


def test_database_that_went_back_is_fed_from_archives(workspace, postgres):
    alone = Packed(workspace, postgres, "mosquitto_alone")
    database = alone.database
    alone.process.stop()
    before = contents(database)
    oldest = listing(alone.folder)[0]
    database.rows("UPDATE ingest_progress SET seq = 1000")
    database.rows("DELETE FROM meter_values")
    assert oldest["first_seq"] == 1 and oldest["file"].endswith(".zst")
    alone.start()

    def fed():
        return database.value("SELECT max(seq) FROM ingest_progress") >= MESSAGES

    rig.wait_until(fed, 180, lambda: str(database.rows("TABLE ingest_progress")))
    alone.stop()
    after = contents(database)
    assert set(after["meter_values"]) <= set(before["meter_values"])
    assert len(after["meter_values"]) > len(before["meter_values"]) * 0.9


@pytest.fixture
def unpacked(packed, tmp_path):  # noqa: F811
    """(a copy of the log with plain segments, a function that packs all but the first ones)"""
    folder, later = shutil.copytree(packed.folder, tmp_path / "log"), tmp_path / "later"
    later.mkdir()
    for path in packed.archives(str(folder)):
        subprocess.run(["zstd", "-q", "-d", path], check=True)
        shutil.move(path, later)

    def pack(but=0):
        for path in sorted(later.iterdir())[but:]:
            os.rename(path, folder / path.name)
            os.unlink(folder / path.stem)

    return str(folder), pack


def test_log_that_is_packed_while_it_is_replayed(packed, unpacked, empty):  # noqa: F811
    folder, pack = unpacked
    other = empty()
    running = subprocess.Popen(
        [BINARY, *(f"--{k}={v}" for k, v in other.settings().items()), "replay", "--json",
         "--rate", "4000", folder], stdout=subprocess.PIPE, text=True)
    rig.wait_until(lambda: other.value("SELECT count(*) FROM ingest_progress") > 0, 60,
                   "the replay has begun")
    pack(but=1)
    summary = json.loads(running.communicate(timeout=rig.HANGS_S)[0])
    assert running.returncode == 0
    assert summary["records"] == MESSAGES and summary["unreadable"] == 0
    assert_equal(packed.database, other)


def test_log_that_is_packed_after_a_killed_replay(packed, unpacked, empty):  # noqa: F811
    folder, pack = unpacked
    other = empty()
    running = subprocess.Popen(
        [BINARY, *(f"--{k}={v}" for k, v in other.settings().items()), "replay", "--rate", "4000",
         folder], stdout=subprocess.DEVNULL)
    rig.wait_until(lambda: other.value("SELECT coalesce(sum(seq), 0) FROM ingest_progress") > 500,
                   60, "the replay gets somewhere")
    running.kill()
    running.wait()
    pack()
    last = replay(other, folder, timeout=rig.HANGS_S)
    assert last["resumed"] and last["records"] < MESSAGES
    assert_equal(packed.database, other)


@pytest.mark.parametrize("form", ["cat", "export maeve"])
def test_exported_lines_give_the_same_tables(packed, empty, tmp_path, form):  # noqa: F811
    lines = tmp_path / "lines"
    lines.write_text(spool(packed.folder, *form.split()).stdout)
    kinds = [json.loads(line) for line in lines.read_text().splitlines()]
    assert len(kinds) == MESSAGES
    binary = sum("payload_hex" in k for k in kinds)
    assert binary == 0 if form == "export maeve" else 0 < binary < MESSAGES
    assert all(isinstance(k["payload"], dict) for k in kinds if "payload" in k)
    other = empty()
    assert replay(other, lines, timeout=rig.HANGS_S)["unreadable"] == 0
    assert_equal(packed.database, other)


def test_export_takes_what_is_asked_for(packed):
    folder = packed.folder
    everything = [json.loads(line) for line in spool(folder, "cat").stdout.splitlines()]
    station = everything[7]["topic"].rsplit("/", 1)[1]
    middle = everything[MESSAGES // 2]["received_at"]
    asked = [json.loads(line) for line in spool(
        folder, "cat", "--station", station, "--from", middle).stdout.splitlines()]
    assert asked == [m for m in everything if m["topic"].endswith("/" + station)
                     and m["received_at"].ljust(27, "0") >= middle.ljust(27, "0")]
    assert asked
    spool(folder, "export", code=2)
    spool(folder, "export", "csv", code=2)
    spool(folder + "/none", "ls", code=6)


def test_exported_msgpack_is_a_stream_of_records(packed, empty, tmp_path):  # noqa: F811
    folder = packed.folder
    stream = tmp_path / "records"
    with open(stream, "wb") as out:
        subprocess.run([BINARY, f"--spool.dir={folder}", "spool", "export", "msgpack"],
                       stdout=out, check=True)
    with open(stream, "rb") as records:
        found = list(msgpack.Unpacker(records, raw=True))
    assert [r[3] for r in found] == list(range(1, MESSAGES + 1))
    assert {len(r) for r in found} == {10}
    lines = [json.loads(line) for line in spool(folder, "cat").stdout.splitlines()]
    assert [r[6].decode() for r in found] == [m["topic"] for m in lines]
    assert all(r[8] == bytes.fromhex(m["payload_hex"]) for r, m in zip(found, lines)
               if "payload_hex" in m)
    # It can be replayed, too; what is damaged is left out and the rest is used.
    other = empty()
    assert replay(other, stream, timeout=rig.HANGS_S)["records"] == MESSAGES
    assert_equal(packed.database, other)
    whole = stream.read_bytes()
    position = whole.index(b"OPR", len(whole) // 2) - 10
    stream.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1:-3])
    summary = replay(empty(), stream, code=1, timeout=rig.HANGS_S)
    assert summary["records"] == MESSAGES - 2 and summary["unreadable"] == 2
    found = [int(m) for m in re.findall(r" byte=(\d+)", summary["stderr"])]
    assert position - 2000 < found[0] <= position < len(whole) - 2000 < found[1]


def test_changed_byte_is_reported_and_the_rest_is_used(packed, empty, tmp_path):  # noqa: F811
    folder = str(shutil.copytree(packed.folder, tmp_path / "log"))
    path = packed.archives(folder)[1]
    position = os.path.getsize(path) // 2
    with open(path, "r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 4]))
    done = spool(folder, "verify", code=1)
    said = done.stderr.split(": ")
    assert said[0] == path and 0 < int(said[1].removeprefix("byte ")) <= position
    whole, lost = (int(done.stdout.split()[i]) for i in (0, 7))
    assert whole + lost == MESSAGES
    # A frame holds 1 MiB; these messages have some 300 bytes and more.
    assert 0 < lost < 2 ** 20 / 250
    other = empty()
    summary = replay(other, folder, code=1, timeout=rig.HANGS_S)
    assert summary["records"] == whole
    assert path in summary["stderr"] and said[1].replace(" ", "=") in summary["stderr"]


def test_replay_beside_live_messages_yields(packed, workspace, migrated, persister):
    broker = rig.Broker(workspace, name="mosquitto_beside").start()
    p = persister({**migrated.settings(), **broker.settings()}).start()
    p.wait_event("broker_connected")
    p.wait_event("database_connected")
    publisher = Publisher(broker.port)
    publisher.call("live", "Heartbeat", {}, id="0")
    stored(migrated, 1)
    running = subprocess.Popen(
        [BINARY, *(f"--{k}={v}" for k, v in migrated.settings().items()), "replay", "--json",
         packed.folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    number = 0
    while running.poll() is None:
        number += 1
        publisher.call("live", "Authorize", {"idTag": f"T{number}"}, id=str(number))
        rig.wait_until(lambda: migrated.value(
            "SELECT count(*) FROM authorizations WHERE charge_station_id = 'live'") == number,
            30, "it is stored while the replay goes on")
    out, err = running.communicate()
    assert json.loads(out)["records"] == MESSAGES
    assert "event=yielding yields=1" in err
    assert number > 20
    publisher.close()
    broker.stop()


def test_log_is_published_again(packed, workspace, migrated, persister):
    """To another broker, with a database behind it: the same, but for the times of receipt."""
    broker = rig.Broker(workspace, name="mosquitto_again").start()
    p = persister({**migrated.settings(), **broker.settings()}).start()
    p.wait_event("broker_connected")
    p.wait_event("database_connected")
    done = run_cli({}, "replay", "--json", "--publish", broker.url, "--speed", "max",
                   packed.folder)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["records"] == summary["published"] == summary["acknowledged"] == MESSAGES
    stored(migrated, MESSAGES, timeout=180)
    assert_equal(packed.database, migrated, captured=True)

    # Only what was asked for, and no faster than it came.
    records = [json.loads(line) for line in spool(packed.folder, "cat").stdout.splitlines()]
    station = records[0]["topic"].rsplit("/", 1)[1]
    of_station = [r for r in records if r["topic"].endswith("/" + station)]
    times = [datetime.fromisoformat(r["received_at"].replace("Z", "+00:00"))
             for r in of_station]
    span = (max(times) - times[0]).total_seconds()
    done = run_cli({}, "replay", "--json", "--publish", broker.url, "--station", station,
                   "--speed", str(span), packed.folder)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["published"] == len(of_station)
    assert summary["not_asked_for"] == MESSAGES - len(of_station)
    assert 0.9 <= summary["seconds"] < 20
    broker.stop()
    done = run_cli({}, "replay", "--publish", broker.url, packed.folder)
    assert done.returncode == 7 and "could not connect to the broker" in done.stderr


def test_json_on_several_lines_is_json_in_an_export(running, publish, migrated):
    """A newline at its end, or within, is no reason to give it as hexadecimal digits."""
    p = running()
    publish.raw("cs/in/ocpp1.6/cs1", b'[2,"1","Heartbeat",{}]\r\n')
    publish.raw("cs/in/ocpp1.6/cs1", b'\n[2,"2",\n\t"Heartbeat", {}]')
    stored(migrated, 2)
    assert p.stop() == 0
    lines = [json.loads(line) for line in
             spool(p.settings["spool.dir"], "cat").stdout.splitlines()]
    assert [line["payload"] for line in lines] == [
        [2, "1", "Heartbeat", {}], [2, "2", "Heartbeat", {}]]
    assert not any("payload_hex" in line for line in lines)
