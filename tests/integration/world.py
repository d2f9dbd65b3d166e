"""One persister for all tests of a file, which starts only once (fixture world)."""

import datetime
import itertools

import rig

DAY = "2026-01-31T"


def utc(text):
    return datetime.datetime.fromisoformat(text + "+00:00")


class World:
    """A broker, a database and a persister that many tests share, each with stations of its own:
    what is published, and what is in the database once all of it is there."""

    def __init__(self, publisher, database):
        self.publisher, self.database, self.sent = publisher, database, 0
        self._stations = (f"cs{number:03}" for number in itertools.count())
        self._ids = (str(number) for number in itertools.count())

    def station(self):
        return next(self._stations)

    def call(self, station, action, request, version="1.6", direction="in", id=None):
        id = next(self._ids) if id is None else id
        self.publisher.call(station, action, request, id=id, version=version, direction=direction)
        self.sent += 1
        return id

    def result(self, station, action, response, id, version="1.6", direction="out", **more):
        self.publisher.send(station, {"type": 3, "action": action, "id": id, **more,
                                      "response": response}, version, direction)
        self.sent += 1

    def start(self, station, answer, at="10:00:00Z", id=None, **more):
        request = {"connectorId": 1, "idTag": "TAG", "meterStart": 1500, "timestamp": DAY + at,
                   **more}
        id = self.call(station, "StartTransaction", request, id=id)
        status = "Invalid" if answer == -1 else "Accepted"
        self.result(station, "StartTransaction",
                    {"transactionId": answer, "idTagInfo": {"status": status}}, id)

    def event(self, station, kind, transaction="T", number=0, at="10:00:00Z", **more):
        return self.call(station, "TransactionEvent", {
            "eventType": kind, "timestamp": DAY + at, "triggerReason": "Authorized",
            "seqNo": number, "transactionInfo": {"transactionId": transaction}, **more}, "2.0.1")

    def rows(self, sql, *parameters):
        sql = sql.replace("%", "%%").replace("?", "%s")

        def look():
            return self.database.value(
                "SELECT coalesce(sum(received), 0) FROM ingest_progress") >= self.sent

        rig.wait_until(look, 30, lambda: str(self.database.rows("TABLE ingest_progress")))
        assert self.database.rows("SELECT reason, detail FROM dead_letters") == []
        return self.database.rows(sql, *parameters)
