"""A publisher that breaks each limit: its message becomes a dead letter or a row, its neighbours
are stored, and everything is counted."""

import json

import msgpack
from conftest import stored

DIGITS = "9" * 20_000


def call(action, request, id="h"):
    return json.dumps([2, id, action, request]).encode()


def meter(value='"1"', time='"2026-03-01T12:00:00Z"', count=1):
    sample = '{"value":%s}' % value
    return ('[2,"h","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":%s,"sampledValue":'
            '[%s]}]}]' % (time, ",".join([sample] * count))).encode()


# What is sent, as a payload or (topic, payload), and what becomes of it: the reason of a dead
# letter, or None for rows.
HOSTILE = {
    "larger than a message may be": (b"[" + b" " * (1 << 20) + b"]", "oversized"),
    "lists in lists, msgpack": (b"\x91" * 5000 + b"\xc0", "too_deep"),
    "objects in objects": (b'{"a":' * 5000 + b"1" + b"}" * 5000, "too_deep"),
    "array that claims 4 billion members": (b"\xdd\xff\xff\xff\xff\xc0", "bad_msgpack"),
    "map that claims 4 billion members": (b"\xdf\xff\xff\xff\xff\xc0", "bad_msgpack"),
    "text that claims 4 GiB": (b"\x94\x02\xa1h\xdb\xff\xff\xff\xffx", "bad_msgpack"),
    "30,000 samples": (meter(count=30_000), None),
    "500,000 values": (b'[2,"h","DataTransfer",{"data":[' + b",".join([b"1"] * 500_000) + b"]}]",
                       "too_many_values"),
    "object of 50,000 members": (call("DataTransfer", {f"k{n}": n for n in range(50_000)}), None),
    "one name 50,000 times": (
        b'[2,"h","DataTransfer",{' + b",".join([b'"a":1'] * 50_000) + b"}]", None),
    "message id of 100,000 bytes": (call("Heartbeat", {}, "i" * 100_000), None),
    "action of 100,000 bytes": (call("A" * 100_000, {}), "limit"),
    "station of 60,000 bytes": (("cs/in/ocpp1.6/" + "s" * 60_000, call("Heartbeat", {})), "limit"),
    "text that is not UTF-8": (b'[2,"h","DataTransfer",{"data":"\xff\xfe"}]', None),
    "half a surrogate": (b'[2,"h","DataTransfer",{"data":"\\ud800"}]', None),
    "NUL everywhere": (call("Data\0Transfer", {"da\0ta": "\0"}, "\0"), None),
    "value of 20,000 digits": (meter(DIGITS), None),
    "value of 20,000 digits, as text": (meter(f'"{DIGITS}"'), None),
    "value of a billion digits": (meter("1e999999999"), None),
    "value of a billion decimals": (meter("1e-999999999"), None),
    "exponent beyond all integers": (meter("1e" + DIGITS), None),
    "value that is not a number": (meter('"NaN"'), None),
    "infinite value": (meter('"-Infinity"'), None),
    "year 9999": (meter(time='"9999-12-31T23:59:59Z"'), None),
    "year 0": (meter(time='"0000-01-01T00:00:00Z"'), None),
    "year 300,000": (meter(time='"300000-01-01T00:00:00Z"'), None),
    "time before Christ": (meter(time='"-4713-01-01T00:00:00Z"'), None),
    "zone of 99 hours": (meter(time='"2026-03-01T12:00:00+99:99"'), None),
    "time of 20,000 digits": (meter(time=f'"{DIGITS}"'), None),
    "integer of 64 bits, msgpack": (
        msgpack.packb([2, "h", "MeterValues", {"connectorId": 2**64 - 1}]), None),
}


def test_each_limit_costs_one_message_and_no_other(running, migrated, publish):
    p = running({"mqtt.message_bytes_max": "1MiB"})
    stations = {}
    for number, (which, (data, _)) in enumerate(HOSTILE.items()):
        topic, payload = data if isinstance(data, tuple) else (f"cs/in/ocpp1.6/bad{number}", data)
        stations[which] = topic.rsplit("/", 1)[1]
        publish.call("good", "Heartbeat", {}, id=str(number))
        publish.raw(topic, payload)
    stored(migrated, 2 * len(HOSTILE))
    dead = dict(migrated.rows("SELECT charge_station_id, reason FROM dead_letters"))
    rows = {station for station, in migrated.rows(
        "SELECT charge_station_id FROM ocpp_events UNION"
        " SELECT charge_station_id FROM meter_values")}
    for which, (_, reason) in HOSTILE.items():
        found = dead.get(stations[which], None)
        assert (found, stations[which] in rows) == (reason, reason is None), which
    assert migrated.value("SELECT count(*) FROM ocpp_events WHERE charge_station_id = 'good'"
                          ) == len(HOSTILE)
    assert migrated.rows("SELECT received, stored, dead_lettered, duplicate FROM ingest_progress"
                         ) == [(2 * len(HOSTILE), 2 * len(HOSTILE) - len(dead), len(dead), 0)]
    assert p.stop() == 0
