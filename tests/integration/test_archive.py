"""The log as an archive: packed, looked at, exported, replayed."""

import glob
import json
import os
import shutil
import subprocess

import msgpack
import pytest
import rig
from conftest import run_cli, stored
from test_replay import assert_equal, contents, empty, fleet, replay  # noqa: F401

MESSAGES = 24000


def spool(folder, *arguments, code=0, **kwargs):
    done = run_cli({"spool.dir": folder}, "spool", *arguments, **kwargs)
    assert done.returncode == code, done.stdout[-2000:] + done.stderr
    return done


def listing(folder):
    return [json.loads(line) for line in spool(folder, "ls", "--json").stdout.splitlines()]


@pytest.fixture
def packed(running, migrated, broker):
    """A process whose log has been packed, all but the segment that is being written."""
    p = running()
    fleet(broker, MESSAGES, "--duplicates", "3")
    stored(migrated, MESSAGES)

    def all_but_one():
        return p.metric("ocpp_persister_spool_archived_segments") \
            == p.metric("ocpp_persister_spool_segments") - 1 > 1

    rig.wait_until(all_but_one, 60, lambda: str(os.listdir(p.settings["spool.dir"])))
    return p


def archives(p):
    return sorted(glob.glob(os.path.join(p.settings["spool.dir"], "*.seg.zst")))


def test_log_in_use_is_listed_and_verified(packed):
    folder = packed.settings["spool.dir"]
    files = listing(folder)
    assert sum(f["records"] for f in files) == MESSAGES
    assert [f["file"].endswith(".zst") for f in files] == [True] * (len(files) - 1) + [False]
    assert all(f["bytes"] < f["unpacked"] / 4 for f in files[:-1])
    assert [f["last_seq"] + 1 for f in files[:-1]] == [f["first_seq"] for f in files[1:]]
    assert f"{MESSAGES} records in {len(files)} files" in spool(folder, "ls").stdout
    assert spool(folder, "verify").stdout.startswith(f"{MESSAGES} records in")


def test_archives_are_files_of_zstd(packed, tmp_path):
    for path in archives(packed):
        subprocess.run(["zstd", "-q", "-t", path], check=True)
    # Unpacked by it they are segments, and the log goes on with them.
    packed.stop()
    folder = tmp_path / "log"
    shutil.copytree(packed.settings["spool.dir"], folder)
    for path in glob.glob(f"{folder}/*.zst"):
        subprocess.run(["zstd", "-q", "-d", "--rm", path], check=True)
    files = listing(folder)
    assert not any(f["file"].endswith(".zst") for f in files)
    assert sum(f["records"] for f in files) == MESSAGES
    spool(folder, "verify")


def test_archives_are_replayed(packed, migrated, empty):  # noqa: F811
    other = empty()
    assert replay(other, packed.settings["spool.dir"])["records"] == MESSAGES
    assert_equal(migrated, other)


def test_database_that_went_back_is_fed_from_archives(packed, running, migrated):
    packed.stop()
    before = contents(migrated)
    oldest = listing(packed.settings["spool.dir"])[0]
    migrated.rows("UPDATE ingest_progress SET seq = 1000")
    migrated.rows("DELETE FROM meter_values")
    assert oldest["first_seq"] == 1 and oldest["file"].endswith(".zst")
    p = running({"spool.dir": packed.settings["spool.dir"]})

    def fed():
        return migrated.value("SELECT max(seq) FROM ingest_progress") >= MESSAGES

    rig.wait_until(fed, 60, lambda: str(migrated.rows("TABLE ingest_progress")))
    p.stop()
    after = contents(migrated)
    assert set(after["meter_values"]) <= set(before["meter_values"])
    assert len(after["meter_values"]) > len(before["meter_values"]) * 0.9


@pytest.mark.parametrize("form", ["cat", "export maeve"])
def test_exported_lines_give_the_same_tables(packed, migrated, empty, tmp_path,  # noqa: F811
                                             form):
    lines = tmp_path / "lines"
    lines.write_text(spool(packed.settings["spool.dir"], *form.split()).stdout)
    kinds = [json.loads(line) for line in lines.read_text().splitlines()]
    assert len(kinds) == MESSAGES
    binary = sum("payload_hex" in k for k in kinds)
    assert binary == 0 if form == "export maeve" else 0 < binary < MESSAGES
    assert all(isinstance(k["payload"], dict) for k in kinds if "payload" in k)
    other = empty()
    assert replay(other, lines)["unreadable"] == 0
    assert_equal(migrated, other)


def test_export_takes_what_is_asked_for(packed):
    folder = packed.settings["spool.dir"]
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


def test_exported_msgpack_is_a_stream_of_records(packed, tmp_path):
    folder = packed.settings["spool.dir"]
    stream = tmp_path / "records"
    with open(stream, "wb") as out:
        subprocess.run([packed.binary, f"--spool.dir={folder}", "spool", "export", "msgpack"],
                       stdout=out, check=True)
    with open(stream, "rb") as records:
        found = list(msgpack.Unpacker(records, raw=True))
    assert [r[3] for r in found] == list(range(1, MESSAGES + 1))
    assert {len(r) for r in found} == {10}
    lines = [json.loads(line) for line in spool(folder, "cat").stdout.splitlines()]
    assert [r[6].decode() for r in found] == [m["topic"] for m in lines]
    assert all(r[8] == bytes.fromhex(m["payload_hex"]) for r, m in zip(found, lines)
               if "payload_hex" in m)


def test_changed_byte_is_reported_and_the_rest_is_used(packed, empty):  # noqa: F811
    packed.stop()
    path = archives(packed)[1]
    position = os.path.getsize(path) // 2
    with open(path, "r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 4]))
    done = spool(packed.settings["spool.dir"], "verify", code=1)
    said = done.stderr.split(": ")
    assert said[0] == path and 0 < int(said[1].removeprefix("byte ")) <= position
    whole, lost = (int(done.stdout.split()[i]) for i in (0, 7))
    assert whole + lost == MESSAGES
    # A frame holds 1 MiB; these messages have some 300 bytes and more.
    assert 0 < lost < 2 ** 20 / 250
    other = empty()
    summary = replay(other, packed.settings["spool.dir"], code=1)
    assert summary["records"] == whole
    assert path in summary["stderr"] and said[1].replace(" ", "=") in summary["stderr"]
