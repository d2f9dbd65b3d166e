"""A token made of digits is replaced only where a token can be."""

import json

import msgpack
import pytest
from conftest import run_cli, stored
from test_forget import Messages, forget, send  # noqa: F401
from world import DAY

def test_readings_and_transaction_ids_are_left(migrated, forget):
    samples = [{"value": "1234", "unit": "Wh", "card": "1234"}]
    data = json.dumps({"meterValue": [{"sampledValue": samples}], "card": "1234",
                       "transactionId": "1234"})
    setting = {"key": "FreeChargeTag", "value": "1234"}
    migrated.rows("SELECT ensure_partition('meter_values', '2026-01-15')")
    migrated.rows("""INSERT INTO meter_values (charge_station_id, event_time, evse_id, digest,
        received_at, time_source, flags, source, layout_id,
        sampled, raw)
        VALUES ('cs', '2026-01-15', 1, 1, now(), 's', 0, 'M', 0, '{}', %s::jsonb)""",
                  json.dumps(samples))
    migrated.rows("""INSERT INTO ocpp_events (charge_station_id, event_time, evse_id, digest,
        received_at, time_source, flags, ocpp_version, direction, kind, action, payload,
        payload_raw) VALUES ('cs', '-infinity', -1, 1, now(), 'i', 0, '1.6', 'in', 'call', 'X',
        jsonb_build_object('data', %s::text, 'setting', %s::jsonb), convert_to(%s, 'UTF8'))""",
                  data, json.dumps(setting), data)
    name = forget("1234")["pseudonym"]
    hidden = data.replace('"card": "1234"', f'"card": "{name}"')
    assert migrated.value("SELECT raw FROM meter_values") == [{**samples[0], "card": name}]
    payload, raw = migrated.rows(
        "SELECT payload, convert_from(payload_raw, 'UTF8') FROM ocpp_events")[0]
    assert raw == hidden
    assert payload == {"data": hidden, "setting": {**setting, "value": name}}


DIGITS = "12345678"


def lookalikes():
    """Digits as a token, and in ids, readings and numbers that are texts."""
    made = Messages()
    samples = [{"timestamp": DAY + "10:30:00Z", "sampledValue": [{"value": DIGITS}]}]
    made.call("StartTransaction", {"connectorId": 1, "idTag": DIGITS, "meterStart": DIGITS,
                                   "timestamp": DAY + "10:00:00Z"}, id=DIGITS)
    made.result("StartTransaction", {"transactionId": int(DIGITS), "idTagInfo": {
        "status": "Accepted", "parentIdTag": DIGITS}}, DIGITS)
    made.call("StopTransaction", {
        "transactionId": int(DIGITS), "idTag": DIGITS, "meterStop": DIGITS, "note": "\0",
        "timestamp": DAY + "11:00:00Z", "transactionData": samples}, id=DIGITS)
    made.append(("cs/in/ocpp1.6/cs1", json.dumps([2, DIGITS, "DataTransfer", {
        "vendorId": "v", "note": "\0", "id": DIGITS,
        "data": json.dumps({"meterValue": samples, "card": DIGITS})}])))
    made.append(("cs/in/ocpp1.6/cs1", msgpack.packb({
        "type": 2, "id": DIGITS, "action": "Authorize",
        "request": {"idTag": DIGITS, "note": "\0", "connectorId": DIGITS}})))
    made.append(("cs/in/ocpp1.6/cs1", f'[2,"{DIGITS}","Authorize",{{"idTag":"{DIGITS}"'))
    return made


# {"table.column": how often they stay}, and how often the pseudonym is there.
DIGITS_STAY = {
    "authorizations.message_id": 1, "authorizations.extra": 1, "authorizations.payload_raw": 2,
    "dead_letters.payload": 1, "exchange_halves.message_id": 5,
    "exchange_halves.transaction_id": 1, "meter_values.transaction_id": 1,
    "meter_values.sampled": 1, "meter_values.payload_raw": 4, "ocpp_events.message_id": 2,
    "ocpp_events.payload": 2, "ocpp_events.payload_raw": 2,
    "transaction_events.transaction_id": 1, "transaction_events.meter_start": 1,
    "transaction_events.meter_stop": 1, "transaction_events.message_id": 2,
    "transaction_events.payload_raw": 4, "transaction_events.readings": 1,
    "transaction_keys.transaction_id": 1, "transaction_starts.transaction_id": 1,
    "transactions.transaction_id": 1, "transactions.meter_start": 1, "transactions.meter_stop": 1,
}
DIGITS_GO = {
    "authorizations.id_token": 1, "authorizations.payload_raw": 1, "dead_letters.payload": 1,
    "exchange_halves.group_id_token": 1, "forgotten_tokens.pseudonym": 1,
    "meter_values.payload_raw": 1, "ocpp_events.payload": 3, "ocpp_events.payload_raw": 2,
    "transaction_events.id_token": 2, "transaction_events.payload_raw": 1,
    "transaction_starts.group_id_token": 1, "transactions.id_token": 1,
    "transactions.group_id_token": 1, "transactions.stop_id_token": 1,
}


def occurrences(database, text):
    """{"table.column": times}"""
    counts = {}
    with database.connect() as session:
        for table, parent, column, kind in session.execute("""
                SELECT c.oid::regclass::text, coalesce(pg_partition_root(c.oid)::regclass::text,
                    c.relname), a.attname, a.atttypid::regtype::text
                FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
                WHERE c.relnamespace = 'ocpp'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
                  AND NOT a.attisdropped""").fetchall():
            value = f"encode(\"{column}\", 'escape')" if kind == "bytea" else f'"{column}"::text'
            times = session.execute(f"""SELECT coalesce(sum((length({value}) - length(
                replace({value}, %s, ''))) / length(%s)), 0)::integer FROM {table}""",
                (text, text)).fetchone()[0]
            if times:
                key = f"{parent}.{column}"
                counts[key] = counts.get(key, 0) + times
    return counts


@pytest.mark.parametrize("way", ["in the tables", "by a worker", "in files"])
def test_digits_are_replaced_only_where_a_token_can_be(running, migrated, publish, forget,
                                                       tmp_path, way):
    running()
    sent = lookalikes()
    if way == "by a worker":
        name = forget(DIGITS)["pseudonym"]
    send(publish, sent)
    stored(migrated, len(sent))
    if way == "in the tables":
        name = forget(DIGITS)["pseudonym"]
    if way == "in files":
        settings = migrated.writer_settings()
        done = run_cli(settings, "partitions", "archive", "--older-than", "30d", "--to",
                       str(tmp_path))
        assert done.returncode == 0, done.stderr
        files = [str(path) for path in sorted(tmp_path.iterdir())]
        assert len(files) >= 3
        done = run_cli(settings, "forget", DIGITS, *files)
        assert done.returncode == 0, done.stderr
        name = migrated.value("SELECT pseudonym FROM forgotten_tokens")
        done = run_cli(settings, "replay", *files)
        assert done.returncode == 0, done.stderr
    assert occurrences(migrated, DIGITS) == DIGITS_STAY
    assert occurrences(migrated, name) == DIGITS_GO
