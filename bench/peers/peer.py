"""What is often written instead: paho, and COPY of JSONB by psycopg. It acknowledges what it has in
memory.

    peer.py <broker port> <client id> <connection string>
"""

import datetime
import queue
import sys

import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

ROWS_MAX = 1000


def main(port, client_id, conninfo):
    rows = queue.Queue()
    client = mqtt.Client(client_id, protocol=mqtt.MQTTv5)
    client.on_message = lambda _client, _data, m: rows.put(
        (datetime.datetime.now(datetime.timezone.utc), m.topic, m.payload.decode()))
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    properties.ReceiveMaximum = 1000
    with psycopg.connect(conninfo) as database:
        client.connect("127.0.0.1", int(port), clean_start=False, properties=properties)
        client.loop_start()
        while True:
            batch = [rows.get()]
            while len(batch) < ROWS_MAX and not rows.empty():
                batch.append(rows.get())
            with database.cursor() as cursor, cursor.copy(
                    "COPY messages (received_at, topic, payload) FROM STDIN") as copy:
                for row in batch:
                    copy.write_row(row)
            database.commit()


main(*sys.argv[1:])
