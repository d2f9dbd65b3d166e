"""What is reported about the broker is true at every moment; a worker is taken out of its group."""

import contextlib
import itertools
import os
import signal
import socket
import threading

import paho.mqtt.client as mqtt
import pytest
import rig
from conftest import run_cli, stored

RECEIVED = 'ocpp_persister_mqtt_messages_received_total{qos="1"}'
TOPIC = "cs/in/ocpp1.6/cs001"


def heartbeat(number):
    return '{"type":2,"action":"Heartbeat","id":"%d","request":{}}' % number


def publish_many(publish, numbers):
    """All of them, without waiting for each."""
    for made in [publish.client.publish(TOPIC, heartbeat(i), 1) for i in numbers]:
        made.wait_for_publish(120)


def settled(database, count, patience=60):
    """Waits until so many are stored; gives up only when nothing has been for long."""
    while True:
        before = len(ids(database))
        if before >= count:
            return
        rig.wait_until(lambda: len(ids(database)) > before, patience, lambda: "missing: " + str(
            sorted(set(range(count)) - set(ids(database)))[:20]))


def ids(database):
    return sorted(int(row[0]) for row in database.rows("SELECT message_id FROM ocpp_events"))


# No name server needs to be asked about a name that is too long.
NOBODY = f"{'x' * 64}.invalid"


def has_session(broker, client_id):
    """Whether the broker keeps a session of that client id. From then on it does."""
    seen, done = [], threading.Event()

    def on_connect(client, userdata, flags, *rest):
        seen.append(flags["session present"])
        done.set()

    client = mqtt.Client(client_id, clean_session=False)
    client.on_connect = on_connect
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    assert done.wait(rig.HANGS_S)
    client.disconnect()
    client.loop_stop()
    return bool(seen[0])


@pytest.mark.parametrize("settings", [{}, {"mqtt.version": "3.1.1"}])
def test_broker_that_hands_over_a_queue_is_up(running, migrated, broker, publish, settings):
    """It answers our subscription after what it has queued: that may take half a minute."""
    p = running(settings)
    p.stop()
    publish_many(publish, range(2500))
    p.start()
    p.wait_event("database_connected")
    while not p.events("broker_connected"):
        metrics = p.metrics()
        if metrics.get(RECEIVED, 0) > 0:
            assert metrics["ocpp_persister_broker_up"] == 1
            assert p.http("/readyz") == (200, "ready\n")
    # With MQTT 3.1.1 the broker has more messages in flight to us, and answers earlier.
    assert settings or p.events("broker_hands_over")
    settled(migrated, 2500)
    assert ids(migrated) == list(range(2500))


def test_broker_that_does_not_answer_is_not_called_up(persister, migrated, broker, proxy):
    door = proxy(broker.port)
    p = persister({**migrated.settings(), **broker.settings(door.port)}).start()
    p.wait_event("broker_connected")
    p.wait_event("database_connected")
    assert p.http("/readyz") == (200, "ready\n")
    broker.process.send_signal(signal.SIGSTOP)  # it accepts and says nothing
    try:
        door.cut()
        p.wait_metric("ocpp_persister_broker_up", lambda v: v == 0)
        assert p.http("/readyz") == (503, "no broker\n")
    finally:
        broker.process.send_signal(signal.SIGCONT)
    p.wait_metric("ocpp_persister_broker_up", 1, 60)


@pytest.fixture
def workers(persister, migrated, broker):
    """Two in one group, subscribed."""
    both = [persister({**migrated.settings(), **broker.settings(), "mqtt.group": "g"})
            for _ in range(2)]
    for p in both:
        p.start()
    for p in both:
        p.wait_event("broker_connected")
    return both


def drain(p, **kwargs):
    options = {**p.settings, **kwargs}
    return run_cli(options, "run", "--drain")


@pytest.mark.parametrize("way", ["stopped", "killed"])
def test_worker_taken_out_of_its_group_leaves_nothing_behind(
        workers, migrated, broker, publish, way):
    leaves, stays = workers
    publish_many(publish, range(100))
    stored(migrated, 100)
    leaves.stop() if way == "stopped" else leaves.kill9()
    publish_many(publish, range(100, 1600))
    # Its share waits at the broker, and would stay there forever if the worker were just thrown
    # away.
    assert len(ids(migrated)) < 1600
    done = drain(leaves)
    assert done.returncode == 0, done.stderr
    assert "event=drained" in done.stderr and "event=drain_taken" in done.stderr
    settled(migrated, 1600)
    assert ids(migrated) == list(range(1600))
    publish_many(publish, range(1600, 1900))
    settled(migrated, 1900)
    assert ids(migrated) == list(range(1900))
    # The second time there is nothing to do, and it says so.
    done = drain(leaves)
    assert done.returncode == 0 and "event=drain_no_session" in done.stderr
    assert not has_session(broker, leaves.settings["mqtt.client_id"])


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_worker_is_taken_out_while_messages_come(workers, migrated, broker, publish, version):
    leaves, stays = workers
    leaves.stop()
    numbers, stop = itertools.count(), threading.Event()

    def load():
        while not stop.wait(0.005):
            publish.client.publish(TOPIC, heartbeat(next(numbers)), 1).wait_for_publish(30)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        stored(migrated, 200, 60)
        done = drain(leaves, **{"mqtt.version": version})
        seen = migrated.value("SELECT count(*) FROM ocpp_events")
        stored(migrated, seen + 200, 60)  # the other one goes on
    finally:
        stop.set()
        thread.join()
    assert done.returncode == 0, done.stderr
    sent = next(numbers)
    settled(migrated, sent)
    assert ids(migrated) == list(range(sent))
    assert not has_session(broker, leaves.settings["mqtt.client_id"])


def test_drain_waits_for_the_database_and_says_so(workspace, persister, migrated, broker, publish):
    p = persister({**migrated.settings(), **broker.settings()}).start()
    p.wait_event("broker_connected")
    p.stop()
    # How each row is committed.
    migrated.rows("""CREATE TABLE commits (how text);
        CREATE FUNCTION note_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = ocpp AS $$ BEGIN
            INSERT INTO commits VALUES (current_setting('synchronous_commit'));
            RETURN NULL;
        END $$;
        CREATE TRIGGER note AFTER UPDATE ON ingest_progress EXECUTE FUNCTION note_commit()""")
    publish_many(publish, range(50))
    other = persister({**p.settings, "storage.postgres.port": rig.free_port()},
                      arguments=("run", "--drain"))
    other.start()
    assert "not_stored" in other.wait_event("draining", 60, msg="waiting until the database has "
                                            "all of it")
    other.process.send_signal(signal.SIGTERM)
    assert other.wait_exit() == 1  # what it took is in its log, and it is not over
    assert "drain" in open(other.log).read()
    done = drain(p)
    assert done.returncode == 0, done.stderr
    assert ids(migrated) == list(range(50))
    # When it ends, its log may be deleted.
    assert migrated.rows("SELECT DISTINCT how FROM commits") == [("on",)]


def test_what_is_tried_again_says_what_ends_it(persister, migrated, broker, workspace):
    """A server that is away comes back alone; a wrong password does not."""
    away = {**broker.settings(), **migrated.settings()}
    for settings, event, heals in [
            ({"storage.postgres.port": rig.free_port()}, "database_lost", "by_itself"),
            ({"storage.postgres.password": "wrong"}, "database_lost", "by_a_person"),
            ({"storage.postgres.database": "none"}, "database_lost", "by_a_person"),
            ({"storage.postgres.ssl_mode": "require"}, "database_lost", "by_a_person"),
            ({"storage.postgres.host": NOBODY}, "database_lost", "by_a_person"),
            ({"mqtt.url": f"mqtt://127.0.0.1:{rig.free_port()}"}, "broker_lost", "by_itself"),
            ({"mqtt.url": f"mqtt://{NOBODY}"}, "broker_lost", "by_a_person")]:
        p = persister({**away, **settings}).start()
        said = p.wait_event(event)
        assert said["heals"] == heals, said
        assert heals == "by_itself" or said["hint"]
        assert event == "database_lost" or "see mqtt.url" in said["hint"]
        retry = p.wait_event("will_retry", heals=heals)
        assert retry["waits_for"] == event.split("_")[0]
        assert retry["msg"].startswith("nothing to do" if heals == "by_itself"
                                       else "somebody has to act")
        p.stop()
    locked = rig.Broker(workspace, passwords={"us": "secret"}, name="locked").start()
    p = persister({**away, **locked.settings(), "mqtt.user": "us", "mqtt.password": "no"}).start()
    said = p.wait_event("broker_lost")
    assert said["heals"] == "by_a_person" and "mqtt.password" in said["hint"]
    p.stop()
    locked.stop()


class Closing:
    """A listener that closes each connection at once, as a proxy without a server, and counts."""

    def __init__(self, port=0):
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port, self.count = self._listener.getsockname()[1], 0
        self._thread = threading.Thread(target=self._close_all)

    def _close_all(self):
        with contextlib.suppress(OSError):
            while True:
                self._listener.accept()[0].close()
                self.count += 1

    def wait(self, more):
        """Until there were so many more connections."""
        wanted = self.count + more
        rig.wait_until(lambda: self.count >= wanted, what=lambda: f"{self.count} of {wanted}")

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


def test_one_of_several_hosts_that_may_come_back_needs_nobody(persister, migrated, broker):
    """A person is asked for only if each host was tried and none can come back alone."""
    def start(*hosts):
        return persister({**broker.settings(), **migrated.settings(),
                          "mqtt.url": ", ".join(f"mqtt://{host}" for host in hosts)}).start()

    def needs_nobody(p, listener):
        assert p.wait_event("broker_lost")["heals"] == "by_itself", p.settings
        # Nor later: what is wrong is not logged again so soon, but that a person is needed would
        # be. With the second connection from now on, the result of the first is logged.
        listener.wait(2)
        p.stop()
        assert not p.events("broker_lost", heals="by_a_person"), p.settings

    away = rig.free_port()
    p = start(NOBODY, f"127.0.0.1:{away}")
    p.wait_event("broker_lost")
    with Closing(away) as listener:
        needs_nobody(p, listener)
    for order in (1, -1):
        with Closing() as listener:
            needs_nobody(start(*[NOBODY, f"127.0.0.1:{listener.port}"][::order]), listener)
    p = start(NOBODY, f"{NOBODY}:1884")
    p.wait_event("broker_lost", heals="by_a_person")
    p.stop()
    for hosts, heals in [((NOBODY, "127.0.0.1"), "by_itself"), (("127.0.0.1", NOBODY), "by_itself"),
                         ((NOBODY, NOBODY), "by_a_person")]:
        p = persister({**broker.settings(), "storage.url":
                       f"host={','.join(hosts)} port={away} dbname=x user=x"}).start()
        assert p.wait_event("database_lost")["heals"] == heals, hosts
        p.stop()


def test_certificates_that_are_refused_need_a_person(persister, migrated, workspace):
    authority, other = (rig.Certificates(workspace, name) for name in ("authority", "other"))
    encrypted = rig.Broker(workspace, tls=authority, name="encrypted").start()
    p = persister({**migrated.settings(), "mqtt.url": encrypted.tls_url.replace("mqtts", "mqtt")})
    said = p.start().wait_event("broker_lost")
    assert said["msg"].endswith("closed the connection before answering"), said
    assert "does it expect TLS (mqtts://)?" in said["hint"]
    p.stop()
    away = {**migrated.settings(), "mqtt.url": encrypted.tls_url}
    for settings in [{"mqtt.tls_ca": other.ca},
                     {"mqtt.tls_ca": authority.ca,
                      "mqtt.tls_crl": authority.crl(encrypted.certificate)}]:
        p = persister({**away, **settings}).start()
        said = p.wait_event("broker_lost")
        assert said["heals"] == "by_a_person" and "mqtt.tls_" in said["hint"], said
        p.stop()
    encrypted.stop()


def test_certificate_of_the_database_that_is_refused_needs_a_person(
        persister, broker, workspace):
    authority, other = (rig.Certificates(workspace, f"{name}_pg") for name in ("ca", "other"))
    certificate, key = authority.issue("127.0.0.1")
    os.chmod(key, 0o600)
    cluster = rig.Postgres(workspace, fast=True, name="encrypted_pg", settings={
        "ssl": "on", "ssl_cert_file": f"'{certificate}'", "ssl_key_file": f"'{key}'"}).start()
    p = persister({**cluster.settings(), **broker.settings(),
                   "storage.postgres.ssl_mode": "verify-full",
                   "storage.postgres.ssl_root_cert": other.ca}).start()
    said = p.wait_event("database_lost")
    assert said["heals"] == "by_a_person" and "ssl_root_cert" in said["hint"], said
    p.stop()
    cluster.stop()
