"""Maintenance over years of running."""

import subprocess

import rig
from conftest import run_cli, stored


def test_calls_nothing_is_paired_with_any_more_are_removed(running, migrated, publish):
    p = running()
    publish.call("cs001", "Authorize", {"idTag": "OLD"}, id="old")
    publish.call("cs001", "Authorize", {"idTag": "NEW"}, id="new")
    stored(migrated, 2)
    p.stop()
    # Twice pairing.keep: a later half has to see what else lies within reach of the earlier one.
    migrated.rows("UPDATE exchange_halves SET stored_at = now() - CASE message_id"
                  " WHEN 'old' THEN interval '14 days 1 minute' ELSE interval '13 days' END")
    running({"spool.dir": p.settings["spool.dir"]})
    rig.wait_until(lambda: migrated.rows("SELECT message_id FROM exchange_halves") == [("new",)],
                   30, "the old half is removed, the new one stays")
    # The authorization itself stays.
    assert migrated.rows("SELECT id_token FROM authorizations ORDER BY 1") == [("NEW",), ("OLD",)]


def meter_values(publish, *times, station="cs001"):
    for at in times:
        publish.call(station, "MeterValues", {"connectorId": 1, "meterValue": [
            {"timestamp": at, "sampledValue": [{"value": "7"}]}]}, id=at)


def test_rows_of_a_detached_partition_wait_as_dead_letters(running, migrated, publish):
    p = running()
    days = ["2026-01-30T10:00:00Z", "2026-01-31T10:00:00Z"]
    meter_values(publish, *days)
    stored(migrated, 2)
    migrated.rows("ALTER TABLE meter_values DETACH PARTITION meter_values_2026_01_31")
    # It knew the partition, and goes on beside the rows that have no place.
    meter_values(publish, "2026-01-31T11:00:00Z", "2026-01-30T11:00:00Z", "2026-01-31T12:00:00Z")
    stored(migrated, 5)
    assert migrated.value("SELECT count(*) FROM meter_values") == 2
    assert migrated.value("SELECT count(*) FROM meter_values_2026_01_31") == 1
    letters = migrated.rows("SELECT reason, detail, count FROM dead_letters")
    assert [(reason, count) for reason, _, count in letters] == [("partition_detached", 1)] * 2
    assert all('"meter_values_2026_01_31" is where it belongs' in detail
               for _, detail, _ in letters)
    p.stop()

    # A process that starts later finds it detached.
    p = running({"spool.dir": p.settings["spool.dir"]})
    meter_values(publish, "2026-01-31T13:00:00Z", "2026-01-30T13:00:00Z")
    stored(migrated, 7)
    assert migrated.value("SELECT count(*) FROM dead_letters") == 3
    assert migrated.value("SELECT count(*) FROM meter_values_2026_01_31") == 1
    assert p.events("batch_failed") == []
    p.stop()

    migrated.rows("ALTER TABLE meter_values ATTACH PARTITION meter_values_2026_01_31"
                  " FOR VALUES FROM ('2026-01-31 00:00Z') TO ('2026-02-01 00:00Z')")
    done = run_cli(p.settings, "dead-letters", "requeue", "--all")
    assert done.returncode == 0, done.stderr
    assert migrated.value("SELECT count(*) FROM meter_values_2026_01_31") == 4
    assert migrated.value("SELECT count(*) FROM dead_letters") == 0


def test_detached_partition_of_today_is_attached_by_a_person(running, migrated):
    name = migrated.value("""SELECT format('meter_values_%s', to_char(now(), 'YYYY_MM_DD'))
        FROM ensure_partition('meter_values', now())""")
    migrated.rows(f"ALTER TABLE meter_values DETACH PARTITION {name}")
    failed = running().wait_event("maintenance_failed")
    assert (failed["reason"], failed["heals"]) == ("partition_detached", "by_a_person")
    assert failed["hint"].startswith("attach it again")
    assert failed["msg"] == (f'table "{name}" is where it belongs, but is no partition of '
                             '"meter_values"')


def test_detached_partition_keeps_no_other_from_being_made_ahead(running, migrated):
    """Neither of its table nor of others; each that fails is named once."""
    def make(table, days=0):
        return migrated.value(f"""SELECT p.name FROM (SELECT now() + interval '{days} days') t (at),
            partition_of('{table}', t.at) p, ensure_partition('{table}', t.at)""")

    tables = [name for name, in migrated.rows("SELECT table_name FROM partitioned_tables")]
    detached = {"meter_values": make("meter_values", 1), "transactions": make("transactions")}
    for table, name in detached.items():
        migrated.rows(f"ALTER TABLE {table} DETACH PARTITION {name}")
    p = running()
    rig.wait_until(lambda: migrated.rows("""
        SELECT DISTINCT p.name FROM partitioned_tables t, generate_series(0, 3) d,
            partition_of(t.table_name, now() + d * interval '1 day') p
        WHERE NOT partition_exists(t.table_name, p.name) ORDER BY 1""")
        == [(name,) for name in sorted(detached.values())], 30, "all others are made")
    assert len(tables) > len(detached)
    p.wait_event("maintenance_failed", count=2)
    done = run_cli(p.settings, "partitions", "ensure")
    p.stop()
    said = [(e["msg"], e["reason"], e["heals"]) for e in p.events("maintenance_failed")]
    once = [(f'table "{name}" is where it belongs, but is no partition of "{table}"',
             "partition_detached", "by_a_person") for table, name in detached.items()]
    # In each round, and there may have been a second one.
    assert said == (once * len(said))[:len(said)]
    assert done.returncode != 0
    assert all(done.stderr.count(f'"{name}"') == 1 for name in detached.values()), done.stderr


def test_only_partitions_that_are_missing_are_asked_for(running, migrated):
    """To look is one query; to make one is a transaction."""
    assert run_cli(migrated.settings(), "partitions", "ensure", "--days", "40").returncode == 0
    name = migrated.value(
        "SELECT name FROM partition_of('meter_values', now() + interval '9 days')")
    migrated.rows(f"DROP TABLE {name}")
    migrated.rows(f"ALTER DATABASE {migrated.name} SET track_functions = 'all'")
    p = running({"partitions.ahead_days": "40"})
    rig.wait_until(lambda: migrated.value(f"SELECT to_regclass('{name}') IS NOT NULL"),
                   what="the missing one is made")
    p.stop()
    # The server counts what a session has called when it ends, at the latest.
    rig.wait_until(lambda: migrated.value("""
        SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND backend_type = 'client backend' AND pid <> pg_backend_pid()""") == 0,
        what="its sessions are over")
    assert migrated.value("SELECT sum(calls) FROM pg_stat_user_functions "
                          "WHERE funcname = 'ensure_partition'") == 1


def test_detached_month_of_transactions_stops_nothing(running, migrated, publish):
    p = running()
    start = {"connectorId": 1, "idTag": "A", "meterStart": 1}
    publish.call("cs001", "StartTransaction", {**start, "timestamp": "2026-01-31T10:00:00Z"})
    stored(migrated, 1)
    migrated.rows("ALTER TABLE transactions DETACH PARTITION transactions_2026_01")
    publish.call("cs002", "StartTransaction", {**start, "timestamp": "2026-01-31T11:00:00Z"},
                 id="2")
    meter_values(publish, "2026-01-31T11:00:00Z")
    stored(migrated, 3)
    assert migrated.rows("SELECT reason, charge_station_id FROM dead_letters") \
        == [("partition_detached", "cs002")]
    assert migrated.value("SELECT count(*) FROM meter_values") == 1
    assert p.running


def test_keys_go_with_their_month_of_transactions(running, migrated, publish):
    def event(kind, at, number, transaction="T1", station="cs201"):
        publish.call(station, "TransactionEvent", {
            "eventType": kind, "timestamp": at, "triggerReason": "Authorized", "seqNo": number,
            "transactionInfo": {"transactionId": transaction}, "evse": {"id": 1}},
            id=f"{transaction}{number}", version="2.0.1")

    p = running()
    event("Started", "2026-01-31T23:00:00Z", 0)
    event("Started", "2026-02-01T01:00:00Z", 0, "T2")
    event("Started", "2026-01-15T01:00:00Z", 0, "T3")
    stored(migrated, 3)
    migrated.rows("DROP TABLE transactions_2026_01")
    # The end of what is gone is kept as what it is: an end without its start.
    event("Ended", "2026-02-01T02:00:00Z", 1)
    stored(migrated, 4)
    assert migrated.rows("SELECT transaction_id, started_at IS NULL, stopped_at IS NULL"
                         " FROM transactions ORDER BY 1") == [("T1", True, False),
                                                              ("T2", False, True)]
    p.stop()
    running({"spool.dir": p.settings["spool.dir"]})
    rig.wait_until(lambda: migrated.rows("SELECT transaction_id FROM transaction_keys ORDER BY 1")
                   == [("T1",), ("T2",)], 30, "the key of the dropped month is removed")


def test_flags_of_values_go_with_the_last_month_they_could_belong_to(running, migrated, publish):
    """A week after they came: their transaction may come, too."""
    p = running()
    for number, month in enumerate(("01", "02")):
        publish.call("cs001", "MeterValues", {"connectorId": 1, "transactionId": number,
                     "meterValue": [{"timestamp": f"2026-{month}-03T10:00:00",
                                     "sampledValue": [{"value": "1"}]}]}, id=month)
        publish.call("cs001", "StartTransaction", {
            "connectorId": 1, "idTag": "A", "meterStart": 1,
            "timestamp": f"2026-{month}-03T09:00:00Z"}, id=f"s{month}")
    stored(migrated, 4)
    ids = "SELECT transaction_id FROM transaction_flags ORDER BY 1"
    migrated.rows("DROP TABLE transactions_2026_01, transactions_undated")
    migrated.rows("SELECT prune_transaction_keys(100)")
    assert migrated.rows(ids) == [("0",), ("1",)]
    migrated.rows("UPDATE transaction_flags SET stored_at = now() - interval '8 days'")
    p.stop()
    running({"spool.dir": p.settings["spool.dir"]})
    rig.wait_until(lambda: migrated.rows(ids) == [("1",)], 30, "those of January are removed")


def test_copy_of_a_log_is_refused_and_can_be_made_one_of_its_own(
        running, persister, migrated, broker, publish, tmp_path):
    first = running()
    for i in range(5):
        publish.call("cs001", "Heartbeat", {}, id=str(i))
    stored(migrated, 5)
    first.stop()
    copy = str(tmp_path / "copy")
    subprocess.run(["cp", "-a", first.settings["spool.dir"], copy], check=True)
    first.start()
    for i in range(5, 8):
        publish.call("cs001", "Heartbeat", {}, id=str(i))
    stored(migrated, 8)
    first.stop()

    # The database has more of this log than the copy.
    second = persister({**first.settings, "spool.dir": copy, "mqtt.client_id": "copy"}).start()
    assert second.wait_exit() == 6
    assert any("spool new-identity" in line.get("hint", "") for line in second.lines())
    done = run_cli(second.settings, "spool", "new-identity")
    assert done.returncode == 0, done.stderr
    second.start()
    second.wait_metric('ocpp_persister_messages_total{outcome="duplicate"}', 5)
    assert migrated.value("SELECT count(*) FROM ocpp_events WHERE action = 'Heartbeat'") == 8
    assert done.stdout.strip() in {
        str(spool) for spool, in migrated.rows("SELECT spool FROM ingest_progress")}
