"""A position in the log is more than a number: it identifies the record, its numbering, and how
many came before it. Whatever happens to log or database, each acknowledged message is stored
once."""

import glob
import os
import shutil
import signal
import subprocess
import uuid

import psycopg
import pytest
import rig
from conftest import client, run_cli


def send(publish, numbers, station="cs001"):
    """Messages with times of their own: each is one row, however often it is fed."""
    for i in numbers:
        publish.call(station, "MeterValues", {"connectorId": 1, "meterValue": [
            {"timestamp": f"2026-01-31T{i // 3600:02}:{i // 60 % 60:02}:{i % 60:02}Z",
             "sampledValue": [{"value": str(i)}]}]}, id=str(i))


def rows(database):
    return database.value("SELECT count(*) FROM meter_values")


def wait_rows(database, count, p=None):
    def look():
        return rows(database) >= count

    rig.wait_until(look, 60, lambda: f"{rows(database)} of {count} rows\n" +
                   str(database.rows("TABLE ingest_progress")) + (rig.tail(p.log) if p else ""))


def segments(p):
    return sorted(glob.glob(os.path.join(p.settings["spool.dir"], "*.seg*")))


def wait_empty_log(p):
    """Until everything stored is released: the last segment exists, without records."""
    def look():
        done = run_cli({"spool.dir": p.settings["spool.dir"]}, "spool", "ls")
        return done.stdout.splitlines()[-1].startswith("0 records in 1 files")

    rig.wait_until(look, 60, lambda: str(segments(p)))


def verify(p, database, *arguments):
    """The database and this log."""
    return run_cli({**database.settings(), "spool.dir": p.settings["spool.dir"]}, "verify",
                   *arguments)


def assert_balanced(p, database):
    done = verify(p, database)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT" not in done.stdout


# ---- numbering ----


def empty_log(running, database, publish, **settings):
    """A persister whose log was emptied by its retention, after 50 messages."""
    p = running({"spool.retain": "0s", **settings})
    send(publish, range(50))
    wait_rows(database, 50)
    assert p.stop() == 0
    p.start()
    p.wait_event("broker_connected")
    p.wait_event("database_connected")
    wait_empty_log(p)
    return p


def test_numbers_go_on_after_a_crash_with_an_empty_log(running, migrated, publish):
    p = empty_log(running, migrated, publish)
    p.kill9()
    send(publish, range(50, 150))
    p.start()
    wait_rows(migrated, 150, p)
    assert_balanced(p, migrated)
    assert not p.events("gap")


def test_numbers_go_on_after_many_crashes_with_an_empty_log(running, migrated, publish):
    p = empty_log(running, migrated, publish)
    for i in range(3):
        p.kill9()
        p.start()
        p.wait_event("database_connected")
    p.kill9()
    send(publish, range(50, 150))
    p.start()
    wait_rows(migrated, 150, p)
    assert_balanced(p, migrated)
    assert len(segments(p)) <= 2


def test_stop_with_an_empty_log_loses_nothing_and_says_so(running, migrated, publish):
    p = empty_log(running, migrated, publish)
    assert p.stop() == 0
    p.start()
    assert p.wait_event("log_opened")["last_seq"] == "50"
    p.wait_event("database_connected")
    assert not p.events("spool_records_lost")
    assert p.stop() == 0
    send(publish, range(50, 150))
    p.start()
    wait_rows(migrated, 150, p)
    assert not p.events("spool_records_lost") and not p.events("gap")
    assert_balanced(p, migrated)


@pytest.mark.parametrize("client_id", ["ours", ""])
def test_log_without_its_segments_is_another_numbering(running, migrated, publish, client_id):
    """The session at the broker stays: what it has queued must come."""
    p = running({"mqtt.client_id": client_id})
    send(publish, range(50))
    wait_rows(migrated, 50)
    was = p.wait_event("log_opened")["identity"]
    p.kill9()
    for path in segments(p):
        os.unlink(path)
    send(publish, range(50, 150))
    p.start()
    wait_rows(migrated, 150, p)
    assert p.events("log_new_identity", was=was)
    assert p.events("log_opened")[0]["identity"] != was
    assert p.wait_event("broker_connected")["session_present"] == "1"
    assert_balanced(p, migrated)
    assert {str(spool) for spool, in migrated.rows("SELECT spool FROM ingest_progress")} \
        == {was, p.events("log_opened")[0]["identity"]}
    p.stop()
    p.start()  # and it stays as it is
    p.wait_event("broker_connected", session_present=1)
    assert not p.events("log_new_identity")


def test_log_without_its_segments_goes_on_where_it_was_closed(running, migrated, publish):
    p = running()
    send(publish, range(50))
    wait_rows(migrated, 50)
    was = p.wait_event("log_opened")["identity"]
    assert p.stop() == 0
    for path in segments(p):
        os.unlink(path)
    send(publish, range(50, 150))
    p.start()
    wait_rows(migrated, 150, p)
    assert p.wait_event("log_opened")["identity"] == was
    assert not p.events("gap") and not p.events("spool_records_lost")
    assert_balanced(p, migrated)


@pytest.fixture
def with_door(persister, migrated, broker, publish, proxy, postgres):
    """A persister that has stored 20 messages, and the proxy before its database."""
    door = proxy(postgres.port)
    p = persister({"spool.segment_bytes": "4MiB", **migrated.settings(door.port),
                   **broker.settings()}).start()
    p.wait_event("broker_connected")
    p.wait_event("database_connected")
    send(publish, range(20))
    wait_rows(migrated, 20)
    return p, door


def test_segments_that_were_removed_before_they_were_stored_are_a_gap(with_door, migrated, publish):
    p, door = with_door
    door.refuse()
    send(publish, range(20, 50))
    p.wait_metric("ocpp_persister_backlog_records", 30)
    p.process.send_signal(signal.SIGTERM)
    assert p.wait_exit() == 0
    for path in segments(p):
        os.unlink(path)
    door.accept()
    p.start()
    gap = p.wait_event("gap")
    assert (gap["first_seq"], gap["records"]) == ("21", "30")
    p.wait_event("broker_connected")
    send(publish, range(50, 60))
    wait_rows(migrated, 30)
    done = verify(p, migrated)
    assert done.returncode == 1 and "records lost to gaps 30" in done.stdout, done.stdout


# ---- copies ----


@pytest.fixture
def cloned(running, persister, migrated, broker, publish, proxy, postgres):
    """A snapshot of a log at record 10, whose original went on to 30: (persister, its door)."""
    first = running()
    send(publish, range(10))
    wait_rows(migrated, 10)
    assert first.stop() == 0
    snapshot = first.settings["spool.dir"] + ".snapshot"
    shutil.copytree(first.settings["spool.dir"], snapshot)
    first.start()
    send(publish, range(10, 30))
    wait_rows(migrated, 30)
    assert first.stop() == 0
    door = proxy(postgres.port)
    door.refuse()
    second = persister({"spool.segment_bytes": "4MiB", **migrated.settings(door.port),
                        **broker.settings(), "spool.dir": snapshot}).start()
    second.wait_event("broker_connected")
    return second, door


@pytest.mark.parametrize("count", [20, 50])
def test_copy_that_was_filled_before_the_database_came_is_refused(cloned, migrated, publish, count):
    """20: it ends at the very number that the database has."""
    second, door = cloned
    send(publish, range(30, 30 + count))
    second.wait_metric("ocpp_persister_backlog_records", count)
    door.accept()
    assert second.wait_exit() == 6
    assert any("spool new-identity" in line.get("hint", "") for line in second.lines())
    assert rows(migrated) == 30
    done = verify(second, migrated)
    assert done.returncode == 1 and "NOT" in done.stdout, done.stdout
    assert run_cli(second.settings, "spool", "new-identity").returncode == 0
    second.start()
    wait_rows(migrated, 30 + count, second)
    second.wait_metric("ocpp_persister_backlog_records", lambda v: v == 0)
    assert_balanced(second, migrated)


@pytest.mark.parametrize("count", [8, 20, 50])
def test_copy_that_was_filled_and_killed_is_refused(cloned, migrated, publish, count):
    """After a crash numbers are left out; that the database has one of them does not say that the
    disk has lost its record, however many this log has taken."""
    second, door = cloned
    send(publish, range(30, 30 + count))
    second.wait_metric("ocpp_persister_backlog_records", count)
    second.kill9()
    door.accept()
    second.start()
    assert second.wait_exit() == 6
    assert any("spool new-identity" in line.get("hint", "") for line in second.lines())
    assert rows(migrated) == 30
    assert run_cli(second.settings, "spool", "new-identity").returncode == 0
    second.start()
    wait_rows(migrated, 30 + count, second)
    second.wait_metric("ocpp_persister_backlog_records", lambda v: v == 0)
    assert_balanced(second, migrated)


def test_log_that_is_no_copy_keeps_its_session(running, migrated, publish):
    p = running({"mqtt.client_id": ""})  # the default: made from the log's identity
    client_id = p.wait_event("broker_connected")["client_id"]
    send(publish, range(10))
    wait_rows(migrated, 10)
    assert p.stop() == 0
    send(publish, range(10, 20))  # the broker queues them
    done = run_cli(p.settings, "spool", "new-identity", "--keep-session")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    p.start()
    wait_rows(migrated, 20, p)
    assert p.stop() == 0
    # Otherwise it says whose session it leaves.
    done = run_cli(p.settings, "spool", "new-identity")
    assert done.returncode == 0 and client_id in done.stderr, done.stderr


@pytest.mark.parametrize("count", [8, 50])
def test_snapshot_that_is_taken_back_twice_is_refused(running, migrated, publish, count):
    """After a crash numbers are left out: the same ones each time."""
    p = running()
    send(publish, range(10))
    wait_rows(migrated, 10)
    p.kill9()
    folder = p.settings["spool.dir"]
    shutil.copytree(folder, folder + ".snapshot")
    p.start()
    p.wait_event("broker_connected")
    send(publish, range(10, 30))
    wait_rows(migrated, 30)
    p.kill9()
    shutil.rmtree(folder)
    shutil.move(folder + ".snapshot", folder)
    p.process = None
    settings = p.settings
    p.settings = {**settings, "storage.postgres.port": rig.free_port()}
    p.start()
    p.wait_event("broker_connected")
    send(publish, range(30, 30 + count))
    p.wait_metric("ocpp_persister_backlog_records", count)
    p.kill9()
    p.settings = settings
    p.start()
    assert p.wait_exit() == 6
    assert any("spool new-identity" in line.get("hint", "") for line in p.lines())


# ---- the claim ----


@pytest.mark.parametrize("sql", [
    "UPDATE ingest_progress SET seq = 5",
    "UPDATE ingest_progress SET seq = 0",
    "DELETE FROM ingest_progress",
    "UPDATE ingest_progress SET owner = '{other}'",
    "UPDATE ingest_progress SET seq = 5, owner = '{other}', backend_pid = 1, client_id = 'x'",
    "UPDATE ingest_progress SET seq = 7, owner = NULL, backend_pid = NULL, backend_start = NULL",
])
def test_progress_that_was_set_back_is_read_again(running, migrated, publish, sql):
    p = running()
    send(publish, range(20))
    wait_rows(migrated, 20)
    migrated.rows(sql.replace("{other}", str(uuid.uuid4())))
    send(publish, range(20, 30))
    wait_rows(migrated, 30, p)
    rig.wait_until(lambda: p.http("/readyz") == (200, "ready\n"), 30, lambda: p.http("/readyz"))
    rig.wait_until(lambda: migrated.value("SELECT seq FROM ingest_progress") == 30, 30,
                   lambda: str(migrated.rows("TABLE ingest_progress")))
    said = p.events("claim_refused")
    assert said and said[0]["heals"] == "by_itself" and "read again" in said[0]["hint"]
    assert rows(migrated) == 30
    assert p.running
    assert_balanced(p, migrated)


FORWARD = [
    "UPDATE ingest_progress SET seq = 25",
    "UPDATE ingest_progress SET seq = 1000000",
    "UPDATE ingest_progress SET seq = seq + 1, owner = gen_random_uuid(), backend_pid = NULL",
]
# What only the process itself can know: that it has claimed no such record.
REPLACED = [
    "UPDATE ingest_progress SET seq = 25, counted_seq = 25, records = NULL, digest = NULL",
    "DELETE FROM ingest_progress; INSERT INTO ingest_progress (spool, seq) VALUES ('{spool}', 25)",
]


def assert_set_forward_is_noticed(p, database, count, claimed="20"):
    """All that the log has is stored, once, and it is reported."""
    wait_rows(database, count, p)
    rig.wait_until(lambda: database.value("SELECT seq FROM ingest_progress") == count, 30,
                   lambda: str(database.rows("TABLE ingest_progress")))
    said = p.events("progress_ahead")
    assert said and said[0]["claimed"] == claimed, said
    assert rows(database) == count and p.running
    assert_balanced(p, database)


@pytest.mark.parametrize("sql", FORWARD + REPLACED)
def test_progress_that_was_set_forward_while_connected_skips_nothing(
        running, migrated, publish, sql):
    p = running()
    send(publish, range(20))
    wait_rows(migrated, 20)
    spool = p.wait_event("log_opened")["identity"]
    migrated.rows(sql.replace("{spool}", spool))
    if sql in FORWARD:
        done = verify(p, migrated)
        assert done.returncode == 1 and "NOT BALANCED" in done.stdout, done.stdout
        assert "up to record 20" in done.stdout
    send(publish, range(20, 40))
    assert_set_forward_is_noticed(p, migrated, 40)


@pytest.mark.parametrize("waiting", [0, 15])
@pytest.mark.parametrize("sql", FORWARD)
def test_progress_that_was_set_forward_meanwhile_skips_nothing(
        with_door, migrated, publish, sql, waiting):
    """While the database is away, or nobody runs."""
    p, door = with_door
    if waiting:
        door.refuse()
        send(publish, range(20, 20 + waiting))
        p.wait_metric("ocpp_persister_backlog_records", waiting)
    assert p.stop() == 0
    migrated.rows(sql)
    for arguments in ({"spool.dir": p.settings["spool.dir"]}, {}):
        done = run_cli({**migrated.settings(), **arguments}, "verify")
        assert done.returncode == 1 and "NOT BALANCED" in done.stdout, done.stdout
    door.accept()
    p.start()
    p.wait_event("broker_connected")
    send(publish, range(20 + waiting, 40))
    assert_set_forward_is_noticed(p, migrated, 40)


@pytest.mark.parametrize("seq", [5, 25, 1000000])
def test_progress_that_was_made_by_hand_skips_nothing(running, migrated, publish, seq):
    """Nobody knows what was claimed before: all that the log has is looked at again."""
    p = running()
    send(publish, range(20))
    wait_rows(migrated, 20)
    spool = p.wait_event("log_opened")["identity"]
    assert p.stop() == 0
    migrated.rows("DELETE FROM ingest_progress; INSERT INTO ingest_progress (spool, seq)"
                  f" VALUES ('{spool}', {seq})")
    for arguments in ({"spool.dir": p.settings["spool.dir"]}, {}):
        done = run_cli({**migrated.settings(), **arguments}, "verify")
        assert done.returncode == 1 and "NOT BALANCED" in done.stdout, done.stdout
    p.start()
    p.wait_event("broker_connected")
    send(publish, range(20, 40))
    assert_set_forward_is_noticed(p, migrated, 40, claimed="0")


def test_progress_that_is_set_back_again_and_again(running, migrated, publish):
    """A trigger that undoes each move: tried ever more slowly, and over when it is gone."""
    p = running()
    send(publish, range(5))
    wait_rows(migrated, 5)
    migrated.rows("CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS"
                  " 'BEGIN IF new.seq <> old.seq THEN RETURN NULL; END IF; RETURN new; END';"
                  "CREATE TRIGGER never BEFORE UPDATE ON ingest_progress"
                  " FOR EACH ROW EXECUTE FUNCTION never()")
    send(publish, range(5, 10))
    p.wait_metric("ocpp_persister_batches_failed_total", 4)
    # While it makes another attempt it is ready, so this has to be waited for.
    rig.wait_until(lambda: p.http("/readyz")[0] == 503, what=lambda: p.http("/readyz"))
    migrated.rows("DROP TRIGGER never ON ingest_progress")
    wait_rows(migrated, 10, p)
    rig.wait_until(lambda: p.http("/readyz") == (200, "ready\n"), 30, lambda: p.http("/readyz"))


def test_claim_that_another_live_process_took_over_stops_with_the_remedy(
        running, migrated, publish):
    p = running()
    send(publish, range(5))
    wait_rows(migrated, 5)
    with migrated.connect() as other:
        other.execute("UPDATE ingest_progress p SET owner = gen_random_uuid(),"
                      " backend_pid = a.pid, backend_start = a.backend_start"
                      " FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()")
        send(publish, range(5, 6))
        assert p.wait_exit() == 6
    stopping = p.events("stopping", reason="log_used_elsewhere")[0]
    assert "new-identity" in stopping["hint"]


def copied(persister, database, broker, folder):
    """A process with another log folder, that gets no messages of its own."""
    return persister({"spool.segment_bytes": "4MiB", **database.writer_settings(),
                      **broker.settings(), "mqtt.topics": "nothing", "spool.dir": folder}).start()


def test_of_two_processes_with_copies_of_one_log_one_ends_with_the_remedy(
        running, persister, migrated, broker, publish):
    """The later one takes over, and ends the connection of the first, which must not do the same
    to it again and again."""
    first = running(migrated.writer_settings())
    send(publish, range(5))
    wait_rows(migrated, 5)
    folder = first.settings["spool.dir"] + ".copy"
    shutil.copytree(first.settings["spool.dir"], folder)
    second = copied(persister, migrated, broker, folder)
    second.wait_event("database_connected")
    assert first.wait_exit(60) == 6
    assert "new-identity" in first.events("stopping", reason="log_used_elsewhere")[0]["hint"]
    assert second.stop() == 0
    first.start()  # it is alone again
    send(publish, range(5, 10))
    wait_rows(migrated, 10)
    assert_balanced(first, migrated)


def test_copy_that_is_out_of_date_does_not_stop_the_original(
        running, persister, migrated, broker, publish):
    """It takes over before it is refused."""
    first = running(migrated.writer_settings())
    send(publish, range(5))
    wait_rows(migrated, 5)
    assert first.stop() == 0
    folder = first.settings["spool.dir"] + ".copy"
    shutil.copytree(first.settings["spool.dir"], folder)
    first.start()
    send(publish, range(5, 20))
    wait_rows(migrated, 20)
    for _ in range(3):
        assert copied(persister, migrated, broker, folder).wait_exit() == 6
    send(publish, range(20, 25))
    wait_rows(migrated, 25)
    assert first.running
    assert_balanced(first, migrated)


def test_schema_that_is_restored_while_connected_is_fed_what_it_lacks(
        running, migrated, publish, postgres, tmp_path):
    dump = tmp_path / "dump.sql"
    env = postgres.env(migrated.name)
    pg_dump = [client(postgres, "pg_dump"), "-n", "ocpp", "-f", dump]
    p = running()
    send(publish, range(10))
    wait_rows(migrated, 10)
    subprocess.run(pg_dump, env=env, check=True)
    send(publish, range(10, 30))
    wait_rows(migrated, 30)
    script = tmp_path / "restore.sql"
    script.write_text("DROP SCHEMA ocpp CASCADE;\n" + dump.read_text())
    subprocess.run([postgres.bin("psql"), "-Xq", "-v", "ON_ERROR_STOP=1", "-1", "-f", script],
                   env=env, check=True, stdout=subprocess.DEVNULL)
    assert rows(migrated) == 10
    send(publish, range(30, 40))
    wait_rows(migrated, 40, p)
    rig.wait_until(lambda: p.http("/readyz") == (200, "ready\n"), 30, lambda: p.http("/readyz"))
    assert p.running and not p.events("database_lost")
    assert_balanced(p, migrated)


def test_error_after_the_commit_does_not_undo_it(persister, migrated, broker, publish, postgres):
    """The query for the place in the database's log fails: it comes in the same round trip."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as c:
        c.execute("CREATE ROLE no_lsn LOGIN PASSWORD 'secret' IN ROLE ocpp_writer")
    p = persister({"spool.segment_bytes": "4MiB", "spool.retain": "0s",
                   **postgres.settings(migrated.name, "no_lsn", "secret"),
                   **broker.settings()}).start()
    p.wait_event("broker_connected")
    p.wait_event("database_connected")
    send(publish, range(5))
    wait_rows(migrated, 5)
    with migrated.connect() as c:
        c.execute("REVOKE EXECUTE ON FUNCTION pg_current_wal_insert_lsn() FROM PUBLIC")
    for i in range(5, 30):
        send(publish, [i])
        wait_rows(migrated, i + 1, p)
    # What is not known to be on the database's disk stays in the log.
    send(publish, range(30, 40))
    wait_rows(migrated, 40, p)
    assert migrated.rows("SELECT seq, received, duplicate FROM ingest_progress") == [(40, 40, 0)]
    assert not p.events("claim_refused")
    assert p.metric("ocpp_persister_messages_total{outcome=\"stored\"}") == 40
    assert rows(migrated) == 40
    assert "grow" in p.events("durable_unknown")[0]["hint"]
    with migrated.connect() as c:
        c.execute("GRANT EXECUTE ON FUNCTION pg_current_wal_insert_lsn() TO PUBLIC")
    send(publish, range(40, 45))
    wait_rows(migrated, 45, p)
    assert p.http("/readyz") == (200, "ready\n")
    assert_balanced(p, migrated)


# ---- verify ----


def test_verify_counts_what_waits(with_door, migrated, publish):
    p, door = with_door
    door.refuse()
    send(publish, range(20, 50))
    p.wait_metric("ocpp_persister_backlog_records", 30)
    done = verify(p, migrated)
    assert done.returncode == 0, done.stdout
    assert "acknowledged 50 = claimed 20 + waiting 30" in done.stdout
    door.accept()
    wait_rows(migrated, 50)
    done = verify(p, migrated)
    assert "acknowledged 50 = claimed 50 + waiting 0" in done.stdout


@pytest.mark.parametrize("sql, with_log", [
    ("UPDATE ingest_progress SET records = records - 3", True),
    ("UPDATE ingest_progress SET records = records - 3", False),
    ("UPDATE ingest_progress SET digest = digest + 1", True),
    ("UPDATE ingest_progress SET digest = digest + 1", False),
])
def test_verify_finds_what_was_not_claimed(running, migrated, publish, sql, with_log):
    p = running()
    send(publish, range(20))
    wait_rows(migrated, 20)
    assert p.stop() == 0
    assert_balanced(p, migrated)
    migrated.rows(sql)
    done = verify(p, migrated) if with_log else run_cli(migrated.settings(), "verify")
    assert done.returncode == 1 and "NOT" in done.stdout, done.stdout
    if "records" in sql:
        assert "lost 3" in done.stdout, done.stdout


def test_verify_of_an_old_database_says_what_it_cannot_know(running, migrated, publish):
    """Rows from before records were counted, as the migration leaves them."""
    p = running()
    send(publish, range(20))
    wait_rows(migrated, 20)
    assert p.stop() == 0
    migrated.rows("UPDATE ingest_progress SET records = NULL, digest = NULL,"
                  " digest_from = NULL, log_records = NULL, log_digest = NULL")
    done = verify(p, migrated)
    assert done.returncode == 0 and "not counted yet" in done.stdout, done.stdout
    p.start()
    p.wait_event("broker_connected")
    send(publish, range(20, 25))
    wait_rows(migrated, 25)
    assert_balanced(p, migrated)
    assert migrated.rows("SELECT seq, records, log_records FROM ingest_progress") == [(25, 25, 25)]
