"""Promise 4: the same messages in any order, any number of times, in whatever form, give the same
tables.

Many generated histories share one load, each at its own station. One database gets them in order,
as they happened, as envelopes. Another gets them shuffled over all stations, each in some form,
some twice, through two workers with small batches, one of which is killed in between. Then both
must hold the same, except for times of arrival, and which of two equal messages came first.

Where times of receipt decide (clocks that are not set, answers that come late or again), histories
have such times, and are replayed: in order, and shuffled by two processes at once.

    PROPERTY_SEED=7 PROPERTY_HISTORIES=50000 pytest -s test_property.py    the long mode

tests/mutations.py breaks the merge of one column after the other, and expects this test to fail.
"""

import concurrent.futures
import json
import os
import random

import psycopg
import pytest
import rig
from conftest import make_database, run_cli
from forms import FORMS, settled, written
from histories import History
from paho.mqtt import client as mqtt
from received import EPOCH, ReceivedHistory

SEED = int(os.environ.get("PROPERTY_SEED", "1"))
HISTORIES = int(os.environ.get("PROPERTY_HISTORIES", "2000"))
WAIT_S = int(os.environ.get("PROPERTY_WAIT", "300"))
SHRINK_ROUNDS = int(os.environ.get("PROPERTY_SHRINK", "12"))
PUBLISHED_AT_ONCE = 20_000  # the client's queue has room for 65,535

# Times of arrival, and what a message says about itself rather than about the station.
ARRIVAL = {"received_at", "first_received_at", "last_received_at", "result_received_at",
           "booted_at", "last_heartbeat_at", "stored_at", "updated_at", "message_id", "resent_as",
           "merge_state", "result_rank",  # ranks of facts have times of arrival in them
           "link_kind", "distance_us",  # between two arrivals
           "begins_at"}  # that of arrival where there is no other
# Not about stations, or work tables: halves of exchanges, and flags of values without a valid time,
# are kept with each time they came.
SKIPPED = {"schema_migrations", "partitioned_tables", "ingest_progress", "meter_value_layouts",
           "exchange_halves", "transaction_flags", "station_activity", "station_changes",
           "energy_hours", "energy_pending"}


def energies(histories):
    """{station: {token: Wh}} of those whose ids were used again, as they must be."""
    return {f"p{h.seed:07}": h.energies for h in histories if h.energies}


def wrong_energies(database, expected):
    """{station: text}: sessions of an id that was used again, if they do not have their own end."""
    stored = {}
    for station, token, energy in database.rows(
            "SELECT charge_station_id, id_token, energy_wh::integer FROM sessions"
            " WHERE id_token IN ('ALICE', 'BOB', 'CAROL', 'DAVE')"):
        stored.setdefault(station, {})[token] = energy
    return {station: f"{stored.get(station)}, not {tokens}\n"
            for station, tokens in expected.items() if stored.get(station) != tokens}


def envelopes(histories):
    """{station: (version, [(direction, envelope)])}"""
    return {f"p{h.seed:07}": (h.version, settled([list(m) for m in h.messages]))
            for h in histories}


def topic(station, version, direction):
    return f"cs/{direction}/ocpp{version}/{station}"


def in_order(stations):
    """(topic, payload): runs of messages of one direction as one array, as gateways may batch."""
    for station, (version, messages) in stations.items():
        run, before = [], None
        for direction, envelope in [*messages, (None, None)]:
            if run and direction != before:
                yield topic(station, version, before), json.dumps(run)
                run = []
            before = direction
            run.append(envelope)


ENVELOPES = [form for form in FORMS if not form.startswith("array")]
ARRAYS = [form for form in FORMS if form.startswith("array")]


def shuffled(stations, rng):
    """Each message by itself, one in eight twice, each copy in some form, in any order. An answer
    whose call was not seen gets its action only from an envelope."""
    every = []
    for station, (version, messages) in stations.items():
        called = {m["id"] for _, m in messages if m["type"] == 2}
        every += [(topic(station, version, direction), envelope,
                   FORMS if envelope["id"] in called else ENVELOPES)
                  for direction, envelope in messages]
    every += rng.sample(every, len(every) // 8)
    rng.shuffle(every)
    return [(where, written(envelope, rng.choice(forms))) for where, envelope, forms in every]


def publish(broker, messages):
    client = mqtt.Client("histories", protocol=mqtt.MQTTv311)
    client.max_inflight_messages_set(1000)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    for i in range(0, len(messages), PUBLISHED_AT_ONCE):
        sent = [client.publish(where, payload, qos=1)
                for where, payload in messages[i:i + PUBLISHED_AT_ONCE]]
        for one in sent:
            one.wait_for_publish(rig.HANGS_S)
    client.disconnect()
    client.loop_stop()


def wait_received(database, count):
    rig.wait_until(lambda: database.value(
        "SELECT coalesce(sum(received), 0) FROM ingest_progress") >= count, WAIT_S,
        lambda: f"{count} messages: {database.rows('TABLE ingest_progress')}")


class Load:
    """Servers that take histories in both ways, again and again."""

    def __init__(self, cluster, broker, persister):
        self.cluster, self.broker, self.persister = cluster, broker, persister

    def run(self, stations, seed):
        """Two databases that hold the same, it is hoped."""
        rng = random.Random(seed)
        plain, mixed = make_database(self.cluster), make_database(self.cluster)
        self.take(plain, [{}], list(in_order(stations)), stations, None)
        self.take(mixed, [{"batch.messages_max": rng.randint(7, 60)}, {"batch.messages_max": 200}],
                  shuffled(stations, rng), stations, rng)
        return plain, mixed

    def take(self, database, workers, messages, stations, rng):
        settings = {**database.settings(), **self.broker.settings(), "mqtt.group": database.name,
                    "pairing.window": "1h", "spool.sync": "none", "log.level": "warn",
                    # The number of its window is in the digest of a row without a time, and both
                    # databases are to be loaded within one window.
                    "dedupe.window": "1d"}
        running = [self.persister({**settings, **own}).start("--migrate") for own in workers]
        for p in running:
            p.wait_metric("ocpp_persister_broker_up", 1)
            p.wait_metric("ocpp_persister_database_up", 1)
        middle = len(messages) // 2 if rng else 0
        if rng:
            publish(self.broker, messages[:middle])
            running[0].kill9()
            running[0].start()
        publish(self.broker, messages[middle:])
        count = sum(len(m) for _, m in stations.values())
        wait_received(database, count if rng is None else len(messages))
        for p in running:
            p.stop()
        assert database.value("SELECT count(*) FROM dead_letters") == 0


def contents(database, hidden=()):
    """{table: {station: text of all its rows}}, of every table there is. hidden: (table, column)
    that has times of arrival, too."""
    tables = database.rows("""
        SELECT c.relname::text, array_agg(a.attname::text ORDER BY a.attnum)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        WHERE c.relnamespace = 'ocpp'::regnamespace AND c.relkind IN ('r', 'p')
          AND NOT c.relispartition AND NOT a.attisdropped
        GROUP BY 1 ORDER BY 1""")
    found = {}
    tables.append(("stations", ["charge_station_id", "messages", "transactions", "counted_from",
                                "vendor", "model", "serial_number"]))
    with psycopg.connect(database.dsn(), options="-c search_path=ocpp") as connection:
        for table, columns in tables:
            # What is not about stations (the store) comes from elsewhere.
            if table in SKIPPED or "charge_station_id" not in columns:
                continue
            shown = [c for c in columns if c not in ARRIVAL and (table, c) not in hidden]
            # The time of a message that has none of its own is when it came.
            shown = ["CASE time_source WHEN 's' THEN event_time END" if c == "event_time"
                     and "time_source" in columns else c for c in shown]
            found[table] = dict(connection.execute(f"""
                SELECT charge_station_id, string_agg(line, E'\\n' ORDER BY line COLLATE "C")
                FROM (SELECT charge_station_id, ROW({', '.join(shown)})::text AS line
                      FROM {table}) x
                GROUP BY 1""").fetchall())
    assert len(found) > 7
    return found


def differences(plain, mixed):
    """{station: text of what differs}"""
    found = {}
    a, b = contents(plain), contents(mixed)
    for table in a:
        for station in a[table].keys() | b[table].keys():
            lines = [set(x[table].get(station, "").splitlines()) for x in (a, b)]
            if a[table].get(station) != b[table].get(station):
                found[station] = found.get(station, "") + "\n".join(
                    [f"{table}, in order:", *sorted(lines[0] - lines[1]),
                     f"{table}, shuffled:", *sorted(lines[1] - lines[0]), ""])
    return found


def expected(messages):
    """{transaction: (seqNo missing between lowest and highest, ended in several ways)}"""
    numbers, ends = {}, {}
    for _, envelope in messages:
        if envelope["action"] == "TransactionEvent" and envelope["type"] == 2:
            request = envelope["request"]
            transaction = request["transactionInfo"]["transactionId"]
            if transaction.startswith("again-"):
                continue  # several transactions
            numbers.setdefault(transaction, set()).add(request["seqNo"])
            if request["eventType"] == "Ended":
                ends.setdefault(transaction, set()).add(json.dumps(request))
    return {key: (max(seen) - min(seen) + 1 - len(seen), len(ends.get(key, ())) > 1)
            for key, seen in numbers.items()}


def wrong(database, stations):
    """{station: text}: what would be equally wrong in any order, against what was sent."""
    stored = {}
    for station, transaction, *facts in database.rows(
            "SELECT charge_station_id, transaction_id, seq_no_missing,"
            " 'duplicate_stop' = ANY (flag_names(flags)) FROM transactions"
            " WHERE seq_no_missing IS NOT NULL AND transaction_id NOT LIKE 'again-%'"):
        stored.setdefault(station, {})[transaction] = tuple(facts)
    found = {}
    for station, (_, messages) in stations.items():
        if stored.get(station, {}) != expected(messages):
            found[station] = f"{stored.get(station)}, not {expected(messages)}\n"
    return found


def shrunk(load, version, messages):
    """A smaller history that still differs: all that lack one message are tried in one load."""
    for round_ in range(SHRINK_ROUNDS):
        # Each several times, since each is shuffled in its own way.
        candidates = {f"p{i:04}x{k}": (version, messages[:i] + messages[i + 1:])
                      for i in range(len(messages)) for k in range(8)}
        plain, mixed = load.run(candidates, round_)
        found = {**differences(plain, mixed), **wrong(mixed, candidates)}
        if not found:
            break
        messages = candidates[min(found)][1]
    return messages


def test_any_order_gives_the_same_tables(workspace, broker, persister):
    cluster = rig.Postgres(workspace, fast=True, name="property").start()
    histories = [History(SEED * 1_000_000 + i) for i in range(HISTORIES)]
    stations = envelopes(histories)
    count = sum(len(messages) for _, messages in stations.values())
    print(f"\nPROPERTY_SEED={SEED} histories={HISTORIES} messages={count}")
    load = Load(cluster, broker, persister)
    plain, mixed = load.run(stations, SEED)
    assert plain.value("SELECT count(*) FROM transactions") > HISTORIES
    found = {**differences(plain, mixed), **wrong(mixed, stations),
             **wrong_energies(mixed, energies(histories))}
    if found:
        worst = min(found, key=lambda station: len(stations[station][1]))
        small = shrunk(load, *stations[worst])
        pytest.fail(f"{len(found)} of {HISTORIES} histories differ; {worst}:\n{found[worst]}\n"
                    + "\n".join(json.dumps(m) for m in small))
    cluster.stop()


# ---- times of receipt ----

def captured(history, at, direction, payload):
    """A line of a capture: mosquitto_sub -F '%U %q %t %x'."""
    return (f"{EPOCH.timestamp() + at:.6f} 1 "
            f"{topic(f'r{history.seed:07}', history.version, direction)} {payload.hex()}\n")


def captured_in_order(histories):
    lines = [(at, captured(h, at, direction, written(envelope, "envelope json")))
             for h in histories for at, direction, envelope, _ in h.lines]
    return [line for _, line in sorted(lines)]


def captured_shuffled(histories, rng):
    """A copy that comes just before another line (ReceivedHistory.beside) is shuffled together with
    it."""
    kinds = {"any": [FORMS], "envelope": [ENVELOPES], "both": [ARRAYS, ENVELOPES],
             "json": [[form for form in FORMS if form.endswith("json")]]}
    lines = []
    for h in histories:
        for number, (at, direction, envelope, forms) in enumerate(h.lines):
            times = 2 if rng.random() < 0.125 else 1
            made = [captured(h, at, direction, written(envelope, rng.choice(k)))
                    for k in kinds[forms] * times]
            if number in h.beside:
                at, direction, envelope, forms = h.lines[h.beside[number]]
                made[0] = captured(h, at, direction, written(
                    envelope, rng.choice(kinds[forms][0]))) + made[0]
            lines += made
    rng.shuffle(lines)
    return lines


def replay_at_once(database, folder, parts, settings):
    """Each part by a process of its own, all at the same time."""
    assert run_cli(database.settings(), "migrate", "up").returncode == 0
    with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
        running = []
        for number, lines in enumerate(parts):
            path = folder / f"{database.name}.{number}.txt"
            path.write_text("".join(lines))
            running.append(pool.submit(run_cli, {**database.settings(), **settings}, "replay",
                                       str(path)))
        for one in running:
            assert one.result().returncode == 0, one.result().stderr
    assert database.value("SELECT count(*) FROM dead_letters") == 0


def wrong_received(database, histories):
    """{station: text}: what should have come of a history, and did not."""
    asked = {
        "statuses": "SELECT charge_station_id, evse_id, status FROM connector_status",
        "status_events": "SELECT charge_station_id, count(*) FROM ocpp_events"
                         " WHERE action = 'StatusNotification' GROUP BY 1",
        "tokens": "SELECT charge_station_id, id_token, status FROM authorizations",
        "sessions": "SELECT charge_station_id, transaction_id, id_token_status,"
                    " (meter_stop - meter_start)::int FROM transactions WHERE start_key = ''",
        "alike": "SELECT charge_station_id, transaction_id, array_agg((meter_stop - meter_start)"
                 "::int ORDER BY meter_stop - meter_start) FROM transactions"
                 " WHERE start_key <> '' GROUP BY 1, 2",
        "unnamed": "SELECT charge_station_id, message_id FROM ocpp_events WHERE action = ''",
    }
    stored = {}
    for what, sql in asked.items():
        for station, *row in database.rows(sql):
            facts = stored.setdefault(station, {})
            if what == "status_events":
                facts[what] = row[0]
            else:
                facts.setdefault(what, {})[row[0]] = row[1] if len(row) == 2 else tuple(row[1:])
    found = {}
    for h in histories:
        facts = stored.get(f"r{h.seed:07}", {})
        for what in asked:
            if facts.get(what, {}) != getattr(h, what, {}):
                found[f"r{h.seed:07}"] = (f"{what}: {facts.get(what, {})},"
                                          f" not {getattr(h, what, {})}\n")
    return found


def test_what_hangs_on_the_time_of_receipt_is_the_same_in_any_order(workspace, tmp_path):
    cluster = rig.Postgres(workspace, fast=True, name="received").start()
    rng = random.Random(SEED)
    histories = [ReceivedHistory(SEED * 1_000_000 + i) for i in range(HISTORIES)]
    print(f"\nPROPERTY_SEED={SEED} histories={HISTORIES}"
          f" messages={sum(len(h.lines) for h in histories)}")
    plain, mixed = make_database(cluster), make_database(cluster)
    replay_at_once(plain, tmp_path, [captured_in_order(histories)], {})
    lines = captured_shuffled(histories, rng)
    middle = len(lines) // 2
    replay_at_once(mixed, tmp_path, [lines[:middle], lines[middle:]], {"batch.messages_max": 300})
    found = {**differences(plain, mixed), **wrong_received(mixed, histories)}
    if found:
        worst = min(found, key=lambda s: len(histories[int(s[1:]) - SEED * 1_000_000].lines))
        history = histories[int(worst[1:]) - SEED * 1_000_000]
        pytest.fail(f"{len(found)} of {HISTORIES} histories differ; {worst}:\n{found[worst]}\n"
                    + "\n".join(json.dumps(line) for line in sorted(history.lines, key=str)))
    cluster.stop()
