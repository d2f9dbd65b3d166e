"""What docs/broker.md says about mosquitto, tried without our program: what it loses when it is
stopped and started, or refuses a message; and the settings that deploy/mosquitto.conf recommends.
Then `broker end-session`."""

import itertools
import os
import sys
import threading
import time

import conftest
import paho.mqtt.client as mqtt
import pytest
import rig
from broker_figures import Subscriber
from conftest import run_cli
from test_drain import has_session
from test_rights import login  # noqa: F401

sys.path.insert(0, os.path.join(conftest.ROOT, "tests", "chaos"))

import broker_log  # noqa: E402

RATE = 2000
UNDER_LOAD = 3000  # messages, with stops among them
STOPS = 3
CONF = os.path.join(conftest.ROOT, "deploy", "mosquitto.conf")
# Those of its lines that are about files, accounts and ports belong to the containers.
ITS_OWN = ("listener", "allow_anonymous", "password_file", "acl_file", "persistence_location")
DEFAULT_QUEUE = 1000
_numbers = itertools.count()


class Publisher:
    """MQTT 3.1.1. taken: the packet ids of what was acknowledged."""

    def __init__(self, broker):
        self.taken, self.disconnects = set(), 0
        self.client_id = f"publisher{next(_numbers)}"
        self.client = mqtt.Client(self.client_id, clean_session=False)
        self.client.max_inflight_messages_set(1000)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_publish = lambda _client, _context, mid: self.taken.add(mid)
        self.client.on_disconnect = self._on_disconnect
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()

    def _on_disconnect(self, *_):
        self.disconnects += 1

    def publish(self, number, payload=b"x"):
        mid = self.client.publish(f"t/{number}", payload, 1).mid
        rig.wait_until(lambda: mid in self.taken, what=f"PUBACK of {number}")
        return mid

    def run(self, count):
        """In a thread, at RATE; also the packet ids of what was sent so far."""
        sent = []

        def publish():
            begin = time.monotonic()
            for number in range(count):
                wait = begin + number / RATE - time.monotonic()
                if wait > 0:
                    time.sleep(wait)  # the rate of the load
                sent.append(self.client.publish(f"t/{number}", b"x" * 300, 1).mid)

        thread = threading.Thread(target=publish, daemon=True)
        thread.start()
        return thread, sent

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def refused_once(workspace, name, settings):
    """How often a publisher is disconnected for one message that is larger than allowed."""
    broker = rig.Broker(workspace, name=name, settings=[
        *settings, "message_size_limit 1000"]).start()
    publisher = Publisher(broker)
    publisher.publish(1, b"x" * 2000)
    publisher.publish(2)
    disconnects = publisher.disconnects
    publisher.close()
    broker.stop()
    return disconnects


def recommended():
    with open(CONF, encoding="utf-8") as f:
        lines = [line.strip() for line in f]
    return [line for line in lines if line and not line.startswith("#")
            and line.split()[0] not in ITS_OWN]


def test_recommended_settings_disconnect_nobody_who_is_refused(workspace):
    assert refused_once(workspace, "no_limit", ["max_queued_messages 0"]) == 1
    assert refused_once(workspace, "recommended", recommended()) == 0


def test_recommended_settings_keep_more_than_the_default(workspace):
    broker = rig.Broker(workspace, name="keeps", settings=recommended()).start()
    subscriber = Subscriber(broker, "subscriber", "t/#")
    subscriber.connect()
    subscriber.leave()
    publisher = Publisher(broker)
    count = 2 * DEFAULT_QUEUE
    for number in range(count):
        publisher.client.publish(f"t/{number}", b"x", 1)
    rig.wait_until(lambda: len(publisher.taken) == count, what=lambda: len(publisher.taken))
    subscriber.connect()
    rig.wait_until(lambda: subscriber.got == set(range(count)), what=lambda: len(subscriber.got))
    publisher.close()
    subscriber.leave()
    broker.stop()


def test_stop_and_start_lose_nothing_without_a_group(workspace):
    """Neither what is queued nor what is in flight to the subscriber."""
    broker = rig.Broker(workspace, name="no_group").start()
    subscriber = Subscriber(broker, "subscriber", "t/#")
    subscriber.client.reconnect_delay_set(1, 1)
    subscriber.connect()
    publisher = Publisher(broker)
    thread, sent = publisher.run(UNDER_LOAD)
    for stop in range(STOPS):
        rig.wait_until(lambda at=(stop + 1) * UNDER_LOAD // (STOPS + 1): len(sent) > at)
        broker.restart()
    thread.join()
    rig.wait_until(lambda: len(publisher.taken) == UNDER_LOAD, what=lambda: len(publisher.taken))
    rig.wait_until(lambda: subscriber.got == set(range(UNDER_LOAD)),
                   what=lambda: len(subscriber.got))
    publisher.close()
    subscriber.leave()
    broker.stop()


def test_stop_and_start_forget_shared_subscriptions(workspace):
    """What was queued is there; what is published before somebody subscribes again is dropped. If
    this fails with another version of mosquitto, docs/broker.md should say which."""
    broker = rig.Broker(workspace, name="group", settings=["log_type debug"]).start()
    shared, alone = (Subscriber(broker, name, topic) for name, topic in (
        ("shared", "$share/group/t/#"), ("alone", "t/#")))
    for s in (shared, alone):
        s.connect()
        s.leave()
    publisher = Publisher(broker)
    publisher.publish(1)
    broker.restart()
    dropped = publisher.publish(2)
    shared.connect()
    publisher.publish(3)
    rig.wait_until(lambda: {1, 3} <= shared.got, what=lambda: shared.got)
    alone.connect()
    rig.wait_until(lambda: alone.got == {1, 2, 3}, what=lambda: alone.got)
    assert shared.got == {1, 3}
    # This is how the kill loop counts them separately.
    assert broker_log.dropped(broker.log) == {(publisher.client_id, dropped, "t/2")}
    publisher.close()
    for s in (shared, alone):
        s.leave()
    broker.stop()


# ---- broker end-session ----

def left_alone(broker, client_id):
    """A session with something queued, whose client does not come back."""
    gone = Subscriber(broker, client_id, "t/#")
    gone.connect()
    gone.leave()
    publisher = Publisher(broker)
    publisher.publish(1)
    publisher.close()


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_end_session_ends_it_with_its_queue(migrated, broker, version):
    left_alone(broker, "gone")
    left_alone(broker, "other")
    for said in ('ended the session of "gone"', 'there is no session of "gone": nothing to end'):
        done = run_cli({**migrated.settings(), **broker.settings(), "mqtt.version": version},
                       "broker", "end-session", "gone")
        assert (done.returncode, done.stdout) == (
            0, f"mqtt://127.0.0.1:{broker.port}: {said}\n"), done.stderr
    assert not has_session(broker, "gone") and has_session(broker, "other")


def packet_types(data):
    """The types of these MQTT packets, in order."""
    at = 0
    while at < len(data):
        yield data[at] >> 4
        at, size, shift = at + 1, 0, 0
        while True:
            size |= (data[at] & 0x7f) << shift
            at, shift = at + 1, shift + 7
            if not data[at - 1] & 0x80:
                break
        at += size


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_end_session_acknowledges_nothing(migrated, broker, proxy, version):
    """What is queued is dropped with the session, and not taken."""
    left_alone(broker, "gone")
    tapped = proxy(broker.port)
    sent = tapped.tap(rig.UP)
    done = run_cli({**migrated.settings(), **broker.settings(tapped.port), "mqtt.version": version},
                   "broker", "end-session", "gone")
    assert done.returncode == 0 and 'ended the session of "gone"' in done.stdout, done
    assert not has_session(broker, "gone")
    CONNECT, PUBACK = 1, 4
    types = list(packet_types(bytes(sent)))
    assert types.count(CONNECT) == 2 and PUBACK not in types, types


def test_end_session_leaves_a_running_worker_alone(running, migrated, broker):
    p = running()
    settings = {**migrated.writer_settings(), **broker.settings()}
    client_id = p.settings["mqtt.client_id"]
    for words in ([], ["--stopped"]):
        done = run_cli(settings, "broker", "end-session", client_id, *words)
        assert done.returncode == 7 and "is running" in done.stderr and "--drain" in done.stderr
    assert p.metric("ocpp_persister_broker_connects_total") == 1
    assert not p.events("broker_lost")
    # mosquitto does not tell the worker why, so it goes on.
    done = run_cli(settings, "broker", "end-session", client_id, "--force")
    assert done.returncode == 0 and "ended the session" in done.stdout, done
    p.wait_event("broker_lost_session")
    p.stop()
    done = run_cli(settings, "broker", "end-session", client_id, "--stopped")
    assert done.returncode == 0 and not has_session(broker, client_id), done.stderr


def test_end_session_takes_nobody_for_stopped_who_may_have_lost_the_database(
        running, migrated, broker):
    """However long that has been: to the database the worker looks as if it were stopped."""
    p = running()
    settings = {**migrated.writer_settings(), **broker.settings()}
    client_id = p.settings["mqtt.client_id"]
    with migrated.connect() as admin:
        admin.execute("""UPDATE ingest_progress SET updated_at = '2026-01-02 03:04:05Z',
            backend_pid = 0, backend_start = '2026-01-02'""")
    done = run_cli(settings, "broker", "end-session", client_id)
    assert done.returncode == 7 and "2026-01-02 03:04:05 UTC" in done.stderr, done
    assert "--stopped" in done.stderr
    assert p.metric("ocpp_persister_broker_connects_total") == 1 and not p.events("broker_lost")


def test_end_session_sees_a_worker_of_another_role(
        running, migrated, broker, login):  # noqa: F811
    """When its connection began is hidden then."""
    p = running()
    with migrated.connect() as admin:
        admin.execute("UPDATE ingest_progress SET updated_at = now() - interval '2 minutes'")
    role = login("writer").info.user
    done = run_cli({**migrated.cluster.settings(migrated.name, role, "secret"),
                    **broker.settings()},
                   "broker", "end-session", p.settings["mqtt.client_id"])
    assert done.returncode == 7 and "is running" in done.stderr, done
    assert p.metric("ocpp_persister_broker_connects_total") == 1


def test_end_session_asks_the_database_unless_forced(broker):
    left_alone(broker, "gone")
    settings = {**broker.settings(), "storage.postgres.host": "127.0.0.1",
                "storage.postgres.port": rig.free_port()}
    done = run_cli(settings, "broker", "end-session", "gone")
    assert done.returncode == 4 and "--force" in done.stderr
    assert has_session(broker, "gone")
    done = run_cli(settings, "broker", "end-session", "gone", "--force")
    assert done.returncode == 0 and not has_session(broker, "gone"), done.stderr


def test_end_session_says_why_it_cannot(migrated):
    settings = {**migrated.settings(), "mqtt.url": f"mqtt://127.0.0.1:{rig.free_port()}"}
    done = run_cli(settings, "broker", "end-session", "gone")
    assert done.returncode == 7 and "Connection refused" in done.stderr
    for wrong in ([], ["gone"], ["end-session"], ["end-session", "a", "b"]):
        assert run_cli(settings, "broker", *wrong).returncode == 2
