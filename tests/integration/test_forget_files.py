"""`ocpp-persister forget TOKEN FILE`: partition files without the token, and restoring them."""

import contextlib
import json
import os
import subprocess

import rig
from conftest import begun, next_line, run_cli
from test_forget import TOKEN, authorized, fill_old_month, forget, found  # noqa: F401

EVENTS = "SELECT e::text FROM transaction_events e WHERE event_time < '2025-07-01' ORDER BY digest"


def unpacked(path):
    return subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout


def test_partition_files_are_written_again(migrated, forget, tmp_path):
    settings = migrated.writer_settings()
    fill_old_month(migrated)
    archived = run_cli(settings, "partitions", "archive", "--older-than", "30d", "--table",
                       "transaction_events", "--to", str(tmp_path))
    assert archived.returncode == 0, archived.stderr
    path = tmp_path / "transaction_events_2025_06.copy.zst"
    old = tmp_path / "old.copy.zst"
    old.write_bytes(path.read_bytes())
    places = unpacked(path).lower().count(TOKEN.lower().encode())
    assert places > 20000 and len(unpacked(path)) > 3 << 20

    def forget_files(*arguments):
        done = run_cli(settings, "forget", TOKEN, "--json", *arguments)
        return done, [json.loads(line) for line in done.stdout.splitlines()]

    # A file that cannot be read keeps no other from being written.
    other = tmp_path / "other"
    other.write_text("not a partition file")
    done, (_, would) = forget_files(path, "--dry-run")
    assert would == {"file": str(path), "places": places, "rewritten": False}
    assert path.read_bytes() == old.read_bytes()
    done, (said, wrote) = forget_files(other, path)
    assert done.returncode == 1 and "is not a partition file" in done.stderr
    assert wrote == {"file": str(path), "places": places, "rewritten": True}
    name = said["pseudonym"]
    assert unpacked(path).lower().count(TOKEN.lower().encode()) == 0
    assert unpacked(path) == unpacked(old).replace(TOKEN.encode(), name.encode())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old.copy.zst", "other", path.name]
    before = path.read_bytes()
    done, (_, again) = forget_files(path)
    assert done.returncode == 0 and again["places"] == 0 and path.read_bytes() == before
    # Restored, from the new file or the old one, the rows are the same.
    rows = {}
    for file in (path, old):
        restored = run_cli(settings, "replay", str(file))
        assert restored.returncode == 0, restored.stderr
        rows[file] = migrated.rows(EVENTS)
        assert len(rows[file]) == 20000 and found(migrated) == {}
        migrated.rows("DELETE FROM transaction_events")
    assert rows[path] == rows[old]


def test_file_behind_a_link_is_written_with_its_rights(migrated, forget, tmp_path):
    fill_old_month(migrated, rows=10)
    archived = run_cli(migrated.writer_settings(), "partitions", "archive", "--older-than", "30d",
                       "--table", "transaction_events", "--to", str(tmp_path))
    assert archived.returncode == 0, archived.stderr
    path = tmp_path / "transaction_events_2025_06.copy.zst"
    link = tmp_path / "links" / "june"
    link.parent.mkdir()
    link.symlink_to(path)
    path.chmod(0o640)
    with contextlib.suppress(OSError):  # a right that even root may lack in a container
        os.chown(path, 1234, 1235)
    before = path.stat()
    done = run_cli(migrated.writer_settings(), "forget", TOKEN, link)
    assert done.returncode == 0 and "changed" in done.stdout, done
    assert link.is_symlink() and TOKEN.lower().encode() not in unpacked(path).lower()
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode, before.st_uid, before.st_gid)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["links", path.name]


def test_file_that_is_being_restored_is_waited_for(migrated, forget, tmp_path):
    """It began before the token was forgotten, and has it in rows that it stores later."""
    settings = migrated.writer_settings()
    fill_old_month(migrated)
    archived = run_cli(settings, "partitions", "archive", "--older-than", "30d", "--table",
                       "transaction_events", "--to", str(tmp_path))
    assert archived.returncode == 0, archived.stderr
    session = migrated.connect()
    session.execute("SELECT ensure_partition('transaction_events', '2025-06-15')")
    blocker = migrated.connect(autocommit=False)
    # It stops what inserts into the table, not what changes a partition.
    blocker.execute("LOCK TABLE ONLY transaction_events IN SHARE MODE")

    def waits(table):
        return session.execute("SELECT count(*) FROM pg_locks WHERE NOT granted"
                               " AND relation = %s::regclass", (table,)).fetchone()[0]

    with begun(settings, "replay", str(next(tmp_path.iterdir()))) as replay:
        rig.wait_until(lambda: waits("transaction_events"))
        with begun(settings, "forget", TOKEN) as process:
            rig.wait_until(lambda: process.poll() is not None or waits("ingest_progress"))
            blocker.rollback()
            assert process.wait(rig.HANGS_S) == 0
        _, said = replay.communicate(timeout=rig.HANGS_S)
        assert replay.returncode == 0, said
    assert migrated.value("SELECT count(*) FROM transaction_events") == 20000
    assert found(migrated) == {}


def archive_words(folder):
    return ("partitions", "archive", "--older-than", "30d", "--table", "transaction_events", "--to",
            str(folder))


def test_archive_waits_for_a_token_that_is_being_forgotten(migrated, tmp_path):
    """Otherwise it would write rows to a file which are then dropped before they are searched."""
    fill_old_month(migrated, rows=10)
    authorized(migrated)  # of a table that is searched before
    settings = migrated.writer_settings()
    blocker = migrated.connect(autocommit=False)
    blocker.execute("SELECT FROM authorizations FOR UPDATE")
    with begun(settings, "forget", TOKEN) as forgets:
        assert "locked rows of authorizations" in next_line(forgets, forgets.stderr)
        with begun(settings, *archive_words(tmp_path)) as archives:
            said = next_line(archives, archives.stderr)
            assert "waiting: another process forgets a token" in said
            blocker.rollback()
            assert forgets.wait(rig.HANGS_S) == 0 and archives.wait(rig.HANGS_S) == 0
    file, = tmp_path.iterdir()
    assert TOKEN.lower().encode() not in unpacked(file).lower()


def test_file_that_is_being_written_is_waited_for(migrated, tmp_path):
    """Otherwise neither the table nor the file would be without the token in the end."""
    fill_old_month(migrated, rows=10)
    hold, folder = tmp_path / "hold", tmp_path / "archive"
    hold.touch()
    folder.mkdir()
    file = folder / "transaction_events_2025_06.copy.zst"
    settings = migrated.writer_settings()
    with begun(settings, *archive_words(folder), FAILPOINT_HOLD=str(hold)) as archives:
        # All rows are in it once it is synced.
        rig.wait_until(lambda: any(p.stat().st_size > 100 for p in folder.iterdir()))
        with begun(settings, "forget", TOKEN, file) as forgets:
            said = next_line(forgets, forgets.stderr)
            assert "for another process, which forgets a token or archives a partition" in said
            hold.unlink()
            assert archives.wait(rig.HANGS_S) == 0 and forgets.wait(rig.HANGS_S) == 0
    assert TOKEN.lower().encode() not in unpacked(file).lower()
    assert found(migrated) == {}
