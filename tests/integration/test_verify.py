"""`verify` and the ledger of stations: every loss is found, and none is reported that did not
happen."""

import json
import subprocess

import pytest
import rig
from conftest import STATIONS, stored, verify_ledger

STATION = "cs0001"
TOPIC_IN, TOPIC_OUT = f"cs/in/ocpp1.6/{STATION}", f"cs/out/ocpp1.6/{STATION}"
TIME = "2026-11-20T08:00:00Z"


@pytest.mark.parametrize("shape, seed", [("frame", 1), ("frame", 2), ("envelope", 1), ("batch", 1)])
def test_what_stations_say_in_any_shape_is_found(running, migrated, broker, tmp_path, shape, seed):
    running()
    ledger = tmp_path / "ledger"
    done = subprocess.run(
        [STATIONS, "--broker", broker.url, "--ledger", str(ledger), "--quiet", "--rate", "0",
         "--messages", "6000", "--seed", str(seed), "--shape", shape, "--duplicates", "5",
         "--reorder", "5"], capture_output=True, text=True, timeout=rig.HANGS_S)
    assert done.returncode == 0, done.stderr
    stored(migrated, 6000, 120)
    done = verify_ledger(migrated, ledger)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost 0, doubled 0, altered 0, unexpected 0" in done.stdout


class Book:
    """A ledger made by hand, and what it says published, unless it is to be left out."""

    def __init__(self, publish, path):
        self.publish, self.path = publish, path
        self.lines = [{"ledger": 1, "seed": 1, "options": {}}]
        self.sent = 0

    def say(self, kind, action, id, payload, facts=None, dup_of=None, send=True):
        """Another message; send=False: it was written down, and neither sent nor acknowledged."""
        m = sum("m" in line for line in self.lines) + 1
        topic = TOPIC_IN if kind == "call" else TOPIC_OUT
        line = {"m": m, "topic": topic, "qos": 1, "kind": kind, "action": action, "id": id}
        line.update({"dup_of": dup_of} if dup_of else {"facts": facts})
        self.lines.append(line)
        if send:
            key = {"call": "request", "result": "response"}[kind]
            self.publish.raw(topic, json.dumps({"type": 2 if kind == "call" else 3, "id": id,
                                                "action": action, key: payload}))
            self.lines.append({"a": [m]})
            self.sent += 1
        return m

    def verify(self, database):
        stored(database, self.sent)
        self.path.write_text("".join(json.dumps(line) + "\n" for line in self.lines))
        return verify_ledger(database, self.path)


START = {"connectorId": 1, "idTag": "T", "meterStart": 1000, "timestamp": TIME}
STARTED = {"t": "transaction_events", "station": STATION, "time": TIME, "evse": 1, "connector": 1,
           "event": "Started", "token": "T", "meter_start": "1000"}
AUTHORIZATION = {"t": "authorizations", "station": STATION, "message_id": "9", "token": "T"}


def answer(transaction):
    return ({"transactionId": transaction, "idTagInfo": {"status": "Accepted"}},
            [{"t": "transaction_starts", "station": STATION, "time": TIME, "evse": 1,
              "transaction": str(transaction), "status": "Accepted"}])


@pytest.fixture
def book(running, publish, tmp_path):
    running()
    return Book(publish, tmp_path / "ledger")


@pytest.mark.parametrize("retry_sent", [True, False])
@pytest.mark.parametrize("original_sent", [True, False])
def test_answer_is_expected_only_where_its_own_call_was_published(
        migrated, book, original_sent, retry_sent):
    """A station that retries has another message id, and an answer that goes by that."""
    first = book.say("call", "StartTransaction", "1", START, [STARTED], send=original_sent)
    book.say("result", "StartTransaction", "1", *answer(7))
    book.say("call", "StartTransaction", "2", START, dup_of=first, send=retry_sent)
    book.say("result", "StartTransaction", "2", *answer(8))
    done = book.verify(migrated)
    assert done.returncode == 0, done.stdout + done.stderr
    # And each that is expected is missed.
    for transaction, sent in ((7, original_sent), (8, retry_sent)):
        count = migrated.value("WITH gone AS (DELETE FROM transaction_starts "
                               "WHERE transaction_id = %s RETURNING 1) SELECT count(*) FROM gone",
                               str(transaction))
        assert count == sent
        done = book.verify(migrated)
        lost = original_sent + (transaction == 8 and retry_sent)
        assert f"lost {lost}, doubled 0" in done.stdout
        assert done.returncode == (1 if lost else 0)


def test_start_that_is_refused_twice_alike_is_not_doubled(migrated, book):
    """Sent again under another message id: two answers that say the same. A third is too much."""
    refused = ({"transactionId": -1, "idTagInfo": {"status": "Blocked"}},
               [{"t": "transaction_starts", "station": STATION, "time": TIME, "evse": 1,
                 "transaction": "-1", "status": "Blocked"}])
    first = book.say("call", "StartTransaction", "1", START, [STARTED])
    book.say("result", "StartTransaction", "1", *refused)
    book.say("call", "StartTransaction", "2", START, dup_of=first)
    book.say("result", "StartTransaction", "2", *refused)
    done = book.verify(migrated)
    assert done.returncode == 0, done.stdout + done.stderr
    migrated.rows("INSERT INTO transaction_starts SELECT (jsonb_populate_record(t,"
                  " jsonb_build_object('result_digest', t.result_digest / 2))).*"
                  " FROM transaction_starts t LIMIT 1")
    done = book.verify(migrated)
    assert "doubled 1" in done.stdout and done.returncode == 1


def test_session_is_expected_only_if_its_own_messages_came(migrated, book):
    """The retry of the start came, its answer did not: the original's answer belongs to nothing."""
    first = book.say("call", "StartTransaction", "1", START, [STARTED], send=False)
    answered = book.say("result", "StartTransaction", "1", *answer(7))
    book.say("call", "StartTransaction", "2", START, dup_of=first)
    stop = book.say("call", "StopTransaction", "3",
                    {"transactionId": 7, "meterStop": 6000, "timestamp": "2026-11-20T09:00:00Z"},
                    [{"t": "transaction_events", "station": STATION, "event": "Ended", "evse": -1,
                      "time": "2026-11-20T09:00:00Z", "transaction": "7", "meter_stop": "6000"}])
    book.lines.append({"t": "transactions", "station": STATION, "transaction": "7", "evse": 1,
                       "token": "T", "started": TIME, "stopped": "2026-11-20T09:00:00Z",
                       "meter_start": "1000", "meter_stop": "6000",
                       "needs": [first, answered, stop]})
    done = book.verify(migrated)
    assert done.returncode == 0, done.stdout + done.stderr


def test_authorization_that_was_not_published_has_no_result(migrated, book):
    book.say("call", "Authorize", "9", {"idTag": "T"}, [AUTHORIZATION], send=False)
    book.say("result", "Authorize", "9", {"idTagInfo": {"status": "Accepted"}},
             [{"t": "authorization_results", "station": STATION, "message_id": "9", "token": "T",
               "status": "Accepted"}])
    done = book.verify(migrated)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_a_station_calls_itself_cannot_write_to_the_terminal(migrated, book):
    fact = {**AUTHORIZATION, "token": "\x1b[2J\u202e"}
    book.say("call", "Authorize", "9", {"idTag": "T"}, [fact])
    done = book.verify(migrated)
    assert done.returncode == 1 and "\\u202e" in done.stdout
    assert "".join(done.stdout.splitlines()).isprintable()
