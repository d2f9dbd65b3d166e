"""How long after its PUBLISH another client can read a message in the database."""

import json
import random
import threading
import time

import paho.mqtt.client as mqtt
import psycopg

QUERY = """SELECT 1 FROM ocpp.connector_status
WHERE charge_station_id = 'probe' AND evse_id = 1 AND event_time = %s::timestamptz"""
GIVE_UP_S = 30
POLL_S = 0.0002  # so that looking does not take the processor from what is looked at


def publish_to_visible(port, dsn, seconds, first=0):
    """Seconds that each probe took. One probe at a time, at random moments, some 25 a second.
    first: the number of the first; no two may have the same."""
    client = mqtt.Client("probe", clean_session=True)
    client.connect("127.0.0.1", port)
    client.loop_start()
    times = []
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=1) as database:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            times.append(probe(client, database, first + len(times)))
            time.sleep(random.uniform(0.01, 0.06))
    client.loop_stop()
    client.disconnect()
    return times


def end_session(port, client_id):
    """The broker forgets this session, with all that it has queued."""
    done = threading.Event()
    client = mqtt.Client(client_id, clean_session=True)
    client.on_connect = lambda *_: done.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    done.wait(GIVE_UP_S)
    client.disconnect()
    client.loop_stop()


def probe(client, database, number):
    stamp = f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z"
    payload = json.dumps({
        "type": 2, "action": "StatusNotification", "id": f"probe-{number}",
        "request": {"connectorId": 1, "errorCode": "NoError", "status": "Available",
                    "timestamp": stamp}})
    began = time.monotonic()
    client.publish("cs/in/ocpp1.6/probe", payload, qos=1)
    while database.execute(QUERY, (stamp,)).fetchone() is None:
        if time.monotonic() - began > GIVE_UP_S:
            raise TimeoutError(f"probe {number} is not in the database after {GIVE_UP_S} s")
        time.sleep(POLL_S)
    return time.monotonic() - began
