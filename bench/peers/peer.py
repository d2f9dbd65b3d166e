"""What is often written instead: paho, and COPY of JSONB by psycopg.

    peer.py <broker port> <client id> <connection string> [--after-commit]

It acknowledges what it has in memory. With --after-commit it acknowledges what is stored, one
message per COMMIT: paho acknowledges a message when on_message returns, and delivers no other until
then. A lost connection is opened again, and the batch copied again. SIGTERM ends it once it has
stored what it has.
"""

import datetime
import queue
import signal
import sys
import time

import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

FILTERS = [("cs/in/+/+", 1), ("cs/out/+/+", 1)]
ROWS_MAX = 1000
RETRY_S = 0.5


class Table:
    def __init__(self, conninfo):
        self.conninfo, self.database = conninfo, None

    def store(self, rows):
        while True:
            try:
                if self.database is None:
                    self.database = psycopg.connect(self.conninfo)
                self._copy(rows)
                return
            except (psycopg.OperationalError, psycopg.InterfaceError) as e:
                print(f"{len(rows)} rows: {e}", file=sys.stderr, flush=True)
                if self.database is not None:
                    self.database.close()
                    self.database = None
                time.sleep(RETRY_S)

    def _copy(self, rows):
        with self.database.cursor() as cursor, cursor.copy(
                "COPY messages (received_at, topic, payload) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        self.database.commit()


def row_of(message):
    return datetime.datetime.now(datetime.timezone.utc), message.topic, message.payload.decode()


def connect(port, client_id, on_message):
    client = mqtt.Client(client_id, protocol=mqtt.MQTTv5)
    client.on_connect = lambda *_: client.subscribe(FILTERS)
    client.on_message = lambda _client, _data, message: on_message(message)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    properties.ReceiveMaximum = 1000
    client.connect_async("127.0.0.1", int(port), clean_start=False, properties=properties)
    client.loop_start()
    return client


def batch_of(rows):
    """(what is there, of at most ROWS_MAX rows; was it the end?)"""
    batch, row = [], rows.get()
    while row is not None:
        batch.append(row)
        if len(batch) == ROWS_MAX or rows.empty():
            return batch, False
        row = rows.get()
    return batch, True


def main(port, client_id, conninfo, mode=None):
    rows, table = queue.SimpleQueue(), Table(conninfo)
    signal.signal(signal.SIGTERM, lambda *_: rows.put(None))
    client = connect(port, client_id, (lambda m: table.store([row_of(m)])) if mode
                     else (lambda m: rows.put(row_of(m))))
    ended = False
    while not ended:
        batch, ended = batch_of(rows)
        if batch:
            table.store(batch)
    client.disconnect()
    client.loop_stop()
    while not rows.empty():  # what came meanwhile
        rest = [row for row in batch_of(rows)[0] if row]
        if rest:
            table.store(rest)


main(*sys.argv[1:])
