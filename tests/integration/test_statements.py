"""The work of statements for a batch grows with the rows of the batch, whatever one station sends:
no row is compared with all others, nor with everything stored. Read from the plans that PostgreSQL
executed, so that the speed of the machine does not matter."""

import json
import re

import one_figures
import psycopg
import pytest
from conftest import run_cli

BATCH = 1000
MESSAGES = 3 * BATCH
# For each message of a batch: rows that a part of a plan looks at, pages that a statement reads.
ROWS_MAX, PAGES_MAX = 10, 30

# What a broker does not do by itself, but a capture may hold.
CASES = {name: messages for name, (_, messages, _) in one_figures.CASES.items()}
CASES["retained"] = one_figures.times_that_are_invalid


@pytest.fixture
def explained(migrated):
    """The migrated database, where each statement says what it did."""
    with psycopg.connect(migrated.dsn(), autocommit=True) as c:
        for name, value in {"session_preload_libraries": "auto_explain",
                            "auto_explain.log_min_duration": "0",
                            "auto_explain.log_analyze": "on", "auto_explain.log_timing": "off",
                            "auto_explain.log_buffers": "on",
                            "auto_explain.log_format": "json"}.items():
            c.execute(f"ALTER DATABASE {migrated.name} SET {name} = '{value}'")
    return migrated


def nodes(plan):
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def rows_looked_at(node):
    removed = sum(value for key, value in node.items() if key.startswith("Rows Removed by"))
    return (node["Actual Rows"] + removed) * node["Actual Loops"]


def statements(log):
    """For each of our own statements: (its text, rows that its busiest node looked at, pages)."""
    for entry in re.split(r"(?m)^(?=\d{4}-\d\d-\d\d \d\d:)", log):
        if " plan:" not in entry:
            continue
        said = json.loads(entry[entry.index("{"):], strict=False)
        plan = said["Plan"]
        if "partition(" in said["Query Text"]:
            continue  # made ahead, not for each batch
        yield (said["Query Text"], max(map(rows_looked_at, nodes(plan))),
               plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def capture(path, messages, retained):
    path.write_text("".join(json.dumps({
        "tst": f"2026-01-31T10:{i // 60000:02}:{i // 1000 % 60:02}.{i % 1000:03}Z", "topic": topic,
        "qos": 1, "retain": int(retained), "payload": payload}) + "\n"
        for i, (topic, payload) in enumerate(messages)))
    return path


@pytest.mark.parametrize("who", ["one", "many"])
@pytest.mark.parametrize("name", CASES)
def test_no_statement_grows_faster_than_its_batch(explained, tmp_path, name, who):
    made = CASES[name](MESSAGES, who == "many")
    path = capture(tmp_path / "capture.jsonl", made, name == "retained")
    with open(explained.cluster.log) as log:
        log.seek(0, 2)
        done = run_cli({**explained.settings(), "batch.messages_max": BATCH // 2,  # times 2
                        "mqtt.topics": "cs/in/+/+,cs/out/+/+,cs/store/+"},
                       "replay", "--json", "--no-bulk", str(path))
        said = log.read()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["dead_lettered"] == 0
    found = list(statements(said))
    busiest = max(found, key=lambda s: s[1])
    widest = max(found, key=lambda s: s[2])
    print(len(made), len(found), "rows", busiest[1] / BATCH, busiest[0][:60], "pages",
          widest[2] / BATCH, widest[0][:60])
    assert len(found) > 3 * len(made) / BATCH
    assert busiest[1] <= ROWS_MAX * BATCH, busiest[0]
    assert widest[2] <= PAGES_MAX * BATCH, widest[0]


def twice_started(n):
    """A long transaction whose start comes again, and once more as after a restart."""
    kind, seq = ("Started", {100: 0}.get(n, n)) if n in (0, 100, 200) else ("Updated", n)
    return one_figures.message_2x("cs1", 2, str(n), "TransactionEvent", {
        "eventType": kind, "timestamp": one_figures.stamp(n), "triggerReason": "MeterValuePeriodic",
        "seqNo": seq, "transactionInfo": {"transactionId": "T1"}, "evse": {"id": 1}})


def test_id_with_several_starts_is_not_read_again_with_each_batch(explained, tmp_path):
    batch = BATCH // 10
    path = capture(tmp_path / "capture.jsonl", map(twice_started, range(MESSAGES)), False)
    with open(explained.cluster.log) as log:
        log.seek(0, 2)
        done = run_cli({**explained.settings(), "batch.messages_max": batch // 2,
                        "mqtt.topics": "cs/in/+/+"},
                       "replay", "--json", "--no-bulk", str(path))
        said = log.read()
    assert done.returncode == 0, done.stderr
    assert explained.rows("SELECT seq_no_missing, flag_names(flags)::text[] FROM transactions") == [
        (1, ["duplicate_start"])]
    read = [rows for text, rows, _ in statements(said) if "found AS" in text]
    print(len(read), "reads", max(read))
    assert 0 < len(read) <= 3 and max(read) <= ROWS_MAX * batch


def event_2x(station, number, kind, at, seq, evse, value):
    at = one_figures.stamp(at)
    context = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}.get(kind)
    return one_figures.message_2x(station, 2, str(number), "TransactionEvent", {
        "eventType": kind, "timestamp": at, "triggerReason": "Authorized", "seqNo": seq,
        "transactionInfo": {"transactionId": "1"}, "evse": {"id": evse},
        "meterValue": [{"timestamp": at, "sampledValue": [
            {"value": value, **({"context": context} if context else {})}]}]})


def one_long_session(station, count):
    """It begins three times: the last time after all that is read again for an id."""
    for n in range(count):
        kind = {0: "Started", 1: "Started", count - 2: "Started", count - 1: "Ended"}.get(
            n, "Updated")
        yield event_2x(station, n, kind, n, n, 1, n)


def never_idle(station, count):
    """Two EVSEs with one id, in turn: a session of one always is open while the other's begins."""
    for n in range(count // 2):
        evse, at = 1 + n % 2, 15 * n
        yield event_2x(station, 2 * n, "Started", at, 0, evse, n)
        if n > 0:
            yield event_2x(station, 2 * n + 1, "Ended", at + 10, 1, 3 - evse, n - 1 + 7)


def test_id_with_too_many_events_costs_no_more_and_no_message(explained, tmp_path):
    """Beyond what is read again, sessions of an id are told apart no more, and say so. What comes
    before so many others is of no session."""
    count = 11_000
    orders = [list(one_long_session("long", count)), list(never_idle("busy", count + 2)),
              list(never_idle("backwards", count + 2))[::-1]]
    path = capture(tmp_path / "capture.jsonl", [m for three in zip(*orders) for m in three], False)
    with open(explained.cluster.log) as log:
        log.seek(0, 2)
        done = run_cli({**explained.settings(), "batch.messages_max": BATCH,
                        "mqtt.topics": "cs/in/+/+"}, "replay", "--json", "--no-bulk", str(path))
        said = log.read()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["dead_lettered"] == 0
    read = [rows for text, rows, _ in statements(said) if "found AS" in text]
    print(len(read), "reads", max(read))
    assert max(read) <= 3 * 3 * 10_001  # of three ids, three times
    found = explained.rows("""
        SELECT charge_station_id, energy_wh::integer, 'end_ambiguous' = ANY (flags), count(*)
        FROM sessions WHERE complete OR 'end_ambiguous' = ANY (flags)
        GROUP BY 1, 2, 3 ORDER BY 1, 2""")
    print(found)
    assert ("long", count - 1, False, 1) in found
    assert {row[1:3] for row in found if row[0] == "busy"} == {(7, False), (None, True)}
