"""docs/backup.md: each way to back up and to restore, and what the log then adds."""

import os
import shutil
import signal
import subprocess

import pytest
import rig
from conftest import Database, client, make_database, run_cli, stored


def send(publish, numbers):
    for i in numbers:
        publish.call("cs001", "MeterValues", {"connectorId": 1, "meterValue": [
            {"timestamp": f"2026-01-31T10:{i // 60:02}:{i % 60:02}Z",
             "sampledValue": [{"value": str(i)}]}]}, id=str(i))


def check_rows(database, count):
    assert database.rows("SELECT count(*), count(DISTINCT event_time) FROM meter_values") \
        == [(count, count)]


def check_balanced(p):
    p.wait_metric("ocpp_persister_backlog_records", lambda v: v == 0)
    done = run_cli(p.settings, "verify")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def worker(persister, migrated, broker):
    """As `running`, but with the same settings for any database."""
    def make(database=migrated, **settings):
        return persister({"spool.segment_bytes": "4MiB", **database.writer_settings(),
                          **broker.settings(), **settings})

    return make


def tool(database, name, *arguments):
    done = subprocess.run([client(database.cluster, name), *arguments], text=True,
                          capture_output=True, env=database.cluster.env(database.name))
    assert done.returncode == 0, done.stderr


def dump_and_restore(database, tmp_path, between):
    """pg_dump, what happens after it, and pg_restore into a new database."""
    dump = str(tmp_path / "csms.dump")
    tool(database, "pg_dump", "-Fc", "-f", dump)
    between()
    restored = make_database(database.cluster)
    tool(restored, "pg_restore", "--exit-on-error", "-d", restored.name, dump)
    return restored


def test_dump_that_is_restored_is_fed_what_came_after_it(worker, migrated, publish, tmp_path):
    """Into a new database, beside the old one, which is what pg_restore is for."""
    p = worker().start()
    p.wait_event("broker_connected")
    send(publish, range(50))
    stored(migrated, 50)

    def between():
        send(publish, range(50, 120))
        stored(migrated, 120)
        assert p.stop() == 0

    restored = dump_and_restore(migrated, tmp_path, between)
    send(publish, range(120, 130))  # the broker keeps them
    check_rows(restored, 50)
    # Rights and partitions come with the dump.
    p.settings.update(restored.writer_settings())
    p.start()
    stored(restored, 130)
    check_rows(restored, 130)
    check_balanced(p)
    assert p.metric("ocpp_persister_gap_records_total") == 0
    p.stop()
    assert run_cli(restored.settings(), "migrate", "roles").stderr.startswith(
        "ocpp_writer and ocpp_reader have their rights")


def test_retired_table_of_a_dump_is_archived_after_the_restore(migrated, tmp_path):
    """It has another number in its name than its own; what it was is in its comment."""
    migrated.rows("SELECT ensure_partition('transactions', '2024-01-05Z')")
    migrated.rows("INSERT INTO transaction_keys (charge_station_id, transaction_id, "
                  "partition_time) VALUES ('cs', '1', '2024-01-05Z')")
    migrated.rows("INSERT INTO transactions (charge_station_id, transaction_id, partition_time, "
                  "flags, merge_state) VALUES ('cs', '1', '2024-01-05Z', 0, '')")
    retired = migrated.value("SELECT retire_partition('transactions', 'transactions_2024_01')")
    restored = dump_and_restore(migrated, tmp_path, lambda: None)
    states = "SELECT from_time, to_time, state FROM partition_list() WHERE name = %s"
    assert restored.rows(states, retired) == migrated.rows(states, retired)
    assert migrated.rows(states, retired)[0][2] == "retired"
    assert restored.value("SELECT prune_transaction_keys(100)") == 0
    done = run_cli(restored.writer_settings(), "partitions", "archive", "--older-than", "90d",
                   "--to", str(tmp_path))
    assert done.stdout.startswith(f"archived {retired} (1 rows, "), done
    assert restored.rows(states, retired) == []
    assert restored.value("SELECT prune_transaction_keys(100)") == 1


def test_log_that_is_gone_too_leaves_what_the_backup_has(worker, migrated, publish, tmp_path):
    """Database and log on one disk: what was stored after the backup is lost, and nobody can count
    it. What comes now is stored under another identity."""
    p = worker().start()
    p.wait_event("broker_connected")
    send(publish, range(20))
    stored(migrated, 20)

    def between():
        send(publish, range(20, 30))
        stored(migrated, 30)
        assert p.stop() == 0
        shutil.rmtree(p.settings["spool.dir"])

    restored = dump_and_restore(migrated, tmp_path, between)
    send(publish, range(30, 40))
    p.settings.update(restored.writer_settings())
    p.start().wait_event("broker_connected")
    stored(restored, 30)
    assert [int(i) for i, in restored.rows("SELECT extract(minute FROM event_time) * 60 + "
                                           "extract(second FROM event_time) FROM meter_values "
                                           "ORDER BY 1")] == [*range(20), *range(30, 40)]
    check_balanced(p)
    assert restored.value("SELECT count(*) FROM ingest_progress") == 2


def base_backup(workspace, cluster):
    """Backs up a cluster into the folder of another that is not started yet."""
    made = rig.Postgres(workspace, name="recovered")
    workspace.call(client(cluster, "pg_basebackup"), "-d", cluster.dsn(), "-D", made.data,
                   "-X", "none", "--checkpoint=fast", "--no-sync")
    return made


def recover(made, cluster, archive, target):
    """Start it, up to a named restore point."""
    made.password, made.passfile = cluster.password, os.path.join(made.workspace.path, "pgpass2")
    with open(made.passfile, "w", opener=lambda p, m: os.open(p, m, 0o600)) as f:
        f.write(f"127.0.0.1:{made.port}:*:postgres:{made.password}\n")
    with open(os.path.join(made.data, "postgresql.conf"), "a") as f:
        f.write(f"port = {made.port}\nunix_socket_directories = ''\narchive_mode = off\n"
                f"restore_command = 'cp {archive}/%f %p'\nrecovery_target_name = '{target}'\n"
                "recovery_target_action = 'promote'\n")
    made.workspace.call("touch", os.path.join(made.data, "recovery.signal"))
    made.start()
    rig.wait_until(lambda: made.psql("SELECT pg_is_in_recovery()").strip() == "f",
                   what="the end of recovery")


def test_point_in_time_is_fed_what_came_after_it(workspace, persister, broker, publish, tmp_path):
    """Base backup and archived WAL, to before somebody's DELETE."""
    archive = tmp_path / "wal"
    archive.mkdir()
    os.chmod(archive, 0o777)
    cluster = rig.Postgres(workspace, fast=True, name="archived", settings={
        "archive_mode": "on", "archive_command": f"'cp %p {archive}/%f'"}).start()
    database = make_database(cluster)
    assert run_cli(database.settings(), "migrate", "up").returncode == 0
    p = persister({"spool.segment_bytes": "4MiB", **database.writer_settings(),
                   **broker.settings()}).start()
    p.wait_event("broker_connected")
    send(publish, range(30))
    stored(database, 30)
    again = base_backup(workspace, cluster)
    send(publish, range(30, 70))
    stored(database, 70)
    cluster.psql("SELECT pg_create_restore_point('before')")
    database.rows("DELETE FROM meter_values")
    send(publish, range(70, 120))
    stored(database, 120)
    wanted = cluster.psql("SELECT pg_walfile_name(pg_switch_wal())").strip()
    rig.wait_until(lambda: (archive / wanted).exists(), what="the archived WAL")
    database.close()
    cluster.stop()

    recover(again, cluster, archive, "before")
    recovered = Database(again, database.name)
    check_rows(recovered, 70)
    send(publish, range(120, 130))
    p.stop()
    p.settings.update(recovered.writer_settings())
    p.start()
    stored(recovered, 130)
    check_rows(recovered, 130)
    check_balanced(p)
    p.stop()
    again.stop()


def test_rows_that_are_missing_come_back_under_a_new_identity(worker, migrated, publish):
    """As after pg_resetwal, if the position was in the data files, and rows before it were not."""
    p = worker().start()
    p.wait_event("broker_connected")
    send(publish, range(50))
    stored(migrated, 50)
    assert p.stop() == 0
    migrated.rows("DELETE FROM meter_values WHERE event_time >= '2026-01-31T10:00:20Z'")
    assert run_cli(p.settings, "spool", "new-identity").returncode == 0
    p.start()
    rig.wait_until(lambda: migrated.value("SELECT count(*) FROM meter_values") == 50,
                   what="the rows")
    check_balanced(p)
    check_rows(migrated, 50)


def die_with_a_backlog(p, database, publish):
    """Messages 20 to 49 are in its log only."""
    admin = database.cluster
    admin.psql(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false")
    admin.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
               f"WHERE datname = '{database.name}'")
    send(publish, range(20, 50))
    p.wait_metric("ocpp_persister_backlog_records", lambda v: v >= 30)
    p.kill9()
    admin.psql(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")


def test_log_of_a_dead_machine_goes_on_elsewhere(worker, migrated, broker, publish, tmp_path):
    """Its folder is moved as it is: with it go what is not stored, the identity and the session at
    the broker."""
    dead = worker().start()
    dead.wait_event("broker_connected")
    send(publish, range(20))
    stored(migrated, 20)
    die_with_a_backlog(dead, migrated, publish)
    send(publish, range(50, 60))  # the broker keeps them for its session

    folder = tmp_path / "moved"
    subprocess.run(["cp", "-a", dead.settings["spool.dir"], folder], check=True)
    shutil.rmtree(dead.settings["spool.dir"])
    assert run_cli({"spool.dir": folder}, "spool", "verify").returncode == 0
    heir = worker(**{"spool.dir": folder,
                     "mqtt.client_id": dead.settings["mqtt.client_id"]}).start()
    assert heir.wait_event("broker_connected")["session_present"] == "1"
    stored(migrated, 60)
    check_rows(migrated, 60)
    check_balanced(heir)
    assert migrated.value("SELECT count(*) FROM ingest_progress") == 1
    assert not heir.events("log_new_identity")


def test_log_of_a_dead_worker_is_stored_by_a_living_one(worker, migrated, publish, tmp_path):
    """`replay` of its folder beside a worker that runs: nothing twice."""
    dead = worker().start()
    dead.wait_event("broker_connected")
    send(publish, range(20))
    stored(migrated, 20)
    die_with_a_backlog(dead, migrated, publish)
    living = worker().start()
    living.wait_event("database_connected")
    done = run_cli({**living.settings, "spool.dir": living.settings["spool.dir"]}, "replay",
                   dead.settings["spool.dir"])
    assert done.returncode == 0, done
    check_rows(migrated, 50)


@pytest.fixture
def replicated(workspace, proxy):
    """A database, migrated; its streaming replica, which is asynchronous; and the door between."""
    primary = rig.Postgres(workspace, fast=True, name="primary").start()
    database = make_database(primary)
    assert run_cli(database.settings(), "migrate", "up").returncode == 0
    door = proxy(primary.port)
    replica = rig.Postgres(workspace, name="replica")
    replica.password = primary.password
    workspace.call(client(primary, "pg_basebackup"), "-R", "-D", replica.data,
                   "-d", primary.dsn(port=door.port), "--checkpoint=fast", "--no-sync")
    with open(os.path.join(replica.data, "postgresql.conf"), "a") as f:
        f.write(f"port = {replica.port}\nunix_socket_directories = ''\n")
    replica.start()
    yield database, replica, door
    replica.stop()
    primary.stop()


def test_replica_that_is_promoted_without_the_last_commits_is_fed_them(
        replicated, persister, broker, publish):
    """The worker names both hosts, and finds the new primary by itself."""
    database, replica, door = replicated
    primary = database.cluster
    promoted = Database(replica, database.name)
    p = persister({**broker.settings(), "spool.segment_bytes": "4MiB", "storage.url":
                   f"postgresql://postgres:{primary.password}@127.0.0.1:{primary.port},"
                   f"127.0.0.1:{replica.port}/{database.name}"}).start()
    p.wait_event("broker_connected")
    send(publish, range(50))
    stored(database, 50)
    rig.wait_until(lambda: promoted.value("SELECT count(*) FROM meter_values") == 50,
                   what="the replica has them")
    door.refuse()
    door.cut()
    send(publish, range(50, 80))
    stored(database, 80)
    primary.kill9()
    check_rows(promoted, 50)
    send(publish, range(80, 90))
    promoted.rows("SELECT pg_promote()")
    stored(promoted, 90)
    check_rows(promoted, 90)
    check_balanced(p)
    assert p.wait_event("database_went_back")
    assert p.metric("ocpp_persister_gap_records_total") == 0
    assert p.running


def reset_wal(cluster, *options):
    """What somebody does whose server no longer starts. Whatever is not in the data files is lost,
    including what the server had reported as being on its disk."""
    pg_resetwal = client(cluster, "pg_resetwal")
    cluster.process.send_signal(signal.SIGQUIT)  # pg_ctl stop -m immediate
    cluster.process.wait()
    cluster.stop()
    cluster.workspace.call("rm", "-f", os.path.join(cluster.data, "postmaster.pid"))
    cluster.workspace.call(pg_resetwal, "-f", *options, "-D", cluster.data)
    cluster.start()


@pytest.mark.parametrize("running", [True, False], ids=["running", "starting"])
@pytest.mark.parametrize("options", [(), ("-l", "000000050000002000000001")], ids=["", "elsewhere"])
def test_server_whose_wal_was_reset_is_fed_what_it_lost(workspace, persister, broker, publish,
                                                        running, options):
    """Its data files are as of its last checkpoint; its WAL begins in another place."""
    cluster = rig.Postgres(workspace, name=f"reset{len(workspace.members)}", settings={
        "checkpoint_timeout": "1d", "bgwriter_lru_maxpages": "0", "autovacuum": "off"}).start()
    database = make_database(cluster)
    assert run_cli(database.settings(), "migrate", "up").returncode == 0
    p = persister({"spool.segment_bytes": "4MiB", **database.writer_settings(),
                   **broker.settings()}).start()
    p.wait_event("broker_connected")
    send(publish, range(30))
    stored(database, 30)
    cluster.psql("CHECKPOINT")
    send(publish, range(30, 70))
    stored(database, 70)
    if not running:
        assert p.stop() == 0
    reset_wal(cluster, *options)
    if not running:
        check_rows(database, 30)
        p.start()
    send(publish, range(70, 80))
    stored(database, 80)
    check_rows(database, 80)
    check_balanced(p)
    assert bool(p.events("database_went_back")) == running
    assert p.metric("ocpp_persister_gap_records_total") == 0
    assert p.stop() == 0
    cluster.stop()
