"""`ocpp-persister forget`: a token is replaced wherever it is stored, and is not stored again."""

import json
import os
import pathlib
import random
import re
import threading
import time

import msgpack
import pytest
import rig
from conftest import ROOT, begun, next_line, run_cli, stored
from world import DAY

TOKEN = "04A2b8C1"
STORE = {"mqtt.topics": "cs/in/+/+, cs/out/+/+, cs/store/+"}
PLACES = os.path.join(ROOT, "consumer", "base", "token_places.def")

# Columns of JSON and bytes that cannot have a token, with the reason.
ELSEWHERE = {
    "ingest_progress.reasons": "words of ours",
    "ingest_progress.content": "a digest",
    "ingest_progress.begins": "a digest",
    "ingest_progress.asked": "a digest",
    "dead_letters.payload_sha256": "a digest",
    "dead_letters.topic_raw": "a topic",
    "forgotten_salt.salt": "random",
    "forgotten_tokens.token_hash": "a hash with a salt",
    "store_transaction_values.digest": "a digest",
    "transaction_events.readings": "numbers",
    "transactions.merge_state": "ranks",
}


def places():
    """{"table.column"} of the program's list."""
    with open(PLACES) as f:
        return {f"{table}.{column}" for table, column in
                re.findall(r"^PLACE\((\w+), (\w+), \w+\)", f.read(), re.MULTILINE)}


def found(database, token=TOKEN):
    """{"table.column": rows} that have the token, in any case, in texts, JSON and bytes, of every
    table there is; a partition counts as its table."""
    hex_of = {text.encode().hex() for text in (token, token.lower(), token.upper())}
    counts = {}
    with database.connect() as session:
        columns = session.execute("""
            SELECT c.oid::regclass::text, coalesce((SELECT t.table_name FROM partitioned_tables t
                WHERE starts_with(c.relname, t.table_name || '_2')), pg_partition_root(c.oid)
                ::regclass::text, c.relname), a.attname
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname IN ('ocpp', 'maeve', 'archive') AND c.relkind = 'r' AND a.attnum > 0
              AND NOT a.attisdropped""").fetchall()
        for table, parent, column in columns:
            rows = session.execute(
                f'SELECT count(*) FROM {table} x WHERE x."{column}"::text ILIKE %s'
                f' OR x."{column}"::text ~ %s',
                (f"%{token}%", "|".join(hex_of))).fetchone()[0]
            if rows:
                key = f"{parent}.{column}"
                counts[key] = counts.get(key, 0) + rows
    return counts


def rows_of(database):
    """{table: rows}, of all tables but those whose rows are moved once a minute."""
    tables = [table for table, in database.rows("""
        SELECT c.oid::regclass::text FROM pg_class c
        WHERE c.relnamespace = 'ocpp'::regnamespace AND c.relkind = 'r'
            AND c.relname NOT IN ('station_activity', 'station_changes', 'energy_pending')""")]
    return {table: database.value(f"SELECT count(*) FROM {table}") for table in tables}


class Messages(list):
    """[(topic, payload)] of one station."""

    def call(self, action, request, version="1.6", direction="in", id=None):
        id = id or f"m{len(self)}"
        self.append((f"cs/{direction}/ocpp{version}/cs1", json.dumps(
            {"type": 2, "action": action, "id": id, "request": request})))
        return id

    def result(self, action, response, id, version="1.6", direction="out", **more):
        self.append((f"cs/{direction}/ocpp{version}/cs1", json.dumps(
            {"type": 3, "action": action, "id": id, "response": response, **more})))


def add_messages_16(made, token):
    call, result = made.call, made.result
    info = {"status": "Accepted", "parentIdTag": token}
    result("Authorize", {"idTagInfo": info}, call("Authorize", {
        "idTag": token.lower(), "customData": {"vendorId": "v", "card": token}}))
    start = {"connectorId": 1, "idTag": token, "meterStart": 1500, "timestamp": DAY + "10:00:00Z"}
    result("StartTransaction", {"transactionId": 7, "idTagInfo": info},
           call("StartTransaction", start))
    # In bytes, where a text cannot be kept.
    call("StopTransaction", {
        "transactionId": 7, "idTag": token, "meterStop": 2500, "timestamp": DAY + "11:00:00Z",
        "reason": "Local\0", "vendor": token,
        "transactionData": [{"timestamp": DAY + "10:30:00Z", "sampledValue": [{"value": "5"}]}]})
    call("Authorize", {"idTag": token, "note": "\0"})
    call("MeterValues", {"connectorId": 1, "meterValue": [
        {"timestamp": DAY + "10:30:00Z", "sampledValue": [{"value": token}]}]})
    call("StatusNotification", {
        "connectorId": 1, "status": "Faulted", "errorCode": "OtherError", "info": token,
        "vendorErrorCode": token, "timestamp": DAY + "10:00:00Z"})
    call("DataTransfer", {"vendorId": "v", "data": json.dumps({"card": token})})
    call("DataTransfer", {"vendorId": "v", "data": f"card {token} was shown", "note": "\0"})
    call("DataTransfer", {"vendorId": "v", "card": token, "note": "\0"})
    call("SendLocalList", {"listVersion": 1, "updateType": "Full", "localAuthorizationList": [
        {"idTag": token, "idTagInfo": info}]}, direction="out")
    call("RemoteStartTransaction", {"idTag": token}, direction="out")
    result("ChangeConfiguration", {"status": "Accepted"}, call(
        "ChangeConfiguration", {"key": "FreeChargeTag", "value": token}, direction="out"),
        direction="in")
    result("GetLocalListVersion", {"listVersion": 3}, "gateway",
           request={"note": token})
    made.append(("cs/out/ocpp1.6/cs1", json.dumps(
        [4, "e1", "GenericError", f'the token "{token}" is unknown', {}])))
    # A result whose call never comes waits for it.
    result("Authorize", {"idTagInfo": info}, "alone")


def add_messages_201(made, token):
    call, result = made.call, made.result
    id_token = {"idToken": token, "type": "ISO14443",
                "additionalInfo": [{"additionalIdToken": token, "type": "x"}]}
    info = {"status": "Accepted", "groupIdToken": {"idToken": token, "type": "Central"}}
    result("Authorize", {"idTokenInfo": info}, call("Authorize", {"idToken": id_token}, "2.0.1"),
           "2.0.1")
    for seq, kind in enumerate(["Started", "Updated", "Ended"]):
        result("TransactionEvent", {"idTokenInfo": info}, call("TransactionEvent", {
            "eventType": kind, "timestamp": DAY + f"1{seq}:00:00Z", "triggerReason": "Authorized",
            "seqNo": seq, "transactionInfo": {"transactionId": "T"}, "idToken": id_token},
            "2.0.1"), "2.0.1")
    made.append(("cs/in/ocpp2.0.1/cs1", msgpack.packb({
        "type": 2, "action": "Authorize", "id": "p1",
        "request": {"idToken": id_token, "note": "\0"}})))


def messages(token=TOKEN):
    """Whatever can have a token, and where each version has it."""
    made = Messages()
    add_messages_16(made, token)
    add_messages_201(made, token)
    # What cannot be stored.
    made.append(("cs/in/ocpp1.6/cs1", f'{{"type":2,"request":{{"idTag":"{token}"}}'))
    made.append(("cs/in/ocpp1.6/cs1", msgpack.packb({"idTag": token, "type": 9})))
    # The store.
    made.append(("cs/store/token", json.dumps({
        "op": "set", "uid": token, "type": "RFID", "country_code": "GB", "party_id": "TWK",
        "contract_id": token, "visual_number": token, "group_id": token, "issuer": "i",
        "valid": True, "cache_mode": "ALWAYS"})))
    made.append(("cs/store/token", json.dumps({"op": "set", token: 1})))
    made.append(("cs/store/location", json.dumps({
        "op": "set", "id": "l1", "location": {"Country": "GB", "Name": token}})))
    return made


OLD = ("cs/in/ocpp1.6/cs1", json.dumps({
    "type": 2, "action": "StopTransaction", "id": "old", "request": {
        "transactionId": 6, "idTag": TOKEN, "meterStop": 5, "timestamp": "2025-11-30T10:00:00Z",
        "note": "\0", "transactionData": [{"timestamp": "2025-11-30T09:00:00Z",
                                           "sampledValue": [{"value": "5"}]}]}}))


def by_the_library(database, token=TOKEN):
    """What a CSMS stores itself."""
    database.rows("""INSERT INTO ocpp.store_transactions (charge_station_id, transaction_id,
        id_token, id_token_type) VALUES ('cs2', 'S', %s, 'RFID')""", token)
    database.rows("""INSERT INTO ocpp.store_transaction_values (charge_station_id, transaction_id,
        event_time, digest, sampled_value)
        VALUES ('cs2', 'S', now(), '', jsonb_build_array(jsonb_build_object('card', %s::text)))""",
        token)


@pytest.fixture
def forget(migrated):
    """forget(TOKEN, ...): the command as a writer runs it; what it prints as JSON."""
    settings = migrated.writer_settings()

    def run(*arguments, **kwargs):
        done = run_cli(settings, "forget", *arguments, "--json", **kwargs)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def send(publish, sent):
    for topic, payload in sent:
        publish.raw(topic, payload)


def test_list_of_places_is_that_of_the_catalog(migrated):
    columns = migrated.rows("""
        SELECT c.relname || '.' || a.attname, a.atttypid::regtype::text
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'ocpp'::regnamespace AND c.relkind IN ('r', 'p')
          AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped""")
    assert places() <= {name for name, _ in columns}
    wide = {name for name, kind in columns if kind in ("jsonb", "bytea")}
    assert wide - places() == set(ELSEWHERE)
    named = {name for name, kind in columns if kind == "text" and re.search(
        r"\.(id_token|group_id_token|stop_id_token|uid|contract_id|visual_number|group_id)$", name)}
    assert named <= places()


def test_nothing_of_it_is_left_and_nothing_brings_it_back(running, migrated, publish, forget):
    running(STORE)
    sent = messages()
    send(publish, [*sent, OLD])
    by_the_library(migrated)
    stored(migrated, len(sent) + 1)
    # One partition is detached, one retired.
    admin = migrated.connect()
    admin.execute("ALTER TABLE meter_values DETACH PARTITION meter_values_2025_11_30")
    admin.execute("SELECT retire_partition('transaction_events', 'transaction_events_2025_11')")
    before, rows = found(migrated), rows_of(migrated)
    assert set(before) == places()
    would = forget(TOKEN, "--dry-run")
    assert would["pseudonym"] is None and found(migrated) == before
    done = forget(TOKEN)
    assert {t: n["rows"] for t, n in done["tables"].items()} == {
        t: n["rows"] for t, n in would["tables"].items()}
    assert done["rows"] == would["rows"] > 20
    # Only where it is part of a sentence.
    left = found(migrated)
    assert set(left) == {"ocpp_events.payload", "ocpp_events.payload_raw"}, left
    assert {t: n["mentions"] for t, n in done["tables"].items() if n["mentions"]} == {
        "ocpp_events": 1}
    pseudonym = done["pseudonym"]
    assert len(pseudonym) == len(TOKEN)
    assert places() - set(found(migrated, pseudonym)) == set()
    # Everything comes once more, in another order.
    send(publish, sent[::-1])
    stored(migrated, 2 * len(sent) + 1)
    assert found(migrated) == left
    changed = {table: n for table, n in rows_of(migrated).items() if rows[table] != n}
    # Halves have the time of receipt in their key; that of OLD did not come again.
    assert changed.pop("exchange_halves") == 2 * rows["exchange_halves"] - 1
    assert changed == {"forgotten_tokens": 1}
    # Again: the same pseudonym, and nothing to do.
    again = forget("-", input=TOKEN.upper() + "\n")
    assert (again["pseudonym"], again["was_known"], again["rows"]) == (pseudonym, True, 0)
    # A list of tokens is not done with the first of them.
    for words in (f"{TOKEN}\nother\n", f"{TOKEN}\r\n\r\nother"):
        done = run_cli(migrated.settings(), "forget", "-", "--dry-run", input=words)
        assert done.returncode == 2 and "one token at a time" in done.stderr, done
    assert run_cli(migrated.settings(), "forget", "-", "--dry-run",
                   input=f"{TOKEN}\r\n\n").returncode == 0


def test_what_comes_late_has_the_pseudonym(running, migrated, publish, forget):
    """Also from a worker that was connected before, and in whatever shape."""
    running(STORE)
    publish.call("cs1", "Authorize", {"idTag": "other"})
    stored(migrated, 1)
    digits, long = "12345678", "emaid-" + "x" * 30
    names = {token: forget(token)["pseudonym"] for token in (TOKEN, digits, long)}
    publish.call("cs1", "Authorize", {"idTag": TOKEN.lower()}, id="2")
    publish.call("cs1", "Authorize", {"idTag": 12345678}, id="3")
    publish.call("cs1", "Authorize", {"idToken": {"idToken": long, "type": "eMAID"}}, id="4",
                 version="2.0.1")
    publish.call("cs1", "Authorize", {"idTag": "other2"}, id="5")
    publish.call("cs1", "DataTransfer", {
        "vendorId": "v", "data": f'{{"card":"\\u0030{TOKEN[1:]}"}}'}, id="d")
    # A reading of a meter is no token.
    publish.call("cs1", "MeterValues", {"connectorId": 1, "meterValue": [
        {"timestamp": DAY + "10:00:00Z", "sampledValue": [{"value": digits}]}]}, id="6")
    stored(migrated, 7)
    assert migrated.value("SELECT payload->>'data' FROM ocpp_events").split() == [
        f'{{"card":"{names[TOKEN]}"', "}"]
    assert migrated.rows("SELECT id_token FROM authorizations ORDER BY message_id") == [
        ("other",), (names[TOKEN],), (names[digits],), (names[long],), ("other2",)]
    assert migrated.value("SELECT sampled[1] FROM meter_values") == 12345678


def test_beside_workers_under_load_nobody_waits_and_nothing_is_left(running, migrated, publish,
                                                                   forget):
    running()
    with migrated.connect() as session:
        session.execute("SELECT ensure_partition('transaction_events', '2026-01-15')")
        session.execute("""INSERT INTO transaction_events (charge_station_id, event_time, evse_id,
            digest, received_at, time_source, flags, ocpp_version, event_type, id_token, extra)
            SELECT 'cs' || n % 100, '2026-01-15'::timestamptz + n * interval '1 s', 1, n, now(),
                's', 0, '1.6', 'Updated', CASE WHEN n % 3 = 0 THEN %s ELSE 'other' END,
                jsonb_build_object('card', CASE WHEN n % 5 = 0 THEN %s ELSE '-' END)
            FROM generate_series(1, 20000) n""".replace("% ", "%% "), (TOKEN, TOKEN))
        session.execute("CREATE TABLE public.control AS TABLE transaction_events")
        session.execute("ALTER TABLE public.control"
                        " ADD PRIMARY KEY (charge_station_id, event_time)")
    over, sent = threading.Event(), []
    waits = {"transaction_events": [], "public.control": []}

    def write(table):
        """A writer that wants rows which are being changed, or rows of a table that nobody else
        touches: waits that both have are due to the machine."""
        with migrated.connect() as session:
            while not over.is_set():
                n = random.randrange(1, 20000)
                began = time.monotonic()
                session.execute(f"""UPDATE {table} SET resent_as = NULL
                    WHERE charge_station_id = 'cs' || %s %% 100
                      AND event_time = '2026-01-15'::timestamptz + %s * interval '1 s'""", (n, n))
                waits[table].append(time.monotonic() - began)

    def station():
        while not over.is_set():
            publish.call(f"live{len(sent)}", "Authorize", {"idTag": TOKEN}, id=str(len(sent)))
            sent.append(1)

    threads = [threading.Thread(target=station),
               *(threading.Thread(target=write, args=(table,)) for table in waits)]
    for thread in threads:
        thread.start()
    try:
        rig.wait_until(lambda: len(sent) > 20 and all(len(took) > 20 for took in waits.values()))
        done = forget(TOKEN)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    stored(migrated, len(sent))
    assert done["tables"]["transaction_events"]["rows"] >= 9000
    assert found(migrated) == {}
    assert migrated.value("SELECT count(DISTINCT id_token) FROM authorizations") == 1
    assert migrated.value("SELECT count(*) FROM authorizations") == len(sent)
    # On a machine that is busy with other things the very longest wait means nothing.
    for part in (1, 0.99):
        longest = {table: 1000 * sorted(took)[int(part * (len(took) - 1))]
                   for table, took in waits.items()}
        print(f"longest wait of a writer, of {part:.0%} of all: "
              f"{longest['transaction_events']:.0f} ms, of one of another table "
              f"{longest['public.control']:.0f} ms")
    assert longest["transaction_events"] - longest["public.control"] <= 100


def test_interrupted_it_goes_on_with_the_same_pseudonym(migrated, forget):
    session = migrated.connect()
    session.execute("SELECT ensure_partition('authorizations', '2026-01-15')")
    session.execute("""INSERT INTO authorizations (charge_station_id, event_time, evse_id, digest,
        received_at, time_source, flags, ocpp_version, id_token)
        SELECT 'cs', '2026-01-15', -1, n, now(), 's', 0, '1.6', %s
        FROM generate_series(1, 1000) n""", (TOKEN,))
    blocker = migrated.connect(autocommit=False)
    blocker.execute("SELECT FROM authorizations WHERE digest = 1000 FOR UPDATE")
    with begun(migrated.writer_settings(), "forget", TOKEN) as process:
        rig.wait_until(lambda: session.execute("SELECT count(*) FROM forgotten_tokens")
                       .fetchone()[0])
        pseudonym = session.execute("SELECT pseudonym FROM forgotten_tokens").fetchone()[0]
        rig.wait_until(lambda: session.execute(
            "SELECT count(*) FROM authorizations WHERE id_token = %s", (pseudonym,)).fetchone()[0])
        process.kill()
    assert 0 < found(migrated)["authorizations.id_token"] < 1000
    blocker.rollback()
    done = forget(TOKEN)
    assert done["pseudonym"] == pseudonym and done["was_known"]
    assert found(migrated) == {}


def fill_old_month(database, rows=20000):
    """A month of events with bytes, JSON and texts, in more than one frame of a file."""
    with database.connect() as session:
        session.execute("SELECT ensure_partition('transaction_events', '2025-06-15')")
        session.execute("""INSERT INTO transaction_events (charge_station_id, event_time, evse_id,
            digest, received_at, time_source, flags, ocpp_version, event_type, id_token, extra,
            payload_raw)
            SELECT 'cs' || n, '2025-06-15'::timestamptz + n * interval '1 s', 1, n, now(), 's', 0,
                '1.6', 'Updated', CASE WHEN n % 2 = 0 THEN %s ELSE 'other' || n END,
                jsonb_build_object('card', CASE WHEN n % 3 = 0 THEN %s ELSE '-' END, 'pad',
                    repeat('x', n % 97)),
                CASE WHEN n % 5 = 0 THEN convert_to('{"idTag":"' || %s::text || '"}', 'UTF8') END
            FROM generate_series(1, %s) n""".replace("n % ", "n %% "),
                        (TOKEN, TOKEN, TOKEN, rows))


def test_words_of_ocpp_are_those_of_the_schemas():
    """Actions, members and constants; what has a dot in schemas/ is a path, or a measurand."""
    with open(os.path.join(ROOT, "consumer", "privacy", "ocpp_words.txt")) as f:
        known = {w.lower() for line in f if line[0] != "#" for w in line.split()}
    folder, words = os.path.join(ROOT, "schemas"), set()
    for name in os.listdir(folder):
        with open(os.path.join(folder, name)) as f:
            lines = [line.split() for line in f if line[0] != "#"]
        if name == "generic.txt":
            words.update(w for line in lines for w in line if w[0].isalpha())
        elif name.endswith(".schema"):
            words.add(re.sub(r".*-(\w+)(\.result)?\.schema$", r"\1", name))
            words.update(part for line in lines if len(line) > 2 and line[0] not in (
                "message", "rows") for part in line[1].strip("/").split(".") if part.isalnum())
            words.update(line[i + 1] for line in lines for i, w in enumerate(line)
                         if w == "default")
    assert len(words) > 150
    assert {w for w in words if len(w) >= 4 and w.lower() not in known} == set()


def test_moved_partitions_are_named(migrated, forget):
    fill_old_month(migrated, rows=10)
    with migrated.connect() as session:
        session.execute("ALTER TABLE transaction_events DETACH PARTITION"
                        " transaction_events_2025_06")
        session.execute("CREATE SCHEMA archive")
        session.execute("ALTER TABLE transaction_events_2025_06 SET SCHEMA archive")
        session.execute("CREATE TABLE archive.transaction_events_2025_07 (other integer)")
    settings = migrated.writer_settings()
    done = run_cli(settings, "forget", TOKEN)
    assert "transaction_events: 1 tables that were its partitions are in other schemas, as " \
        "archive.transaction_events_2025_06 is" in done.stdout, done
    assert forget(TOKEN, "--dry-run")["tables"]["transaction_events"]["moved"] == 1
    migrated.rows("ALTER TABLE archive.transaction_events_2025_06 SET SCHEMA ocpp")
    assert forget(TOKEN)["tables"]["transaction_events"]["moved"] == 0
    assert found(migrated) == {}


def bytes_of(folder):
    """All that is in its files."""
    return b"".join(p.read_bytes() for p in sorted(pathlib.Path(folder).iterdir()))


def test_log_of_requeued_is_looked_through(running, migrated, publish):
    """After a run that did not finish; once one does, nothing is left there."""
    p = running()
    publish.raw("cs/in/ocpp1.6/cs1", f'{{"type":2,"request":{{"idTag":"{TOKEN}"}}')
    stored(migrated, 1)
    would = run_cli(p.settings, "forget", TOKEN, "--dry-run").stdout
    assert "dead_letters: requeue or discard these before" in would, would
    folder = p.settings["spool.dir"] + ".requeue"
    blocker = migrated.connect(autocommit=False)
    blocker.execute("LOCK TABLE ocpp.ingest_progress IN SHARE ROW EXCLUSIVE MODE")
    with begun(p.settings, "dead-letters", "requeue", "--all") as process:
        rig.wait_until(lambda: not migrated.value("SELECT count(*) FROM dead_letters"))
        process.kill()
    blocker.rollback()
    text = run_cli(p.settings, "forget", TOKEN, "--log").stdout
    assert f"{folder}/" in text and ": in 1 record; left as it is, kept until " in text
    said = run_cli(p.settings, "forget", TOKEN, "--log", "--json").stdout.splitlines()
    assert [json.loads(s)["kept_until"] for s in said if ".requeue/" in s] == [None]
    for kept in (1, 0, 0):
        done = run_cli(p.settings, "forget", TOKEN, "--log", "--dry-run")
        assert done.returncode == 0, done
        assert (TOKEN.encode() in bytes_of(folder)) == kept
        done = run_cli(p.settings, "dead-letters", "requeue", "--all")
        assert done.returncode == 0 and "requeued " in done.stdout, done
    assert migrated.value("SELECT sum(count) FROM dead_letters") == 1
    # All of them are of one log, whose numbers go on.
    assert migrated.rows("SELECT count(*), sum(dead_lettered) FROM ingest_progress"
                         " WHERE client_id = 'dead-letters requeue'") == [(1, 3)]


def test_log_is_looked_through(running, migrated, publish, forget):
    p = running({"spool.retain": "1h"})
    for n in range(3):
        publish.call("cs1", "Authorize", {"idTag": TOKEN}, id=str(n))
    publish.call("cs1", "Authorize", {"idTag": "other"}, id="x")
    stored(migrated, 4)
    done = run_cli(p.settings, "forget", TOKEN, "--log", "--json")
    assert done.returncode == 0, done.stderr
    assert "requeue or discard" not in done.stdout
    said, file = (json.loads(line) for line in done.stdout.splitlines())
    assert said["rows"] == 3 and file["records"] == 3 and not file["rewritten"]
    assert os.path.exists(file["file"]) and file["kept_until"].endswith("Z")
    text = run_cli(p.settings, "forget", TOKEN, "--log")
    assert f"{file['file']}: in 3 records; left as it is, removed after " in text.stdout
    nowhere = run_cli({**p.settings, "spool.dir": "/nonexistent"}, "forget", TOKEN, "--log")
    assert nowhere.returncode == 6, nowhere


@pytest.mark.parametrize("arguments, says", [
    ([], "say which token"),
    (["--quiet", "abcd"], "--quiet"),
    (["abc"], "fewer than 4 bytes"),
    (["a" * 256], "more than 255 bytes"),
    (["abc\ndef"], "has control characters"),
    (["remote"], "a word of OCPP"),
    (["parentIdTag", "--dry-run"], "a word of OCPP"),
    (["Energy.Active.Import.Register"], "a word of OCPP"),
])
def test_wrong_words_are_answered(migrated, arguments, says):
    done = run_cli(migrated.settings(), "forget", *arguments)
    assert done.returncode == 2 and says in done.stderr and done.stdout == "", done


def test_odd_characters_are_found(migrated, forget):
    """As JSON, regular expressions and the text of bytes write them."""
    for token in ('a"b\\c.d', "tökén", "a.c*(x)", "\\250abc"):
        migrated.rows("""INSERT INTO ocpp_events (charge_station_id, event_time, evse_id, digest,
            received_at, time_source, flags, ocpp_version, direction, kind, action, payload,
            payload_raw)
            VALUES ('cs', '-infinity', -1, 1, now(), 'i', 0, '1.6', 'in', 'call', 'X',
            jsonb_build_object('a', %s::text, 'b', 'axc*(x)'), convert_to(%s, 'UTF8'))""",
                      token, json.dumps({"a": token, "b": "axc*(x)"}, ensure_ascii=False))
        done = forget(token)
        assert done["tables"]["ocpp_events"]["rows"] == 1
        name = done["pseudonym"]
        assert migrated.rows("SELECT payload, convert_from(payload_raw, 'UTF8') FROM ocpp_events"
                             ) == [({"a": name, "b": "axc*(x)"},
                                    json.dumps({"a": name, "b": "axc*(x)"}))]
        migrated.rows("DELETE FROM ocpp_events")


def test_escapes_and_wide_heads_are_found(migrated, forget):
    """As JSON and msgpack may write it, and seldom do."""
    for token, spelled in (("tökén1", "t\\u00f6k\\u00E9n1"), ("A/BCD1", "A\\/BCD1"),
                           ("abcd", "\\u0061b\\u0043d"), ("ab😀cd", "ab\\ud83d\\uDE00cd")):
        inner = f'{{"card":"{spelled}","more":"x{spelled}"}}'
        packed = [bytes([0xd9, len(token.encode())]), bytes([0xda, 0, len(token.encode())]),
                  bytes([0xdb, 0, 0, 0, len(token.encode())])]
        migrated.rows("""INSERT INTO ocpp_events (charge_station_id, event_time, evse_id, digest,
            received_at, time_source, flags, ocpp_version, direction, kind, action, payload,
            payload_raw)
            SELECT 'cs', '-infinity', -1, n, now(), 'i', 0, '1.6', 'in', 'call', 'X',
                jsonb_build_object('data', %s::text), b
            FROM unnest(%s::bytea[]) WITH ORDINALITY u (b, n)""", inner, [
                inner.encode(), *(head + token.encode() for head in packed)])
        name = forget(token)["pseudonym"]
        hidden = inner.replace(f'"{spelled}"', f'"{name}"')
        assert hidden != inner
        assert {p["data"] for p, in migrated.rows("SELECT payload FROM ocpp_events")} == {hidden}
        assert [bytes(b) for b, in migrated.rows(
            "SELECT payload_raw FROM ocpp_events ORDER BY digest")] == [
                hidden.encode(), *(head + name.encode() for head in packed)]
        assert forget(token)["tables"]["ocpp_events"] == {
            "rows": 0, "mentions": 4, "foreign": 0, "moved": 0, "refused": 0}
        migrated.rows("DELETE FROM ocpp_events")


def set_token(database, uid, contract="c", at="2026-01-01"):
    """As a CSMS does it with the library."""
    database.rows("""INSERT INTO ocpp.tokens (uid, type, country_code, party_id, contract_id,
        issuer, valid, cache_mode, last_updated)
        VALUES (%s, 'RFID', 'GB', 'TWK', %s, 'i', true, 'ALWAYS', %s)""", uid, contract, at)


def authorized(database, token=TOKEN):
    database.rows("SELECT ocpp.ensure_partition('authorizations', '2026-01-15')")
    database.rows("""INSERT INTO ocpp.authorizations (charge_station_id, event_time, evse_id,
        digest, received_at, time_source, flags, ocpp_version, id_token)
        VALUES ('cs', '2026-01-15', -1, 1, now(), 's', 0, '1.6', %s)""", token)


def test_token_that_is_set_again_is_forgotten_again(migrated, forget):
    """Also in rows that differ only in case, of which the pseudonym can have but one."""
    migrated.rows("SELECT ocpp.ensure_partition('transaction_events', '2026-01-15')")
    for n, uids in enumerate([(TOKEN, TOKEN.lower(), "other"), (TOKEN.upper(),)]):
        for uid in uids:
            set_token(migrated, uid, contract=uid)
        # In a table that is searched later.
        migrated.rows("""INSERT INTO ocpp.transaction_events (charge_station_id, event_time,
            evse_id, digest, received_at, time_source, flags, ocpp_version, event_type, id_token)
            VALUES ('cs', '2026-01-15', 1, %s, now(), 's', 0, '1.6', 'Updated', %s)""", n, TOKEN)
        done = forget(TOKEN)
        assert done["tables"]["tokens"]["rows"] == len(set(uids) - {"other"})
        assert done["tables"]["transaction_events"]["rows"] == 1
        assert found(migrated) == {}
        name = done["pseudonym"]
        assert migrated.rows("SELECT uid, contract_id FROM tokens ORDER BY uid = 'other'") == [
            (name, name), ("other", "other")]


def test_unique_index_of_somebody_else_keeps_its_rows_and_no_others(migrated, forget):
    """The command says which index, does all the rest, and goes on once the index is gone."""
    for name in ("one", "two", "three"):
        set_token(migrated, name, contract={"one": TOKEN, "two": TOKEN.lower()}.get(name, name))
    authorized(migrated)  # of a table that is searched before
    fill_old_month(migrated, rows=10)  # and one after
    migrated.rows("CREATE UNIQUE INDEX somebodys ON ocpp.tokens (contract_id)")
    migrated.rows("""ALTER TABLE ocpp.authorizations ADD CONSTRAINT lower_case
        CHECK (id_token = lower(id_token)) NOT VALID""")
    failed = run_cli(migrated.writer_settings(), "forget", TOKEN)
    assert failed.returncode == 1 and "pseudonym" in failed.stdout, failed
    assert "1 rows of tokens still have the token" in failed.stderr, failed
    assert '"somebodys"' in failed.stderr and "drop the index" in failed.stderr, failed
    assert "1 rows of authorizations" in failed.stderr and '"lower_case"' in failed.stderr, failed
    assert found(migrated) == {"authorizations.id_token": 1, "tokens.contract_id": 1}
    assert migrated.value("SELECT count(*) FROM tokens") == 3
    migrated.rows("DROP INDEX ocpp.somebodys")
    migrated.rows("ALTER TABLE ocpp.authorizations DROP CONSTRAINT lower_case")
    assert forget(TOKEN)["rows"] == 2 and found(migrated) == {}
    assert migrated.value("SELECT count(DISTINCT contract_id) FROM tokens") == 2


def test_workers_that_are_always_busy_are_waited_for(migrated, forget):
    """At each moment one of them stores a batch, which takes longer than the first tries wait."""
    over = threading.Event()
    begun = []

    def batches():
        with migrated.connect(autocommit=False) as session:
            while not over.is_set():
                session.execute("LOCK TABLE ingest_progress IN ROW EXCLUSIVE MODE")
                begun.append(1)
                session.execute("SELECT pg_sleep(0.3 + 0.3 * random())")
                session.commit()

    threads = [threading.Thread(target=batches) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        rig.wait_until(lambda: len(begun) >= 6)
        assert forget(TOKEN)["rows"] == 0
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_it_says_whose_lock_it_waits_for(migrated):
    authorized(migrated)
    blocker = migrated.connect(autocommit=False)
    blocker.execute("SELECT FROM authorizations FOR UPDATE")
    with begun(migrated.writer_settings(), "forget", TOKEN) as process:
        assert "locked rows of authorizations_2026_01" in next_line(process, process.stderr)
        blocker.rollback()
        assert process.wait(rig.HANGS_S) == 0
    assert found(migrated) == {}
