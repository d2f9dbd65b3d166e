"""SIGHUP: new settings take effect in the running process, and nothing is lost or doubled."""

import itertools
import json
import os
import pathlib
import signal

import psycopg
import pytest
import rig
from conftest import Publisher, make_database, run_cli, stored
from test_crash import Fleet, drained, verify

_numbers = itertools.count()


class Reloadable:
    """A persister whose settings are in a file, which can be changed while it runs."""

    def __init__(self, persister, folder, settings, environment=None):
        self.path = pathlib.Path(folder, f"ocpp{next(_numbers)}.ini")
        self.settings = dict(settings)
        self.write()
        self.p = persister({}, environment={"OCPP_PERSISTER_CONFIG": str(self.path),
                                            **(environment or {})})
        self.reloads = 0

    def write(self, text=None):
        sections = {}
        for key, value in self.settings.items():
            section, name = key.rsplit(".", 1)
            sections.setdefault(section, []).append(f'{name} = "{value}"\n')
        if text is None:
            text = "".join(f"[{section}]\n{''.join(lines)}" for section, lines in sections.items())
        self.path.write_text(text)
        self.path.chmod(0o600)

    def start(self):
        self.p.start()
        self.connected()
        return self

    def connected(self, broker=1, database=1):
        """Waits until it has connected this many times to each."""
        self.p.wait_event("broker_connected", count=broker)
        self.p.wait_event("database_connected", count=database)

    def reload(self, settings=None, without=()):
        """Its answer to these settings: the event `reloaded`."""
        self.settings.update(settings or {})
        for key in without:
            del self.settings[key]
        self.write()
        return self.hangup()

    def hangup(self):
        os.kill(self.p.pid, signal.SIGHUP)
        self.reloads += 1
        return self.p.wait_event("reloaded", count=self.reloads)

    def refused(self):
        """The file is wrong: the report of each fault, in order."""
        before = len(self.p.events("reload_failed"))
        count = len(self.p.events("signal_ignored"))
        os.kill(self.p.pid, signal.SIGHUP)
        self.p.wait_event("reload_failed", count=before + 1)
        # Signals are handled in order: once this one is, all faults are there.
        os.kill(self.p.pid, signal.SIGUSR2)
        self.p.wait_event("signal_ignored", count=count + 1)
        assert len(self.p.events("reloaded")) == self.reloads
        return [line["msg"] for line in self.p.events("reload_failed")[before:]]


@pytest.fixture
def reloadable(persister, migrated, broker, tmp_path):
    """reloadable(settings): between the test's broker and database, and connected to both."""
    def start(settings=None, environment=None):
        return Reloadable(persister, tmp_path, {
            "spool.segment_bytes": "4MiB", **migrated.writer_settings(), **broker.settings(),
            **(settings or {})}, environment).start()

    return start


def rows_of(database, table="ocpp_events"):
    return database.value(f"SELECT count(*) FROM {table}")


# ---- limits and filters ----

def test_limits_and_filters_count_from_the_next_batch(reloadable, publish, migrated):
    r = reloadable()
    publish.call("cs1", "Heartbeat", {})
    publish.raw("other/cs1", json.dumps({"type": 2, "action": "Heartbeat", "id": "1",
                                         "request": {}}))
    stored(migrated, 1)
    assert rows_of(migrated) == 1
    said = r.reload({"events.skip": "Heartbeat", "batch.messages_max": 1,
                     "mqtt.message_bytes_max": "1KiB", "dead_letters.rows_max": 1000,
                     "spool.retain": "1h", "spool.bytes_max": "1GiB",
                     "retention.ocpp_events": "30d"})
    assert said["new_connections"] == "none"
    assert said["changed"] == (
        "batch.messages_max, dead_letters.rows_max, events.skip, mqtt.message_bytes_max, "
        "retention.ocpp_events, spool.bytes_max, spool.retain")
    publish.call("cs1", "Heartbeat", {}, id="2")
    publish.call("cs1", "DataTransfer", {"vendorId": "x" * 2000}, id="3")
    publish.call("cs1", "BootNotification", {"chargePointVendor": "v", "chargePointModel": "m"},
                 id="4")
    publish.call("cs1", "StatusNotification", {
        "connectorId": 1, "errorCode": "NoError", "status": "Available",
        "timestamp": "2011-01-01T00:00:00Z"}, id="5")
    stored(migrated, 5)
    assert migrated.rows("SELECT reason FROM dead_letters") == [("oversized",)]
    assert rows_of(migrated) == 2
    assert r.p.metric('ocpp_persister_messages_skipped_total{reason="action"}') == 1
    assert r.p.metric('ocpp_persister_messages_skipped_total{reason="expired"}') == 1
    # And back: nothing of it sticks.
    r.reload(without=["events.skip", "mqtt.message_bytes_max", "retention.ocpp_events"])
    publish.call("cs1", "Heartbeat", {}, id="6")
    publish.call("cs1", "DataTransfer", {"vendorId": "y" * 2000}, id="7")
    stored(migrated, 7)
    assert rows_of(migrated) == 4
    assert len(r.p.events("broker_connected")) == len(r.p.events("database_connected")) == 1
    assert r.p.stop() == 0


def test_what_the_log_keeps_of_a_token_can_go_at_once(reloadable, publish, migrated):
    """As docs/privacy.md says; and it is kept again afterwards."""
    r = reloadable({"spool.retain": "1h"})

    def files():
        settings = {**r.settings, "spool.dir": r.p.settings["spool.dir"]}
        done = run_cli(settings, "forget", "TOKENOFMINE", "--log", "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line)["file"] for line in done.stdout.splitlines()[1:]]

    publish.call("cs1", "Authorize", {"idTag": "TOKENOFMINE"}, id="1")
    stored(migrated, 1)
    assert len(files()) == 1
    os.kill(r.p.pid, signal.SIGUSR1)
    r.reload({"spool.retain": "0s"})  # when that is said, both signals were taken
    # Until there is a spare, messages go into the old segment.
    spare = pathlib.Path(r.p.settings["spool.dir"], "spare.tmp")
    rig.wait_until(spare.exists, what="the spare")
    publish.call("cs1", "Heartbeat", {}, id="2")
    stored(migrated, 2)
    rig.wait_until(lambda: not files(), what=lambda: rig.tail(r.p.log))
    r.reload({"spool.retain": "1h"})
    publish.call("cs1", "Authorize", {"idTag": "TOKENOFMINE"}, id="3")
    stored(migrated, 3)
    assert len(files()) == 1
    assert r.p.stop() == 0


def test_old_rows_go_once_the_settings_say_so(reloadable, publish, migrated):
    r = reloadable()
    publish.call("cs1", "StatusNotification", {
        "connectorId": 1, "errorCode": "NoError", "status": "Available",
        "timestamp": "2025-01-01T00:00:00Z"})
    stored(migrated, 1)
    old = ("SELECT count(*) FROM partition_list() WHERE parent = 'ocpp_events' AND "
           "to_time < now() - interval '90 days' AND state <> 'undated'")
    assert migrated.value(old) == 1
    r.reload({"retention.ocpp_events": "60d", "retention.drop": "true"})
    assert r.p.wait_event("partition_dropped")["table"] == "ocpp_events"
    assert migrated.value(old) == 0
    assert r.p.stop() == 0


def test_settings_wait_for_the_batch_that_is_being_stored(reloadable, publish, migrated):
    """That batch is made and stored with the old ones, the rest with the new ones; after several
    changes, with the last."""
    r = reloadable({"batch.latency_target": "0ms"})
    publish.call("cs1", "Heartbeat", {}, id="0")
    stored(migrated, 1)  # and what is done after a start
    with migrated.connect(autocommit=False) as other:
        other.execute("LOCK TABLE ocpp_events IN EXCLUSIVE MODE")
        publish.call("cs1", "Heartbeat", {})
        rig.wait_until(lambda: migrated.value(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND datname = current_database()"), what="the batch waits for the lock")
        for n in range(2, 10):
            publish.call("cs1", "Heartbeat", {}, id=str(n))
        r.reload({"events.skip": "BootNotification"})
        r.reload({"events.skip": "Heartbeat", "storage.commit": "sync"})
        assert len(r.p.events("database_connected")) == 1
    stored(migrated, 10)
    r.connected(database=2)
    assert migrated.rows("SELECT message_id FROM ocpp_events ORDER BY 1") == [("0",), ("1",)]
    assert r.p.metric('ocpp_persister_messages_skipped_total{reason="action"}') == 8
    assert r.p.stop() == 0


def test_patterns_give_topics_another_meaning(reloadable, publish, migrated):
    r = reloadable({"mqtt.topics": "#"})
    message = json.dumps({"type": 2, "action": "Heartbeat", "id": "1", "request": {}})
    publish.raw("depot/ocpp1.6/cs7", message)
    stored(migrated, 1)
    assert migrated.rows("SELECT reason FROM dead_letters") == [("unknown_topic",)]
    r.reload({"mqtt.topic_patterns": "depot/{version}/{station}"})
    publish.raw("depot/ocpp1.6/cs7", message)
    stored(migrated, 2)
    assert migrated.rows("SELECT charge_station_id FROM ocpp_events") == [("cs7",)]
    r.p.wait_metric("ocpp_persister_stations_heard", 1)
    assert r.p.stop() == 0


# ---- wrong settings, and those that need a restart ----

def test_wrong_settings_change_nothing_and_each_fault_is_named(reloadable, publish, migrated,
                                                               tmp_path):
    r = reloadable({"events.skip": "Heartbeat"})
    good = r.path.read_text()
    r.write("[log]\nlevel = debug\n[batch]\nmessages_max = many\n")
    assert r.refused() == [f"the previous settings stay in force: {r.path}:4: batch.messages_max "
                           'is "many", not a number']
    assert all("kind" not in event for event in r.p.events("reload_failed"))
    r.write("[log]\nlevel = debug\n[batch]\nlatency_target = zz\nmessages_max=0\n"
            "[nonsense]\nx = 1\n")
    said = r.refused()
    assert len(said) == 3, said
    for text, line, words in zip(said, (4, 5, 7), (
            'batch.latency_target is "zz"', 'batch.messages_max is "0"', '"nonsense.x"'),
                                 strict=True):
        assert f"{r.path}:{line}: " in text and words in text
    r.write("[mqtt]\ntls_ca = /no/such/ca\ntopic_patterns = \"{nothing}, +/{station}\"\n"
            "[log]\nlevel = debug\n[storage]\nurl = postgres://a:b:c:d\n")
    said = r.refused()
    assert len(said) == 3 and all(text.startswith("the previous settings") for text in said)
    assert "{nothing}" in said[0] and "mqtt.tls_ca: could not read" in said[1]
    assert "storage.url" in said[2] and "b:c" not in said[2]
    # Faults that would otherwise be found only when the connection is made, and end the process
    # then.
    r.write("[secrets]\nkeys = pin, no\n[storage]\nurl = postgres://" +
            ",".join(f"h{n}" for n in range(33)) + "/x\n")
    said = r.refused()
    assert len(said) == 2
    assert "more than 32 hosts" in said[0] and 'secrets.keys: "no"' in said[1]
    r.path.unlink()
    assert "could not open" in r.refused()[0]
    # A right one after all of that.
    publish.call("cs1", "Heartbeat", {})
    stored(migrated, 1)
    assert rows_of(migrated) == 0 and r.p.events("stored") == []
    r.path.write_text(good)
    assert r.hangup()["changed"] == "nothing"
    assert r.p.stop() == 0


def test_what_needs_a_restart_is_named_and_stays(reloadable, publish, migrated):
    r = reloadable({"events.skip": "Heartbeat"})
    for _ in range(2):  # also the second time: it still waits
        r.reload({"spool.sync": "none", "storage.postgres.schema": "other",
                  "events.skip": "BootNotification"})
    for line in (r.p.wait_event("not_reloaded", count=n) for n in (1, 2)):
        assert line["msg"].endswith("at the next start: spool.sync, storage.postgres.schema")
        assert line["reason"] == "restart_needed" and "kind" not in line
    publish.call("cs1", "Heartbeat", {})
    stored(migrated, 1)
    assert rows_of(migrated) == 1
    # They fit each other, but not what stays in force until then.
    r.settings.update({"spool.segment_bytes": "64MiB", "mqtt.message_bytes_max": "16MiB"})
    r.write()
    said = r.refused()
    assert len(said) == 1 and "a setting that only a restart changes" in said[0]
    assert "less than twice mqtt.message_bytes_max" in said[0]
    publish.call("cs1", "Heartbeat", {}, id="2")
    stored(migrated, 2)
    assert r.p.stop() == 0


def test_pipes_are_named_and_not_waited_for(reloadable, tmp_path):
    r = reloadable()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    good = r.path.read_text()
    for name, value in (("mqtt.password_file", pipe), ("mqtt.tls_ca", pipe),
                        ("storage.url", f"postgres://127.0.0.1/x?sslrootcert={pipe}")):
        r.settings[name] = value
        r.write()
        said = r.refused()
        assert len(said) == 1 and name in said[0] and "is not a regular file" in said[0], said
        del r.settings[name]
    r.path.unlink()
    os.mkfifo(r.path)
    said = r.refused()
    assert len(said) == 1 and "cannot be read a second time" in said[0], said
    r.path.unlink()
    r.path.write_text(good)
    assert r.hangup()["changed"] == "nothing"
    assert r.p.stop() == 0


def test_what_has_become_risky_is_said(reloadable):
    r = reloadable()
    assert r.p.events("risky", choice="tls_verify") == []
    r.reload({"mqtt.tls_verify": "false"})
    assert "mqtt.tls_verify is false" in r.p.wait_event("risky", choice="tls_verify")["msg"]
    assert r.p.stop() == 0


# ---- topics ----

def test_topics_are_subscribed_and_unsubscribed(reloadable, publish, migrated):
    r = reloadable({"mqtt.topics": "cs/in/+/+"})
    message = json.dumps({"type": 2, "action": "Heartbeat", "id": "1", "request": {}})
    said = r.reload({"mqtt.topics": "cs/out/+/+, cs/in/+/a"})
    assert said["changed"] == "mqtt.topics" and said["new_connections"] == "broker"
    r.connected(broker=2)
    assert r.p.events("broker_connected")[1]["session_present"] == "1"
    for topic in ("cs/in/ocpp1.6/b", "cs/out/ocpp1.6/a", "cs/in/ocpp1.6/a"):
        publish.raw(topic, message)
    stored(migrated, 2)
    r.reload({"mqtt.topics": "cs/in/+/+"})
    r.connected(broker=3)
    publish.raw("cs/out/ocpp1.6/c", message)
    publish.raw("cs/in/ocpp1.6/d", message)
    stored(migrated, 3)
    assert migrated.rows("SELECT direction, charge_station_id FROM ocpp_events ORDER BY 1, 2") == [
        ("in", "a"), ("in", "d"), ("out", "a")]
    # What is not wanted is not remembered by the broker for the next process either.
    assert r.p.stop() == 0
    r.p.start()
    r.connected()
    publish.raw("cs/out/ocpp1.6/e", message)
    publish.raw("cs/in/ocpp1.6/e", message)
    stored(migrated, 4)
    assert migrated.value("SELECT count(*) FROM ocpp_events WHERE charge_station_id = 'e'") == 1
    assert r.p.stop() == 0


# ---- credentials and certificates ----

@pytest.fixture(scope="module")
def tls(workspace):
    return rig.Certificates(workspace, "reload_tls")


@pytest.fixture(scope="module")
def safe_broker(workspace, tls):
    """One that wants a password, with and without TLS."""
    broker = rig.Broker(workspace, tls=tls, name="safe_broker", passwords={
        "old": "old secret", "new": "new secret", "fleet": "fleet"}).start()
    yield broker
    broker.stop()


@pytest.fixture(scope="module")
def safe_database(workspace, tls):
    """In a server that speaks TLS, with a role of our own."""
    certificate, key = tls.issue("localhost")
    os.chmod(key, 0o600)
    cluster = rig.Postgres(workspace, fast=True, name="safe_postgres", settings={
        "ssl": "on", "ssl_cert_file": f"'{certificate}'", "ssl_key_file": f"'{key}'"}).start()
    database = make_database(cluster)
    assert run_cli(database.settings(), "migrate", "up").returncode == 0
    yield database
    cluster.stop()


@pytest.fixture(scope="module")
def other_authority(workspace):
    return pathlib.Path(rig.Certificates(workspace, "reload_other").ca).read_bytes()


class Vault:
    """Files with secrets and authorities, which can be exchanged."""

    def __init__(self, folder, tls):
        self.folder, self.ca = folder, pathlib.Path(tls.ca).read_bytes()
        self.put("storage.postgres.password", "secret\n")
        self.put("mqtt.password", "old secret\n")
        self.put("mqtt.ca", self.ca)
        self.put("postgres.ca", self.ca)

    def put(self, name, content):
        """As systemd and editors do it: another file in its place."""
        path = self.folder / name
        path.with_suffix(".tmp").write_bytes(
            content if isinstance(content, bytes) else content.encode())
        path.with_suffix(".tmp").chmod(0o600)
        path.with_suffix(".tmp").rename(path)
        return path

    def settings(self, broker, database):
        return {**database.settings(), "storage.postgres.host": "localhost",
                "storage.postgres.user": "persister",
                "storage.postgres.ssl_mode": "verify-full",
                "storage.postgres.ssl_root_cert": self.folder / "postgres.ca",
                "mqtt.url": broker.tls_url, "mqtt.user": "old",
                "mqtt.tls_ca": self.folder / "mqtt.ca", "spool.segment_bytes": "4MiB"}


@pytest.fixture
def safe(persister, safe_broker, safe_database, tls, tmp_path):
    """(a Reloadable with passwords in $CREDENTIALS_DIRECTORY and TLS to both, its Vault)."""
    safe_database.writer_settings()
    with psycopg.connect(safe_database.dsn(), autocommit=True) as admin:
        admin.execute("ALTER ROLE persister PASSWORD 'secret'")
    vault = Vault(tmp_path, tls)
    settings = vault.settings(safe_broker, safe_database)
    del settings["storage.postgres.password"]
    return Reloadable(persister, tmp_path, settings,
                      {"CREDENTIALS_DIRECTORY": str(tmp_path)}).start(), vault


def test_every_kind_under_load_loses_and_doubles_nothing(safe, safe_broker, safe_database,
                                                         tmp_path, monkeypatch):
    r, vault = safe
    monkeypatch.setenv("OCPP_STATIONS_PASSWORD", "fleet")
    fleet = Fleet(tmp_path, safe_broker, "--user", "fleet", "--seed", 17, "--rate", 1500,
                  "--messages", 15000, "--duplicates", 3, "--reorder", 20)
    fleet.wait_published(1000)
    steps = [
        ("none", {"batch.messages_max": 50, "spool.bytes_max": "64MiB", "dedupe.window": "20min"}),
        ("broker", {"mqtt.topics": "cs/#"}),
        ("database", {"storage.commit": "sync"}),
        ("broker", {"mqtt.user": "new", "mqtt.receive_maximum": 500}),
        ("none", {"batch.latency_target": "100ms", "pairing.window": "5min"}),
        ("broker,database", {"mqtt.keep_alive": "60s", "storage.postgres.timeout": "50s"}),
        ("broker", {"mqtt.topics": "cs/in/+/+, cs/out/+/+", "batch.messages_max": 5000}),
    ]
    connections = {"broker": 1, "database": 1}
    for n, (wanted, settings) in enumerate(steps):
        if "mqtt.user" in settings:
            vault.put("mqtt.password", "new secret\n")
        assert r.reload(settings)["new_connections"] == wanted
        for name in set(connections) & set(wanted.split(",")):
            connections[name] += 1
        r.connected(**connections)
        fleet.wait_published(1000 + (n + 1) * 1200)
    for name, content, wanted in (
            ("mqtt.ca", vault.ca + b"\n", "broker"), ("postgres.ca", vault.ca + b"\n", "database")):
        vault.put(name, content)
        assert r.hangup()["new_connections"] == wanted
        connections[wanted] += 1
        r.connected(**connections)
    summary = fleet.finish()
    assert summary["acknowledged"] == summary["published"]
    drained(r.p)
    assert "lost 0, doubled 0, altered 0" in verify(safe_database, fleet.ledger)
    assert all(line["session_present"] == "1" for line in r.p.events("broker_connected")[1:])
    lost = r.p.events("broker_lost") + r.p.events("database_lost")
    assert [line["msg"] for line in lost] == [], rig.tail(r.p.log)
    assert not r.p.events("broker_lost_session") and not r.p.events("reload_failed")
    assert r.p.stop() == 0


def test_passwords_are_rotated(safe, safe_database):
    """The database's password changes first there, then here: connections that exist stay, and the
    next ones use the new password."""
    r, vault = safe
    with psycopg.connect(safe_database.dsn(), autocommit=True) as admin:
        admin.execute("ALTER ROLE persister PASSWORD 'another'")
        vault.put("storage.postgres.password", "another\n")
        said = r.hangup()
        assert said["changed"] == "storage.postgres.password"
        assert said["new_connections"] == "database"
        r.connected(database=2)
        # A wrong one: it waits, and goes on immediately when the right one is there.
        vault.put("storage.postgres.password", "wrong\n")
        r.hangup()
        assert "password authentication failed" in r.p.wait_event("database_lost")["msg"]
        vault.put("storage.postgres.password", "another\n")
        r.hangup()
        r.connected(database=3)
        admin.execute("ALTER ROLE persister PASSWORD 'secret'")
    vault.put("mqtt.password", "wrong\n")
    r.hangup()
    assert "not authori" in r.p.wait_event("broker_lost")["msg"].lower()
    vault.put("mqtt.password", "new secret\n")
    r.reload({"mqtt.user": "new"})
    r.connected(broker=2, database=3)
    with open(r.p.log) as f:
        said = f.read()
    assert not any(secret in said for secret in ("another", "new secret", "old secret"))
    assert r.p.stop() == 0


def test_authorities_are_exchanged(safe, other_authority):
    """Their content counts: another one refuses the server, and the right one heals it."""
    r, vault = safe
    vault.put("mqtt.ca", other_authority)
    assert r.hangup()["changed"] == "mqtt.tls_ca"
    assert "certificate verify failed" in r.p.wait_event("broker_lost")["msg"]
    vault.put("mqtt.ca", other_authority + vault.ca)
    r.hangup()
    r.connected(broker=2)
    vault.put("postgres.ca", other_authority)
    assert r.hangup()["changed"] == "storage.postgres.ssl_root_cert"
    assert "certificate verify failed" in r.p.wait_event("database_lost")["msg"]
    vault.put("postgres.ca", vault.ca)
    r.hangup()
    r.connected(broker=2, database=2)
    # Nothing new: nothing is done.
    said = r.hangup()
    assert said["changed"] == "nothing" and said["new_connections"] == "none"
    assert r.p.stop() == 0


def test_files_that_libpq_finds_by_itself_count_too(persister, safe_broker, safe_database, tls,
                                                    tmp_path, other_authority):
    vault = Vault(tmp_path, tls)
    settings = vault.settings(safe_broker, safe_database)
    for name in [key for key in settings if key.startswith("storage.")]:
        del settings[name]
    passfile = vault.put("pgpass", f"*:*:*:postgres:{safe_database.cluster.password}\n")
    settings.update({"storage.url": "postgres://postgres@localhost:"
                     f"{safe_database.cluster.port}/{safe_database.name}?sslmode=verify-full"
                     f"&sslrootcert={tmp_path}/postgres.ca",
                     "mqtt.url": safe_broker.url, "mqtt.password": "old secret"})
    r = Reloadable(persister, tmp_path, settings, {"PGPASSFILE": str(passfile)}).start()
    vault.put("pgpass", f"# new\n*:*:*:postgres:{safe_database.cluster.password}\n")
    said = r.hangup()
    assert said["changed"] == "files that libpq reads" and said["new_connections"] == "database"
    r.connected(database=2)
    vault.put("postgres.ca", other_authority + vault.ca)
    assert r.hangup()["new_connections"] == "database"
    r.connected(database=3)
    assert r.p.stop() == 0


# ---- at odd moments ----

def test_reload_while_neither_is_there(persister, migrated, broker, tmp_path):
    """Settings that cannot work are corrected: the next try comes immediately, with right ones."""
    r = Reloadable(persister, tmp_path, {
        "spool.segment_bytes": "4MiB", **migrated.writer_settings(),
        "storage.postgres.port": rig.free_port(),
        "mqtt.url": f"mqtt://127.0.0.1:{rig.free_port()}"})
    r.p.start()
    r.p.wait_event("broker_lost")
    r.p.wait_event("database_lost")
    r.reload({**migrated.writer_settings(), **broker.settings()})
    r.connected()
    assert r.p.stop() == 0


def test_signals_in_a_row_end_in_the_last_settings(reloadable, publish, migrated, broker):
    r = reloadable()
    for n in range(12):
        r.settings.update({"mqtt.keep_alive": f"{30 + n}s", "storage.commit":
                           "sync" if n % 2 else "async", "events.skip": f"Nothing{n}"})
        r.reload()
    publisher = Publisher(broker.port)
    publisher.call("cs1", "Heartbeat", {})
    publisher.close()
    stored(migrated, 1)
    assert rows_of(migrated) == 1
    assert r.p.stop() == 0


def test_log_that_is_full_delays_the_broker_and_nothing_else(reloadable, publish, migrated, proxy):
    """Its connection ends only when the message that waits for room is kept; it is, once there is
    room by the new limit."""
    between = proxy(migrated.cluster.port)
    r = reloadable({"storage.postgres.port": between.port, "spool.bytes_max": "64MiB",
                    "spool.segment_bytes": "32MiB", "mqtt.message_bytes_max": "8MiB"})
    between.refuse()
    between.cut()
    r.p.wait_event("database_lost")
    count = 0
    while r.p.metric("ocpp_persister_intake_waiting") == 0:
        publish.raw(f"cs/in/ocpp1.6/cs{count}", os.urandom(4 << 20), qos=0)
        count += 1
        assert count < 60
    r.reload({"mqtt.keep_alive": "61s"})
    assert len(r.p.events("broker_connected")) == 1
    r.reload({"spool.bytes_max": "1GiB"})
    r.connected(broker=2)
    between.accept()
    r.connected(broker=2, database=2)
    drained(r.p)
    assert r.p.stop() == 0
