"""What a single station can cost: everything from one station, or with one name, compared with the
same number of messages from many stations. The reference is the other log of the same case, drained
in turn with it.

A case is two lists of messages that differ in nothing but who they are from, or what they are of.
"""

import hashlib
import json
import os
import random
import statistics
import subprocess
import time

import rig

STATIONS = 2000
WANTED = 0.5
INITIALLY = 1_767_225_600  # 2026-01-01
DAY_S = 86_400


def stamp(seconds):
    """A time within one day, so both logs have the same partitions; its milliseconds are unique."""
    at = INITIALLY + seconds % DAY_S
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at * 1000) % 1000:03}Z"


def message(way, station, *frame):
    return f"cs/{way}/ocpp1.6/{station}", json.dumps(frame, separators=(",", ":"))


def message_2x(station, *frame):
    return f"cs/in/ocpp2.0.1/{station}", json.dumps(frame, separators=(",", ":"))


def stations(many):
    return [f"cs{n:05}" for n in range(STATIONS if many else 1)]


def spread(n, names):
    return names[n % len(names)]


# ---- cases: (n, many) to messages ----

def exchange(station, message_id, action, call, result, way=("in", "out")):
    return [message(way[0], station, 2, message_id, action, call),
            message(way[1], station, 3, message_id, result)]


def session(n, station, at, message_id):
    """What a 1.6 station and its CSMS say about one vehicle: 14 messages."""
    transaction = n + 1
    ids = (message_id(f"{n}.{i}") for i in range(99))
    values = [exchange(station, next(ids), "MeterValues", {
        "connectorId": 1 + n % 2, "transactionId": transaction, "meterValue": [
            {"timestamp": stamp(at + 60 * i), "sampledValue": [
                {"value": str(n + i * 100), "measurand": "Energy.Active.Import.Register"},
                {"value": "16.0", "measurand": "Current.Import", "phase": "L1", "unit": "A"},
                {"value": "230.1", "measurand": "Voltage", "phase": "L1", "unit": "V"}]}]}, {})
        for i in (1, 2)]
    return [
        *exchange(station, next(ids), "Heartbeat", {}, {"currentTime": stamp(at)}),
        *exchange(station, next(ids), "Authorize", {"idTag": f"T{n}"},
                  {"idTagInfo": {"status": "Accepted"}}),
        *exchange(station, next(ids), "StartTransaction", {
            "connectorId": 1 + n % 2, "idTag": f"T{n}", "meterStart": n, "timestamp": stamp(at)},
            {"transactionId": transaction, "idTagInfo": {"status": "Accepted"}}),
        *exchange(station, next(ids), "StatusNotification", {
            "connectorId": 1 + n % 2, "errorCode": "NoError", "status": "Charging",
            "timestamp": stamp(at + 1)}, {}),
        *values[0], *values[1],
        *exchange(station, next(ids), "StopTransaction", {
            "transactionId": transaction, "meterStop": n + 300, "timestamp": stamp(at + 180),
            "reason": "Local"}, {"idTagInfo": {"status": "Accepted"}})]


def all_of_one_station(count, many):
    names = stations(many)
    return [m for n in range(count // 14)
            for m in session(n, spread(n, names), n * 20.001, lambda i: i)]


def all_with_one_id(count, many):
    names = stations(many)
    return [m for n in range(count // 14)
            for m in session(n, spread(n, names), n * 20.001, (lambda i: i) if many else
                             (lambda i: "1"))]


def authorize_with_one_id(count, many):
    names = stations(many)
    return [m for n in range(count // 2)
            for m in exchange(spread(n, names), str(n) if many else "1", "Authorize",
                              {"idTag": f"T{n}"}, {"idTagInfo": {"status": "Accepted"}})]


def answers_with_one_id(count, many):
    """The CSMS sets keys of stations."""
    names = stations(many)
    return [m for n in range(count // 2)
            for m in exchange(spread(n, names), str(n) if many else "1", "ChangeConfiguration",
                              {"key": f"K{n % 50}", "value": str(n)}, {"status": "Accepted"},
                              ("out", "in"))]


def heartbeats(count, many):
    names = stations(many)
    return [message("in", spread(n, names), 2, str(n), "Heartbeat", {}) for n in range(count)]


def equal_heartbeats(count, many):
    """A stuck gateway: the same message again and again."""
    names = stations(many)
    return [message("in", spread(n, names), 2, str(n) if many else "1", "Heartbeat", {})
            for n in range(count)]


def states_of_one_connector(count, many):
    names = stations(many)
    return [message("in", spread(n, names), 2, str(n), "StatusNotification", {
        "connectorId": 1, "errorCode": "NoError", "timestamp": stamp(n),
        "status": ("Available", "Preparing", "Charging")[n % 3]}) for n in range(count)]


def times_that_are_invalid(count, many):
    names = stations(many)
    return [message("in", spread(n, names), 2, str(n), "StatusNotification", {
        "connectorId": 1, "errorCode": "NoError", "timestamp": "0000-00-00T00:00:00Z",
        "status": ("Available", "Preparing", "Charging")[n % 3], "info": str(n)})
        for n in range(count)]


def tokens_of_one_uid(count, many):
    return [("cs/store/token", json.dumps({
        "op": "set", "uid": f"T{n if many else 1}", "type": "RFID", "country_code": "GB",
        "party_id": "TWK", "contract_id": f"GBTWK{n}", "issuer": "Thoughtworks",
        "valid": n % 2 == 0, "cache_mode": "ALWAYS", "last_updated": stamp(n)}))
        for n in range(count)]


def settings_of_one_station(count, many, keys=None):
    names = stations(many)
    return [("cs/store/setting", json.dumps({
        "op": "set", "charge_station_id": spread(n, names), "key": f"K{n % (keys or count)}",
        "value": hashlib.sha256(str(n).encode()).hexdigest(), "status": "Accepted",
        "last_updated": stamp(n)})) for n in range(count)]


def setting_of_one_station(count, many):
    return settings_of_one_station(count, many, keys=1 if not many else None)


def updates_of_one_transaction(count, many):
    names = stations(many)
    return [message_2x(spread(n, names), 2, str(n), "TransactionEvent", {
        "eventType": "Updated", "timestamp": stamp(n), "triggerReason": "MeterValuePeriodic",
        "seqNo": n // len(names), "transactionInfo": {
            "transactionId": f"X{n % len(names)}", "chargingState": "Charging"},
        "evse": {"id": 1, "connectorId": 1}, "meterValue": [
            {"timestamp": stamp(n), "sampledValue": [
                {"value": n * 10, "measurand": "Energy.Active.Import.Register"}]}]})
        for n in range(count)]


def every_other_update(count, many):
    """In any order, every other one missing: as many numbers missing as there can be."""
    made = [n for n in range(2 * count) if n // (STATIONS if many else 1) % 2 == 0]
    random.Random(1).shuffle(made)
    names = stations(many)
    return [message_2x(spread(n, names), 2, str(n), "TransactionEvent", {
        "eventType": "Updated", "timestamp": stamp(n), "triggerReason": "MeterValuePeriodic",
        "seqNo": n // len(names), "transactionInfo": {"transactionId": f"X{n % len(names)}"},
        "evse": {"id": 1}}) for n in made]


def values_of_one_transaction(count, many):
    names = stations(many)
    return [message("in", spread(n, names), 2, str(n), "MeterValues", {
        "connectorId": 1, "transactionId": n % len(names) + 1, "meterValue": [
            {"timestamp": stamp(n), "sampledValue": [
                {"value": str(n * 10), "measurand": "Energy.Active.Import.Register"}]}]})
        for n in range(count)]


def sessions_of_one_id(count, many):
    """Starts and stops in a row, to which a CSMS gives the transaction id 7."""
    names = stations(many)

    def one(n):
        station, transaction = spread(n, names), n + 10 if many else 7
        return [
            *exchange(station, f"{n}.1", "StartTransaction", {
                "connectorId": 1, "idTag": f"T{n}", "meterStart": n, "timestamp": stamp(n)},
                {"transactionId": transaction, "idTagInfo": {"status": "Accepted"}}),
            *exchange(station, f"{n}.2", "StopTransaction", {
                "transactionId": transaction, "meterStop": n + 1, "timestamp": stamp(n + .5)}, {})]

    return [m for n in range(count // 4) for m in one(n)]


def starts_of_one_id(count, many):
    """Starts that get the transaction id 7 and never end."""
    names = stations(many)
    return [m for n in range(count // 2) for m in exchange(
        spread(n, names), f"{n}.1", "StartTransaction", {
            "connectorId": 1, "idTag": f"T{n}", "meterStart": n, "timestamp": stamp(n)},
        {"transactionId": n + 10 if many else 7, "idTagInfo": {"status": "Accepted"}})]


# name: (what is one in the first log, messages, how many)
CASES = {
    "station": ("one station sends everything", all_of_one_station, 30_000),
    "station_id": ("one station sends everything with one message id", all_with_one_id, 30_000),
    "authorize": ("Authorize and results of one station with one message id",
                  authorize_with_one_id, 16_000),
    "answers": ("settings that one station is sent with one message id", answers_with_one_id,
                16_000),
    "heartbeats": ("heartbeats of one station", heartbeats, 30_000),
    "equal": ("one heartbeat again and again", equal_heartbeats, 30_000),
    "status": ("states of one connector", states_of_one_connector, 10_000),
    "invalid": ("messages of one station with an invalid time", times_that_are_invalid, 10_000),
    "token": ("tokens of one uid, told to the store", tokens_of_one_uid, 10_000),
    "setting": ("one setting of one station, told to the store", setting_of_one_station, 10_000),
    "settings": ("10,000 settings of one station, told to the store", settings_of_one_station,
                 10_000),
    "events": ("TransactionEvents of one transaction", updates_of_one_transaction, 20_000),
    "every_other": ("TransactionEvents of one transaction, out of order, every other one missing",
             every_other_update, 20_000),
    "values": ("MeterValues of one transaction", values_of_one_transaction, 20_000),
    "sessions": ("sessions of one transaction id", sessions_of_one_id,
                 20_000),
    "starts": ("starts of one transaction id that never end", starts_of_one_id, 10_000),
}


# ---- measuring ----

class Log:
    """A full log on disk, and the persister that drains it, into a new database each time."""

    def __init__(self, b, name, messages):
        self.b, self.name, self.drains, self.count = b, name, 0, len(messages)
        self.persister = rig.Persister(b.workspace, b.persister.binary, {
            **b.persister.settings, "mqtt.topics": "cs/in/+/+,cs/out/+/+,cs/store/+",
            "mqtt.client_id": name, "spool.dir": os.path.join(b.workspace.path, name),
            "http.listen": f"127.0.0.1:{rig.free_port()}",
            **b.postgres.settings("nobody", port=rig.free_port())}, name=name)
        capture = os.path.join(b.workspace.path, name + ".jsonl")
        with open(capture, "w") as f:
            f.writelines(json.dumps({"tst": "2026-01-31T00:00:00Z", "topic": topic, "qos": 1,
                                     "retain": 0, "payload": payload}) + "\n"
                         for topic, payload in messages)
        self.persister.start()
        self.persister.wait_metric("ocpp_persister_broker_up", 1)
        subprocess.run([self.persister.binary, "replay", "--publish", b.broker.url, "--speed",
                        "max", capture], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        self.persister.wait_metric("ocpp_persister_backlog_records", self.count)
        self.persister.stop()
        os.unlink(capture)

    def drain(self):
        """{"rate": messages a second, "cpu_us": of persister and PostgreSQL a message}"""
        self.drains += 1
        database = f"{self.name}_{self.drains}"
        self.b.postgres.psql(f"CREATE DATABASE {database} TEMPLATE migrated STRATEGY wal_log")
        self.b.postgres.psql("CHECKPOINT")
        p = self.persister
        p.settings.update(self.b.postgres.settings(database))
        before = rig.cpu_seconds(self.b.postgres.pid)
        p.start()
        p.wait_metric("ocpp_persister_database_up", 1)
        began, used = time.monotonic(), p.cpu_seconds()
        p.wait_metric("ocpp_persister_backlog_records", lambda left: left == 0, 600)
        seconds = time.monotonic() - began
        ours = p.cpu_seconds() - used
        peak = p.rss_peak_kib() / 1024
        failed = p.metric("ocpp_persister_batches_failed_total")
        dead = p.metric('ocpp_persister_messages_total{outcome="dead_lettered"}')
        p.stop()
        theirs = rig.cpu_seconds(self.b.postgres.pid) - before
        self.b.postgres.psql(f"DROP DATABASE {database}")
        if failed or dead:
            raise rig.RigError(f"{self.name}: {failed} failed batches, {dead} dead letters")
        return {"rate": self.count / seconds, "rss_peak_mib": peak,
                "cpu_us": (ours + theirs) * 1e6 / self.count}


def measure(b, rounds, count=None):
    """b: servers. count: so many messages of each case, not as many as it usually has."""
    b.new_database("migrated")
    return {name: measure_case(b, name, rounds, count) for name in CASES}


def measure_case(b, name, rounds, count=None):
    _, messages, usual = CASES[name]
    logs = {who: Log(b, f"{name}_{who}", messages(count or usual, who == "many"))
            for who in ("many", "one")}
    runs = []
    for number in range(rounds):
        order = ("many", "one") if number % 2 else ("one", "many")
        runs.append({who: logs[who].drain() for who in order})
    return {"messages": logs["one"].count,
            "ratio": statistics.median(r["one"]["rate"] / r["many"]["rate"] for r in runs),
            **{who: {key: statistics.median(r[who][key] for r in runs) for key in runs[0][who]}
               for who in logs}}


def tell(figures):
    print(f"""
draining what is all of one, beside as many messages of {STATIONS:,} stations (or tokens); the \
ratio is to be {WANTED} at least
                             messages       one: messages/s, CPU   of many: /s, CPU   ratio""")
    for name, f in figures.items():
        if name == "rss_peak_mib":
            continue
        print(f"""  {CASES[name][0]}
  {"":>27}{f["messages"]:>8,} {f["one"]["rate"]:>16,.0f} {f["one"]["cpu_us"]:>6.0f} us \
{f["many"]["rate"]:>11,.0f} {f["many"]["cpu_us"]:>6.0f} us {f["ratio"]:>7.2f}\
{"" if f["ratio"] >= WANTED else "  TOO SLOW"}""")
