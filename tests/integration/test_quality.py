"""What looks wrong is stored as it came, and suspicious_sessions says why it looks wrong."""

import time

import pytest
from conftest import stored

DAY = "2026-01-31T"


class Sessions:
    """Publishes sessions of 1.6 (with the answers of a CSMS) and 2.0.1, and counts messages."""

    def __init__(self, publish, database):
        self.publish, self.database, self.count = publish, database, 0

    def start(self, station, transaction, at, meter=1000, connector=1, answered=True):
        self.count += 1 + answered
        id = f"s{self.count}"
        self.publish.call(station, "StartTransaction", {
            "connectorId": connector, "idTag": "TAG", "meterStart": meter, "timestamp": at}, id=id)
        if answered:
            self.publish.result(station, "StartTransaction", {
                "transactionId": transaction, "idTagInfo": {"status": "Accepted"}}, id=id)

    def stop(self, station, transaction, at, meter=8000, **more):
        self.count += 1
        self.publish.call(station, "StopTransaction", {
            "transactionId": transaction, "meterStop": meter, "timestamp": at, **more},
            id=f"e{self.count}")

    def values(self, station, transaction, *readings, connector=1):
        self.count += 1
        self.publish.call(station, "MeterValues", {
            "connectorId": connector, **({"transactionId": transaction} if transaction else {}),
            "meterValue": [{"timestamp": at, "sampledValue": [{"value": value}]}
                           for at, value in readings]}, id=f"m{self.count}")

    def event(self, station, transaction, kind, at, number, **more):
        self.count += 1
        self.publish.call(station, "TransactionEvent", {
            "eventType": kind, "timestamp": at, "triggerReason": "Authorized", "seqNo": number,
            "transactionInfo": {"transactionId": transaction}, "evse": {"id": 1}, **more},
            id=f"t{self.count}", version="2.0.1")

    def reasons(self):
        """{(station, transaction): reasons} of all that looks suspicious."""
        stored(self.database, self.count)
        return {(station, transaction): reasons for station, transaction, reasons in
                self.database.rows("SELECT charge_station_id, transaction_id, reasons"
                                   " FROM suspicious_sessions")}


@pytest.fixture
def sessions(running, migrated, publish):
    running()
    return Sessions(publish, migrated)


def test_what_is_in_order_is_not_suspicious(sessions, migrated):
    sessions.start("cs001", 1, DAY + "10:00:00Z")
    sessions.values("cs001", 1, (DAY + "10:10:00Z", "2000"), (DAY + "10:20:00Z", "3000.5"))
    sessions.values("cs001", None, (DAY + "10:30:00Z", "4000"))
    sessions.stop("cs001", 1, DAY + "11:00:00Z", transactionData=[
        {"timestamp": DAY + "10:20:00Z", "sampledValue": [{"value": "3000.5"}]}])
    sessions.start("cs001", 2, DAY + "11:00:00Z", meter=8000)  # the next one, right after it
    sessions.stop("cs001", 2, DAY + "12:00:00+00:00", meter=9000)
    sessions.start("cs001", 3, DAY + "10:15:00Z", connector=2)  # beside it, at another connector
    sessions.stop("cs001", 3, DAY + "10:45:00", meter=2000)  # no zone: odd, not suspicious
    for number, kind in enumerate(["Started", "Updated", "Updated", "Ended"]):
        sessions.event("cs201", "T", kind, f"{DAY}10:{number}0:00Z", number)
    assert sessions.reasons() == {}
    assert migrated.value("SELECT count(*) FROM sessions") == 4


def test_meter_that_runs_backwards_between_readings(sessions):
    sessions.start("cs001", 1, DAY + "10:00:00Z")
    sessions.values("cs001", 1, (DAY + "10:10:00Z", "2000"), (DAY + "10:20:00Z", "1500"),
                    (DAY + "10:30:00Z", "1600"), (DAY + "10:40:00Z", "3"))
    sessions.stop("cs001", 1, DAY + "11:00:00Z")
    # Readings of another connector are another meter's.
    sessions.start("cs002", 1, DAY + "10:00:00Z")
    sessions.values("cs002", 1, (DAY + "10:10:00Z", "2000"))
    sessions.values("cs002", None, (DAY + "10:20:00Z", "5"), connector=2)
    sessions.stop("cs002", 1, DAY + "11:00:00Z")
    assert sessions.reasons() == {("cs001", "1"): ["the meter ran backwards 2 times"]}


def test_end_that_does_not_fit_its_start(sessions, migrated):
    sessions.start("cs001", 1, DAY + "10:00:00Z", meter=5000)
    sessions.stop("cs001", 1, DAY + "11:00:00Z", meter=4999)
    sessions.start("cs002", 1, DAY + "10:00:00Z")
    sessions.stop("cs002", 1, DAY + "09:59:59Z")
    sessions.start("cs003", 1, DAY + "10:00:00Z", meter=0)
    sessions.stop("cs003", 1, DAY + "11:00:00Z", meter=500000)  # 500 kW: such chargers exist
    sessions.start("cs004", 1, DAY + "10:00:00Z", meter=0)
    sessions.stop("cs004", 1, DAY + "11:00:00Z", meter=500001)
    sessions.start("cs005", 1, DAY + "10:00:00Z", meter=0)
    sessions.stop("cs005", 1, DAY + "10:00:00Z", meter=8000)  # within a minute of clocks
    assert sessions.reasons() == {
        ("cs001", "1"): ["the meter at the end is below the meter at the start"],
        ("cs002", "1"): ["the end is before the start"],
        ("cs004", "1"): ["more energy than 500 kW would give in the time"]}
    # As they came, nevertheless.
    assert migrated.rows("SELECT meter_start, meter_stop FROM transactions"
                         " WHERE charge_station_id = 'cs001'") == [(5000, 4999)]


def test_times_that_cannot_be(sessions):
    sessions.start("cs001", 1, "2000-00-00T00:00:00Z")
    sessions.stop("cs001", 1, DAY + "11:00:00Z")
    tomorrow = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 90000))
    sessions.start("cs002", 1, DAY + "10:00:00Z")
    sessions.stop("cs002", 1, tomorrow)
    sessions.event("cs201", "T", "Started", DAY + "10:00:00Z", 0)
    sessions.event("cs201", "T", "Ended", "1970-01-01T00:00:00Z", 1)
    assert sessions.reasons() == {
        ("cs001", "1"): ["the time is none, or outside 2010 to 2100"],
        ("cs002", "1"): ["the time is later than the time of receipt"],
        ("cs201", "T"): ["the time is none, or outside 2010 to 2100"]}


def test_two_sessions_at_one_connector_at_once(sessions):
    sessions.start("cs001", 1, DAY + "10:00:00Z")
    sessions.stop("cs001", 1, DAY + "11:00:00Z")
    sessions.start("cs001", 2, DAY + "10:30:00Z", meter=8000)
    sessions.stop("cs001", 2, DAY + "11:30:00Z", meter=9000)
    assert sessions.reasons() == {
        ("cs001", "1"): ["overlaps transaction 2 on the same EVSE"],
        ("cs001", "2"): ["overlaps transaction 1 on the same EVSE"]}


def test_starts_and_ends_that_are_missing_or_several(sessions):
    sessions.stop("cs001", 1, DAY + "11:00:00Z")
    sessions.start("cs002", 2, DAY + "10:00:00Z")
    # Still charging, it seems: the station speaks of it.
    sessions.start("cs003", 3, DAY + "10:00:00Z")
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sessions.values("cs003", 3, (now, "9000"))
    sessions.start("cs004", 4, DAY + "10:00:00Z")
    sessions.stop("cs004", 4, DAY + "11:00:00Z")
    sessions.stop("cs004", 4, DAY + "11:00:05Z", meter=8001)
    sessions.event("cs201", "T", "Started", DAY + "10:00:00Z", 0)
    sessions.event("cs201", "T", "Ended", DAY + "11:00:00Z", 4)
    sessions.event("cs202", "T", "Started", DAY + "10:00:00Z", 0)
    sessions.event("cs202", "T", "Started", DAY + "10:00:01Z", 1)
    sessions.event("cs202", "T", "Ended", DAY + "11:00:00Z", 2)
    assert sessions.reasons() == {
        ("cs001", "1"): ["no start"],
        ("cs002", "2"): ["no end, and nothing heard for a day"],
        ("cs004", "4"): ["several different ends"],
        ("cs201", "T"): ["3 events missing (gap in seqNo)"],
        ("cs202", "T"): ["several different starts"]}


def test_start_that_got_several_ids(sessions, publish):
    """A station that repeats its start until it is answered gets an id each time, and uses the
    last."""
    for id, transaction in (("1", 41), ("2", 42)):
        publish.call("cs001", "StartTransaction", {"connectorId": 1, "idTag": "T", "meterStart": 5,
                                                   "timestamp": DAY + "10:00:00Z"}, id=id)
        publish.result("cs001", "StartTransaction", {
            "transactionId": transaction, "idTagInfo": {"status": "Accepted"}}, id=id)
    sessions.count += 4
    sessions.stop("cs001", 42, DAY + "11:00:00Z", meter=6000)
    reasons = sessions.reasons()
    assert "the same start got another id, 42, with which it went on" in reasons[("cs001", "41")]
    assert ("cs001", "42") not in reasons or \
        reasons[("cs001", "42")] == ["overlaps transaction 41 on the same EVSE"]
