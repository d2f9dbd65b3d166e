"""Promise 4 for the tables that hold the newest state: boots, operations, connectors.

Most of these messages carry no time of their own, so when they were received decides. That time
belongs to the message and is in every capture of it: so the same capture is replayed as it is, and
shuffled over two jobs that run at once. Afterwards both hold the same, to the microsecond.
"""

import datetime
import json
import os
import random

import pytest
import rig
from conftest import make_database, run_cli

SEED = int(os.environ.get("PROPERTY_SEED", "1"))
STATIONS = 300
EPOCH = datetime.datetime(2026, 1, 31, 10, tzinfo=datetime.timezone.utc)

OPERATIONS = {
    "1.6": {"FirmwareStatusNotification": "firmware",
            "SignedFirmwareStatusNotification": "firmware",
            "DiagnosticsStatusNotification": "diagnostics", "LogStatusNotification": "log"},
    "2.0.1": {"FirmwareStatusNotification": "firmware", "LogStatusNotification": "log",
              "PublishFirmwareStatusNotification": "publish_firmware"},
}


class Station:
    """Messages of one station as (time of receipt in ms, direction, envelope)."""

    def __init__(self, number):
        self.random = random.Random(SEED * 1_000_000 + number)
        self.name, self.version = f"s{number:04}", self.random.choice(["1.6", "2.0.1"])
        self.messages, self.clock = [], 0
        for _ in range(self.random.randint(3, 15)):
            self.random.choice([self.boot, self.operation, self.connector, self.heartbeat,
                                self.availability])()

    def say(self, action, payload, direction="in", answers=None):
        self.clock += self.random.choice([0, 1, 999, 30_000])  # now and then two at once
        id = answers or f"m{len(self.messages)}"
        kind = {"type": 3, "response": payload} if answers else {"type": 2, "request": payload}
        self.messages.append((self.clock, direction, {**kind, "action": action, "id": id}))
        return id

    def boot(self):
        version = self.random.choice("abc")
        if self.version == "1.6":
            self.say("BootNotification", {
                "chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": version,
                **{key: self.random.choice("xyz") for key in
                   ("iccid", "imsi", "meterType", "meterSerialNumber", "chargeBoxSerialNumber")
                   if self.random.random() < 0.5}})
        else:
            self.say("BootNotification", {"reason": "PowerUp", "chargingStation": {
                "vendorName": "V", "model": "M", "firmwareVersion": version,
                "modem": {"iccid": self.random.choice("xyz")}}})

    def operation(self):
        self.say(self.random.choice([*OPERATIONS[self.version]]), {
            "status": self.random.choice(["Idle", "Downloading", "Installed", "Uploaded"]),
            "requestId": self.random.randint(1, 9)})

    def connector(self):
        at = EPOCH + datetime.timedelta(seconds=self.random.randint(0, 5))
        status = self.random.choice(["Available", "Faulted", "Unavailable"])
        if self.version == "1.6":
            request = {"connectorId": self.random.randint(0, 1), "status": status,
                       "errorCode": "NoError"}
            if self.random.random() < 0.7:
                request["timestamp"] = at.isoformat()
        else:
            request = {"evseId": 1, "connectorId": self.random.randint(1, 2),
                       "connectorStatus": status, "timestamp": at.isoformat()}
        self.say("StatusNotification", request)

    def heartbeat(self):
        self.say("Heartbeat", {})

    def availability(self):
        kind = self.random.choice(["Operative", "Inoperative"])
        request = ({"connectorId": 1, "type": kind} if self.version == "1.6"
                   else {"operationalStatus": kind, "evse": {"id": 1}})
        id = self.say("ChangeAvailability", request, "out")
        self.clock += 1  # the next one is asked when this one is answered
        self.say("ChangeAvailability", {
            "status": self.random.choice(["Accepted", "Rejected", "Scheduled"])}, answers=id)
        self.clock += 1

    def captured(self):
        """As received, with what a broker delivers again some seconds later."""
        for at, direction, envelope in self.messages:
            yield at, direction, envelope
            if envelope["action"] != "ChangeAvailability" and self.random.random() < 0.15:
                yield at + self.random.randint(1, 60_000), direction, envelope


def line(station, at, direction, envelope):
    """As of mosquitto_sub -F '%U %q %t %x'."""
    return (f"{EPOCH.timestamp() + at / 1000:.6f} 1 cs/{direction}/ocpp{station.version}/"
            f"{station.name} {json.dumps(envelope).encode().hex()}\n")


@pytest.fixture
def replayed(postgres, tmp_path):
    """replayed(parts, jobs): a database that got these lines, each part being a file."""
    def run(name, parts, jobs):
        folder = tmp_path / name
        folder.mkdir()
        for number, lines in enumerate(parts):
            (folder / f"{number}.txt").write_text("".join(lines))
        database = make_database(postgres)
        assert run_cli(database.settings(), "migrate", "up").returncode == 0
        done = run_cli({**database.settings(), "batch.messages_max": 40}, "replay", "--json",
                       "--jobs", str(jobs), str(folder), timeout=rig.HANGS_S)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["messages"] == sum(len(lines) for lines in parts)
        assert database.rows("SELECT reason, detail FROM dead_letters") == []
        return database

    return run


STATES = {
    "charge_station_status": "to_jsonb(t) - 'updated_at'",
    "operation_status": "to_jsonb(t) - 'updated_at'",
    # Either of two copies of a status with a time of its own may have been stored.
    "connector_status": "to_jsonb(t) - 'updated_at' - 'received_at'",
    # What it says about connectors comes from that table.
    "availability": "to_jsonb(t)",
    "stations": "to_jsonb(t) - 'silent_for'",
}


def states(database):
    return {table: {json.dumps(row, sort_keys=True) for row, in database.rows(
        f"SELECT {columns} FROM {table} t")} for table, columns in STATES.items()}


def newest_operations(stations):
    """{(station, operation): statuses} of what was received last, of which there may be several."""
    newest = {}
    for station, messages in stations:
        for at, _, envelope in messages:
            operation = OPERATIONS[station.version].get(envelope["action"])
            if operation:
                newest.setdefault((station.name, operation), []).append(
                    (at, envelope["request"]["status"]))
    return {key: {status for at, status in found if at == max(found)[0]}
            for key, found in newest.items()}


def test_newest_states_are_the_same_in_any_order(replayed):
    print(f"\nPROPERTY_SEED={SEED} stations={STATIONS}")
    stations = [(station, list(station.captured()))
                for station in (Station(number) for number in range(STATIONS))]
    every = sorted(((at, line(station, at, direction, envelope))
                    for station, messages in stations for at, direction, envelope in messages))
    lines = [text for _, text in every]
    plain = replayed("plain", [lines], 1)
    shuffled = lines + random.Random(SEED).sample(lines, len(lines) // 8)
    random.Random(SEED + 1).shuffle(shuffled)
    mixed = replayed("mixed", [shuffled[::2], shuffled[1::2]], 2)
    backwards = replayed("backwards", [lines[::-1]], 1)
    expected = states(plain)
    assert all(len(rows) > 50 for rows in expected.values())
    for other in (mixed, backwards):
        found = states(other)
        for table in STATES:
            assert expected[table] ^ found[table] == set(), table
    stored = {(station, operation): status for station, operation, status in mixed.rows(
        "SELECT charge_station_id, operation, status FROM operation_status")}
    wanted = newest_operations(stations)
    assert stored.keys() == wanted.keys()
    assert [key for key, status in stored.items() if status not in wanted[key]] == []
