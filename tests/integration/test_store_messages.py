"""Messages to the store, on cs/store/<entity>."""

import json
import os
import random
import subprocess

import msgpack
import pytest
import rig
from conftest import BINARY, ROOT, make_database, run_cli, stored

# The program listens to these topics only if the settings say so.
STORE = {"mqtt.topics": "cs/in/+/+, cs/out/+/+, cs/store/+"}

TOKEN = {"type": "RFID", "country_code": "GB", "party_id": "TWK", "contract_id": "GBTWK012345678V",
         "issuer": "Thoughtworks", "valid": True, "cache_mode": "ALWAYS"}

# Too long for an index, which only the database finds out.
LONG = "".join(random.Random(1).choices("0123456789abcdef", k=20000))

# Entity -> its keys, and fields of which any may differ.
FIELDS = {
    "token": (["uid"], {**TOKEN, "visual_number": "1"}),
    "charge-station": (["charge_station_id"],
                       {"security_profile": 1, "invalid_username_allowed": False}),
    "setting": (["charge_station_id", "key"], {"value": "1", "status": "Pending"}),
    "runtime": (["charge_station_id"], {"ocpp_version": "1.6", "vendor": "V"}),
    "install-certificate": (["charge_station_id", "certificate_id"], {
        "certificate_type": "EVCC", "certificate": "PEM", "status": "Pending"}),
    "trigger": (["charge_station_id"], {"message_type": "BootNotification", "status": "Pending",
                                        "connector_id": 1}),
    "registration": (["token"], {"status": "registered"}),
    "party": (["role", "country_code", "party_id"], {"url": "http://a", "token": "t"}),
    "location": (["id"], {"location": {"Name": "here", "Country": "GBR"}}),
}

TABLES = ["tokens", "charge_stations", "charge_station_settings", "charge_station_runtime",
          "charge_station_certificates", "charge_station_triggers", "certificates",
          "ocpi_registrations", "ocpi_parties", "locations"]


def at(second):
    return f"2026-01-31T10:00:{second:02}Z"


def tokens(count):
    return [("token", {"op": "set", "uid": f"T{n:04}", **TOKEN, "last_updated": at(0)})
            for n in range(count)]


def deletes():
    return [("token", {"op": "delete", "uid": f"T{n * 100:04}", "last_updated": at(1)})
            for n in range(10)]


def listed(database, entity):
    done = run_cli(database.settings(), "store", entity, "list", "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def kept(database):
    """All that the store has, but for when it was written."""
    return {table: database.rows(f"SELECT to_jsonb(t) - '{{created_at,updated_at}}'::text[]"
                                 f" FROM {table} t ORDER BY 1") for table in TABLES}


def replay(database, tmp_path, messages, *options, name="told.jsonl"):
    """As a capture would bring them; the summary."""
    path = tmp_path / name
    path.write_text("".join(json.dumps({
        "received_at": f"2026-02-01T00:00:00.{number:06}Z", "topic": f"cs/store/{entity}",
        "payload": message}) + "\n" for number, (entity, message) in enumerate(messages)))
    done = run_cli(database.settings(), "replay", "--json", *options, str(path))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ---- from the broker ----


def test_thousand_tokens_and_ten_deletes_are_990_also_again_shuffled_to_two_workers(
        migrated, broker, publish, persister):
    workers = [persister({**migrated.settings(), **broker.settings(), "mqtt.client_id": f"w{n}",
                          "mqtt.topics": "$share/w/cs/store/+"}).start() for n in range(2)]
    for worker in workers:
        worker.wait_event("broker_connected")
    told = tokens(1000) + deletes()
    done = subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1",
                           "-t", "cs/store/token", "-l"], text=True, timeout=rig.HANGS_S,
                          input="".join(json.dumps(message) + "\n" for _, message in told))
    assert done.returncode == 0
    stored(migrated, 1010)
    assert len(listed(migrated, "token")) == 990
    random.Random(7).shuffle(told)
    for entity, message in told:
        publish.client.publish(f"cs/store/{entity}", json.dumps(message), 1)
    stored(migrated, 2020)
    uids = [token["uid"] for token in listed(migrated, "token")]
    assert uids == sorted({f"T{n:04}" for n in range(1000) if n % 100})
    # Some were set as late as their delete: they say nothing new. Both workers took part.
    assert migrated.rows("SELECT sum(received), sum(stored + duplicate), sum(dead_lettered)"
                         " FROM ingest_progress") == [(2020, 2020, 0)]
    assert migrated.value("SELECT sum(duplicate) FROM ingest_progress") >= 1010
    assert migrated.value("SELECT count(*) FROM ingest_progress WHERE received > 0") == 2


def test_msgpack_and_arrays_are_taken(running, migrated, publish):
    running(STORE)
    publish.raw("cs/store/token", msgpack.packb({"op": "set", "uid": "A", **TOKEN,
                                                 "last_updated": msgpack.Timestamp(1769853600)}))
    publish.raw("cs/store/location", json.dumps([
        {"op": "set", "id": "L1", "location": {"Name": "ü", "Country": "GBR", "Lat": 1.10}},
        {"op": "set", "id": "L2", "location": {"Name": "b"}}]))
    stored(migrated, 3)
    token, = listed(migrated, "token")
    assert token == {"uid": "A", **TOKEN, "last_updated": at(0)}
    one, two = listed(migrated, "location")
    assert (one["country_code"], one["party_id"]) == ("GBR", "XXX")
    assert one["location"] == {"Name": "ü", "Country": "GBR", "Lat": 1.10}
    assert two["country_code"] == "XX"
    assert migrated.value("SELECT now() - last_updated < interval '1 minute' FROM locations"
                          " WHERE id = 'L1'")


def test_stations_and_the_store_share_a_log(running, migrated, publish):
    running(STORE)
    publish.call("cs001", "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    publish.raw("cs/store/setting", json.dumps({"op": "set", "charge_station_id": "cs001",
                                                "key": "a", "value": "1", "status": "Pending"}))
    publish.call("cs001", "Heartbeat", {}, id="2")
    stored(migrated, 3)
    assert migrated.rows("SELECT stored, dead_lettered FROM ingest_progress") == [(3, 0)]
    assert [setting["key"] for setting in listed(migrated, "setting")] == ["a"]


# ---- what is refused ----

BAD = [
    ("tokens", {"op": "set", "uid": "A", **TOKEN}, "unknown_entity", '"tokens"'),
    ("transaction", {"op": "set"}, "unknown_entity", '"transaction"'),
    ("token", {"uid": "A", **TOKEN}, "bad_row", "op is neither"),
    ("token", {"op": "put", "uid": "A", **TOKEN}, "bad_row", "op is neither"),
    ("token", {"op": "set", **TOKEN}, "bad_row", "uid is missing"),
    ("token", {"op": "set", "uid": "", **TOKEN}, "bad_row", "uid is missing"),
    ("token", {"op": "set", "uid": "x" * 256, **TOKEN}, "bad_row", "more than 255 bytes"),
    ("token", {"op": "set", "uid": "A", **TOKEN, "valid": "yes"}, "bad_row", '"valid"'),
    ("token", {"op": "set", "uid": "A", **TOKEN, "valid": None}, "bad_row", "valid is missing"),
    ("token", {"op": "set", "uid": "A", **TOKEN, "deleted": True}, "bad_row", '"deleted"'),
    ("token", {"op": "set", "uid": "A", **TOKEN, "color": "red"}, "bad_row", '"color"'),
    ("token", {"op": "set", "uid": "A", **TOKEN, "last_updated": "then"}, "bad_row",
     '"last_updated"'),
    ("token", {"op": "delete"}, "bad_row", "uid is missing"),
    ("setting", {"op": "set", "charge_station_id": "cs1", "value": "1", "status": "Accepted"},
     "bad_row", "key is missing"),
    ("certificate", {"op": "set", "pem": "no certificate"}, "bad_row", "pem holds no certificate"),
    ("trigger", {"op": "set", "charge_station_id": "cs1", "message_type": "A", "status": "B",
                 "connector_id": 1.5}, "bad_row", '"connector_id"'),
    ("token", "5", "unknown_format", "neither JSON nor msgpack"),
    ("token", [[1], {"op": "set", "uid": "OK", **TOKEN}], "bad_row", "not a map"),
    ("location", '{"op": "set", "id": "A", "location": {"Lat": 1e400000}}', "bad_row",
     "cannot hold as it is"),
    ("token", '{"op": "set", "op": "delete", "uid": "A"}', "bad_row", "cannot hold as it is"),
    ("token", {"op": "set", "uid": "A", **TOKEN, "contract_id": LONG}, "limit",
     "contract_id would take"),
]


def test_what_is_not_told_properly_is_a_dead_letter_and_the_rest_is_stored(
        running, migrated, publish):
    running(STORE)
    count = 0
    for entity, message, _, _ in BAD:
        text = message if isinstance(message, str) else json.dumps(message)
        publish.raw(f"cs/store/{entity}", text)
        publish.raw("cs/store/token", json.dumps({"op": "set", "uid": f"G{count}", **TOKEN}))
        count += 1
    stored(migrated, 2 * count + 1, timeout=60)
    found = migrated.rows("SELECT topic, reason, detail FROM dead_letters ORDER BY seq")
    assert [(topic, reason) for topic, reason, _ in found] == [
        (f"cs/store/{entity}", reason or found[-1][1]) for entity, _, reason, _ in BAD]
    for (_, _, detail), (_, _, _, says) in zip(found, BAD):
        assert says in detail
    assert [token["uid"] for token in listed(migrated, "token")] == sorted(
        [f"G{n}" for n in range(count)] + ["OK"])


# ---- any order ----


def history(seed):
    """Sets and deletes of few keys at few times, so that many are of one time."""
    r = random.Random(seed)
    told = []
    for entity, (keys, fields) in FIELDS.items():
        for _ in range(60):
            key = {name: r.choice("ab") for name in keys}
            if r.random() < 0.3:
                if entity == "setting":
                    del key["key"]
                message = {"op": "delete", **key}
            else:
                message = {"op": "set", **key, **{
                    name: r.choice([f"{value}{n}" for n in range(3)])
                    if isinstance(value, str) else value for name, value in fields.items()}}
            told.append((entity, {**message, "last_updated": at(r.randrange(5))}))
    return told


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_in_which_they_come_does_not_matter(migrated, postgres, tmp_path, seed):
    told = history(seed)
    first = replay(migrated, tmp_path, told)
    assert first["messages"] == first["stored"] + first["duplicate"] == len(told)
    for number in range(2):
        other = make_database(postgres)
        assert run_cli(other.settings(), "migrate", "up").returncode == 0
        shuffled = random.Random(seed * 100 + number).sample(told, len(told))
        # Also in two parts, of which the second finds the rows of the first.
        for part in ((shuffled,) if number else (shuffled[:200], shuffled[200:], shuffled[:50])):
            replay(other, tmp_path, part, name=f"{len(part)}.jsonl")
        assert kept(other) == kept(migrated)
    assert any(row["deleted"] for rows in kept(migrated).values() for row, in rows)


def test_told_twice_is_a_duplicate(migrated, tmp_path):
    told = tokens(50) + deletes()[:1] + [
        ("setting", {"op": "set", "charge_station_id": "cs1", "key": key, "value": "1",
                     "status": "Pending", "last_updated": at(3)}) for key in "ab"]
    assert replay(migrated, tmp_path, told)["stored"] >= 52
    before = kept(migrated)
    again = replay(migrated, tmp_path, told, name="again.jsonl")
    assert (again["stored"], again["duplicate"]) == (0, len(told))
    assert kept(migrated) == before


def test_library_and_messages_mean_the_same(migrated, tmp_path):
    """What was set through the library counts against messages, and the other way round."""
    def library(*arguments):
        assert run_cli(migrated.settings(), "store", *arguments).returncode == 0

    token = [f"{name}={str(value).lower() if value is True else value}"
             for name, value in TOKEN.items()]
    library("token", "set", "uid=T0000", *token, f"last_updated={at(5)}")
    replay(migrated, tmp_path, deletes()[:1], name="older.jsonl")
    assert len(listed(migrated, "token")) == 1
    replay(migrated, tmp_path, [("token", {"op": "delete", "uid": "T0000", "last_updated": at(6)})])
    assert listed(migrated, "token") == []
    library("token", "set", "uid=T0000", *token, f"last_updated={at(5)}")
    assert listed(migrated, "token") == []
    library("token", "set", "uid=T0000", *token, f"last_updated={at(7)}")
    assert len(listed(migrated, "token")) == 1


# ---- what was deleted ----


def test_deletes_are_forgotten_in_time(migrated, tmp_path, running):
    told = [(entity, {"op": "delete", "last_updated": at(0),
                      **{name: "k" for name in keys if entity != "setting" or name != "key"}})
            for entity, (keys, _) in FIELDS.items()]
    replay(migrated, tmp_path, told)
    rows = "SELECT count(*) FROM ({}) t WHERE deleted".format(
        " UNION ALL ".join(f"SELECT deleted FROM {table}" for table in TABLES))
    assert migrated.value(rows) == len(FIELDS)
    # However long ago it was said, it is remembered from when it was stored.
    assert migrated.value("SELECT prune_tombstones('1 day', 100)") == 0
    for table in TABLES:
        migrated.rows(f"UPDATE {table} SET updated_at = now() - interval '2 days'")
    assert migrated.value("SELECT prune_tombstones('1 day', 3)") == len(FIELDS)
    replay(migrated, tmp_path, told, name="again.jsonl")
    for table in TABLES:
        migrated.rows(f"UPDATE {table} SET updated_at = now() - interval '2 days'")
    running({**STORE, "store.tombstones": "1d"})
    rig.wait_until(lambda: migrated.value(rows) == 0, 30, lambda: str(migrated.value(rows)))


# ---- the contract ----


def test_contract_names_every_field():
    text = open(os.path.join(ROOT, "docs", "store.md")).read()
    lines = {line.split("`")[1].removeprefix("cs/store/"): line for line in text.splitlines()
             if line.startswith("| `cs/store/")}
    kinds = open(os.path.join(ROOT, "consumer", "store", "kinds.def")).read()
    fields = open(os.path.join(ROOT, "consumer", "store", "entities.def")).read()
    names = {line.split('"')[1]: line.split("(")[1].split(",")[0]
             for line in kinds.splitlines() if line.startswith("KIND(")}
    assert lines.keys() == names.keys()
    for name, entity in names.items():
        declared = [line.split(", ")[2:4] for line in fields.splitlines()
                    if line.startswith(f"FIELD({entity}, ")]
        cells = lines[name].split("|")[2].replace("**", "").split(", ")
        written = [cell.split(" (")[0].strip() for cell in cells if "_" in cell or cell.strip()]
        wanted = [field for field, _ in declared if field != "last_updated"]
        assert [w.rstrip("?") for w in written if w.rstrip("?") in wanted] == wanted, name
        optional = {field for field, null in declared if null.rstrip(")") != "NOT_NULL"}
        assert {w.rstrip("?") for w in written if w.endswith("?")} == (
            optional - {"last_updated", "certificate_hash"}), name


def test_decode_shows_the_row(tmp_path):
    path = tmp_path / "told.json"
    path.write_text(json.dumps({"op": "set", "uid": "A", **TOKEN}))
    done = subprocess.run([BINARY, "decode", "--topic", "cs/store/token", "--received",
                           "2026-01-31T10:00:00Z", str(path)], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.splitlines()[:3] == ["message 0: store token", "  store_token",
                                            "    uid = A"]
    assert "    last_updated = 2026-01-31T10:00:00Z" in done.stdout.splitlines()


# ---- dated in the future ----

@pytest.mark.parametrize("entity", sorted(FIELDS))
def test_message_from_the_future_does_not_outlast_later_ones(running, migrated, publish, entity):
    """It counts as said when it was received, and is flagged."""
    p = running(STORE)
    keys, fields = FIELDS[entity]
    key = {k: f"{k}-1" for k in keys}
    publish.raw(f"cs/store/{entity}", json.dumps({"op": "set", **key, **fields,
                                                  "last_updated": "2099-01-01T00:00:00Z"}))
    stored(migrated, 1)
    table = {"token": "tokens", "charge-station": "charge_stations",
             "setting": "charge_station_settings", "runtime": "charge_station_runtime",
             "install-certificate": "charge_station_certificates",
             "trigger": "charge_station_triggers", "registration": "ocpi_registrations",
             "party": "ocpi_parties", "location": "locations"}[entity]
    assert migrated.rows(f"SELECT flag_names(flags), last_updated <= now(), deleted FROM {table}"
                         ) == [(["time_future"], True, False)]
    publish.raw(f"cs/store/{entity}", json.dumps({"op": "delete", **{
        k: v for k, v in key.items() if entity != "setting" or k != "key"}}))
    stored(migrated, 2)
    assert p.running
    assert migrated.rows(f"SELECT deleted FROM {table}") == [(True,)]


def test_clock_that_is_a_little_ahead_is_believed(tmp_path, migrated):
    told = [("token", {"op": "set", "uid": uid, **TOKEN, "last_updated": time}) for uid, time in (
        ("A", "2026-02-01T00:00:59Z"), ("B", "2026-02-01T00:01:01Z"),
        ("C", "9999-01-01T00:00:00Z"))]
    replay(migrated, tmp_path, told)
    assert migrated.rows("SELECT uid, flags, last_updated > '2026-02-01 00:00:30Z' FROM tokens "
                         "ORDER BY uid") == [("A", None, True), ("B", 8, False), ("C", 8, False)]


def test_nobody_is_listened_to_unless_asked_for(running, migrated, publish):
    running()
    publish.raw("cs/store/token", json.dumps({"op": "set", "uid": "A", **TOKEN}))
    publish.call("cs1", "Heartbeat", {})
    stored(migrated, 1)
    assert migrated.value("SELECT count(*) FROM tokens") == 0
