"""What has to be looked after in years of running."""

import subprocess

import rig
from conftest import run_cli, stored


def test_calls_nothing_is_paired_with_any_more_are_removed(running, migrated, publish):
    p = running()
    publish.call("cs001", "Authorize", {"idTag": "OLD"}, id="old")
    publish.call("cs001", "Authorize", {"idTag": "NEW"}, id="new")
    stored(migrated, 2)
    p.stop()
    migrated.rows("UPDATE exchange_halves SET stored_at = now() - interval '7 days 1 minute'"
                     " WHERE message_id = 'old'")
    running({"spool.dir": p.settings["spool.dir"]})
    rig.wait_until(lambda: migrated.rows("SELECT message_id FROM exchange_halves") == [("new",)],
                   30, "the old half is removed, the new one stays")
    # The authorization itself stays.
    assert migrated.rows("SELECT id_token FROM authorizations ORDER BY 1") == [("NEW",), ("OLD",)]


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
