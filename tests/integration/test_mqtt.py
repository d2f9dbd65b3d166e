"""The broker's side: what is acknowledged when, sessions, versions, TLS, full logs, bad disks."""

import json
import pathlib
import signal

import pytest
import rig
from conftest import Publisher, make_database, needs_failpoints, stored


def heartbeat(publish, number, station="cs001"):
    publish.call(station, "Heartbeat", {}, id=str(number))


def ids(database):
    return sorted(int(row[0]) for row in database.rows(
        "SELECT message_id FROM ocpp_events WHERE action = 'Heartbeat'"))


def test_broker_that_lost_our_session_is_subscribed_again(persister, migrated, workspace):
    broker = rig.Broker(workspace, settings=["persistence false"], name="forgetful").start()
    p = persister({**migrated.settings(), **broker.settings()}).start()
    p.wait_event("broker_connected")
    broker.stop()
    p.wait_event("broker_lost")
    broker.start()
    assert p.wait_event("broker_connected", count=2)["session_present"] == "0"
    assert p.events("broker_lost_session")
    publish = Publisher(broker.port)
    heartbeat(publish, 1)
    stored(migrated, 1)
    publish.close()


def test_session_keeps_what_comes_while_we_are_away(running, migrated, broker, publish):
    p = running()
    heartbeat(publish, 0)
    stored(migrated, 1)
    p.kill9()
    for i in range(1, 50):
        heartbeat(publish, i)
    p.start()
    assert p.wait_event("broker_connected")["session_present"] == "1"
    stored(migrated, 50)
    assert ids(migrated) == list(range(50))


@pytest.mark.parametrize("code", [0x84, 1])
def test_broker_that_does_not_speak_mqtt_5_is_spoken_to_in_3_1_1(
        persister, migrated, broker, proxy, publish, code):
    door = proxy(broker.port)
    door.refuse_connect(code)
    p = persister({**migrated.settings(), **broker.settings(door.port)}).start()
    assert p.wait_event("broker_connected")["mqtt"] == "3.1.1"
    assert door.connects == [5]
    heartbeat(publish, 1)
    stored(migrated, 1)


def test_mqtt_3_1_1_on_request(running, migrated, publish):
    p = running({"mqtt.version": "3.1.1"})
    assert p.events("broker_connected", mqtt="3.1.1")
    heartbeat(publish, 1)
    stored(migrated, 1)


def test_broker_that_says_our_client_id_is_used_twice_stops_us(
        persister, migrated, broker, proxy):
    door = proxy(broker.port)
    p = persister({**migrated.settings(), **broker.settings(door.port)}).start()
    p.wait_event("broker_connected")
    door.inject(bytes([0xE0, 2, 0x8E, 0]))  # DISCONNECT, session taken over
    assert p.wait_exit(30) == 7
    stopping = p.events("stopping", reason="client_id_used_twice")[0]
    assert "mqtt.client_id" in stopping["hint"] and f"127.0.0.1:{door.port}" in stopping["msg"]


def test_broker_that_does_not_say_it_leaves_a_pattern_that_we_name(persister, migrated, broker):
    settings = {**migrated.settings(), **broker.settings(), "mqtt.client_id": "twin"}
    twins = [persister(settings).start() for _ in range(2)]
    rig.wait_until(lambda: any(p.events("broker_unsteady") for p in twins), 60,
                   "nobody wonders why its connection never lasts")
    found = [line for p in twins for line in p.events("broker_unsteady")]
    assert "mqtt.client_id" in found[0]["hint"] and found[0]["heals"] == "by_a_person"
    rig.wait_until(lambda: any(p.events("broker_lost", heals="by_a_person") for p in twins),
                   60, "the loss of each connection still heals by itself")


def test_filter_taken_out_of_the_settings_is_unsubscribed(running, migrated, broker, publish):
    p = running({"mqtt.topics": "cs/in/+/+, cs/out/+/+"})
    heartbeat(publish, 1)
    stored(migrated, 1)
    p.process.send_signal(signal.SIGTERM)
    assert p.wait_exit() == 0
    p.settings["mqtt.topics"] = "cs/in/+/+"
    p.start().wait_event("broker_connected")
    publish.send("cs001", {"type": 3, "action": "Heartbeat", "id": "2",
                           "response": {"currentTime": "x"}}, direction="out")
    heartbeat(publish, 3)
    stored(migrated, 2)
    assert migrated.value("SELECT count(*) FROM ocpp_events WHERE direction = 'out'") == 0


def test_tls_password_and_client_certificate(persister, migrated, workspace):
    tls = rig.Certificates(workspace, "mqtt_tls")
    broker = rig.Broker(workspace, passwords={"us": "secret"}, tls=tls, client_certificates=True,
                        name="tls_broker").start()
    cert, key = tls.issue("persister")
    good = {**migrated.settings(), "mqtt.url": broker.tls_url, "mqtt.user": "us",
            "mqtt.password": "secret", "mqtt.tls_ca": tls.ca, "mqtt.tls_certificate": cert,
            "mqtt.tls_key": key}
    p = persister(good).start()
    p.wait_event("broker_connected")
    p.process.send_signal(signal.SIGTERM)
    assert p.wait_exit() == 0
    other = rig.Certificates(workspace, "other_tls")
    for wrong, said in [({"mqtt.password": "no"}, "authoriz"),
                        ({"mqtt.tls_ca": other.ca}, "verify")]:
        p = persister({**good, **wrong}).start()
        lost = p.wait_event("broker_lost")
        assert said in lost["msg"].lower() + lost.get("hint", "").lower(), lost
        assert "secret" not in json.dumps(p.lines())
        p.process.send_signal(signal.SIGTERM)
        assert p.wait_exit() == 0


def test_revoked_certificate_of_the_broker_is_refused(persister, migrated, workspace, tmp_path):
    tls = rig.Certificates(workspace, "revoking")
    broker = rig.Broker(workspace, tls=tls, name="revoked_broker").start()
    current = tmp_path / "current.crl"
    current.write_bytes(pathlib.Path(tls.crl()).read_bytes())
    settings = {**migrated.settings(), "mqtt.url": broker.tls_url, "mqtt.tls_ca": tls.ca,
                "mqtt.tls_crl": current}
    p = persister(settings).start()
    p.wait_event("broker_connected")
    # The list is read again for each connection.
    used = broker.certificate
    current.write_bytes(pathlib.Path(tls.crl(used)).read_bytes())
    broker.restart()
    rig.wait_until(lambda: any("certificate revoked" in line["msg"]
                               for line in p.events("broker_lost")), 90,
                   lambda: rig.tail(p.log))
    p.kill9()
    p.start()
    lost = p.wait_event("broker_lost", 60)
    assert "certificate revoked" in lost["msg"] and "CN = 127.0.0.1" in lost["msg"]
    assert "test authority" in lost["msg"] and "mqtt.tls_crl" in lost["hint"]
    assert not p.events("broker_connected")
    p.kill9()
    # Without a list that can be read nothing is believed.
    p.settings["mqtt.tls_crl"] = tls.ca_key
    p.start()
    assert "list of revoked certificates from" in p.wait_event("broker_lost", 60)["msg"]


def test_full_log_makes_the_broker_wait_and_loses_nothing(
        workspace, persister, broker, publish):
    """Nothing is acknowledged that is not on disk: what waits here waits at the broker."""
    cluster = rig.Postgres(workspace, name="full").start()
    database = make_database(cluster)
    p = persister({**database.settings(), **broker.settings(), "mqtt.message_bytes_max": "64KiB",
                   "spool.segment_bytes": "4MiB", "spool.bytes_max": "64MiB"}).start("--migrate")
    p.wait_event("broker_connected")
    p.wait_event("database_connected")
    cluster.stop()
    big = "x" * 60000
    sent = 1500  # 90 MB
    for i in range(sent):
        publish.client.publish("cs/in/ocpp1.6/cs001", json.dumps(
            {"type": 2, "action": "DataTransfer", "id": str(i),
             "request": {"vendorId": "V", "data": big}}), 1)
    p.wait_metric("ocpp_persister_intake_waiting", 1, 60)
    assert p.metric("ocpp_persister_mqtt_messages_received_total") < sent
    p.kill9()  # the one that waits was not acknowledged and comes again
    p.start()
    cluster.start()
    stored(database, sent, 120)
    assert database.value("SELECT count(DISTINCT message_id) FROM ocpp_events") == sent
    # It can be stopped while it waits, and does not acknowledge what it has not kept.
    cluster.stop()
    for i in range(sent):
        publish.client.publish("cs/in/ocpp1.6/cs002", json.dumps(
            {"type": 2, "action": "DataTransfer", "id": str(i),
             "request": {"vendorId": "V", "data": big}}), 1)
    p.wait_metric("ocpp_persister_intake_waiting", 1, 60)
    p.process.send_signal(signal.SIGTERM)
    assert p.wait_exit(30) == 0
    cluster.start()
    p.start()
    stored(database, 2 * sent, 120)
    assert database.value("SELECT count(DISTINCT message_id) FROM ocpp_events"
                          " WHERE charge_station_id = 'cs002'") == sent
    cluster.stop()


@needs_failpoints
@pytest.mark.parametrize("fault", ["EIO", "kill"])
def test_disk_that_fails_stops_us_and_loses_nothing(persister, migrated, broker, fault):
    """The N-th file operation fails; what was acknowledged before is there after a restart."""
    publish = Publisher(broker.port)
    p = persister({**migrated.settings(), **broker.settings(), "spool.segment_bytes": "4MiB"})
    sent = 0
    for n in range(12, 60, 6):
        p.environment = {"FAILPOINT": f"fs:{n}:{fault}"}
        p.start()
        try:
            p.wait_event("broker_connected", 10)
        except rig.RigError:
            pass  # it did not get as far
        before = sent  # counted per start: while one ends, many may be sent
        while p.running and sent < before + 2000:
            heartbeat(publish, sent)
            sent += 1
        code = p.wait_exit(60)
        assert code == (-signal.SIGKILL if fault == "kill" else 6)
    p.environment = {}
    p.start().wait_event("broker_connected")
    heartbeat(publish, sent)
    sent += 1
    rig.wait_until(lambda: len(set(ids(migrated))) == sent, 30,
                   lambda: f"{sorted(set(range(sent)) - set(ids(migrated)))} missing")
    assert ids(migrated) == list(range(sent))
    publish.close()


@needs_failpoints
@pytest.mark.parametrize("fault", ["ENOSPC", "short"])
def test_disk_that_is_full_for_a_moment_loses_nothing(persister, migrated, broker, fault):
    """Once it is full: we wait and go on, or stop where nobody can know what is on disk."""
    publish = Publisher(broker.port)
    p = persister({**migrated.settings(), **broker.settings(), "spool.segment_bytes": "4MiB"})
    sent, waited = 0, 0
    for n in range(12, 100, 7):  # writes and syncs take turns
        p.environment = {"FAILPOINT": f"fs:{n}:{fault}"}
        p.start()
        rig.wait_until(lambda: p.events("broker_connected") or not p.running, 60,
                       "neither connected nor ended")
        for _ in range(30):
            if p.running:
                heartbeat(publish, sent)
                sent += 1
        waited += len(p.events("spool_disk_full"))
        if p.running:
            p.process.send_signal(signal.SIGTERM)
        code = p.wait_exit(60)
        # Here a start may also fail while it reads, which a full disk would not cause.
        assert code == 0 or (code == 6 and (not p.events("started") or
                                            "could not sync" in rig.tail(p.log))), (
            n, code, rig.tail(p.log))
    assert waited > 0
    p.environment = {}
    p.start().wait_event("broker_connected")
    heartbeat(publish, sent)
    sent += 1
    rig.wait_until(lambda: len(set(ids(migrated))) == sent, 60,
                   lambda: f"{sorted(set(range(sent)) - set(ids(migrated)))} missing")
    assert ids(migrated) == list(range(sent))
    publish.close()


def test_messages_of_qos_0_are_stored_and_warned_about(running, migrated, publish):
    p = running()
    for i in range(5):
        publish.call("cs001", "Heartbeat", {}, id=str(i), qos=0)
    stored(migrated, 5)
    assert p.metric('ocpp_persister_mqtt_messages_received_total{qos="0"}') == 5
    p.wait_event("qos0")


def test_qos_2_comes_as_qos_1(running, migrated, publish):
    p = running()
    publish.call("cs001", "Heartbeat", {}, qos=2)
    stored(migrated, 1)
    assert p.metric('ocpp_persister_mqtt_messages_received_total{qos="1"}') == 1


def test_trace_of_the_correlation_data_pairs_calls_and_results(running, migrated, publish):
    running()

    def trace(letter):
        return json.dumps({"traceparent": f"00-{letter * 32}-{'1' * 16}-01"}).encode()

    # The same message id twice within the window: only the trace tells which belongs to which.
    for letter, token in [("a", "T1"), ("b", "T2")]:
        publish.call("cs001", "Authorize", {"idTag": token}, id="7", CorrelationData=trace(letter))
    for letter, status in [("b", "Blocked"), ("a", "Accepted")]:
        publish.result("cs001", "Authorize", {"idTagInfo": {"status": status}}, id="7",
                       CorrelationData=trace(letter))
    stored(migrated, 4)
    assert migrated.rows("SELECT id_token, status FROM authorizations ORDER BY 1") == [
        ("T1", "Accepted"), ("T2", "Blocked")]
