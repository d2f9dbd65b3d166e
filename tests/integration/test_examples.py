"""From broker to table: messages as MaEVE and others send them, and hostile ones."""

import datetime
import decimal
import json
import os
import random
import subprocess

import msgpack
from conftest import stored

UTC = datetime.timezone.utc

# The examples of MaEVE's wire, published as they stand.
EXAMPLES = [
    ("cs/in/ocpp1.6/cs001", '{"type":2,"action":"StartTransaction","id":"8","request":{"connectorId":1,"idTag":"38748383L7337848H823","meterStart":3,"reservationId":5,"timestamp":"2023-09-18T08:25:40.20Z"}}'),
    ("cs/out/ocpp1.6/cs001", '{"type":3,"action":"StartTransaction","id":"8","response":{"idTagInfo":{"status":"Accepted"},"transactionId":1298498081}}'),
    ("cs/out/ocpp1.6/cs001", '{"type":3,"action":"StartTransaction","id":"8","response":{"idTagInfo":{"status":"Invalid"},"transactionId":-1}}'),
    ("cs/in/ocpp1.6/cs001", '{"type":2,"action":"MeterValues","id":"12","request":{"connectorId":1,"transactionId":1298498081,"meterValue":[{"timestamp":"2023-09-18T08:40:00Z","sampledValue":[{"value":"1532","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","location":"Outlet","unit":"Wh"},{"value":"5"}]}]}}'),
    ("cs/out/ocpp1.6/cs001", '{"type":3,"action":"MeterValues","id":"12","response":{}}'),
    ("cs/in/ocpp1.6/cs001", '{"type":2,"action":"Authorize","id":"6","request":{"idTag":"38748383L7337848H823"}}'),
    ("cs/out/ocpp1.6/cs001", '{"type":3,"action":"Authorize","id":"6","response":{"idTagInfo":{"status":"Accepted"}}}'),
    ("cs/in/ocpp2.0.1/cs002", '{"type":2,"action":"TransactionEvent","id":"5f0c2c1e-8a6b-4a0e-9d0f-3b1a6a0f7f11","request":{"eventType":"Ended","timestamp":"2026-02-28T10:20:00Z","triggerReason":"StopAuthorized","seqNo":7,"transactionInfo":{"transactionId":"a2f4c6d0-1c1b-4f55-8f0e-2f6a4a7f9d10","stoppedReason":"Local"},"evse":{"id":1,"connectorId":1},"idToken":{"idToken":"DEADBEEF","type":"ISO14443"},"meterValue":[{"timestamp":"2026-02-28T10:19:59Z","sampledValue":[{"value":15320.5,"context":"Transaction.End","measurand":"Energy.Active.Import.Register","location":"Outlet","unitOfMeasure":{"unit":"Wh","multiplier":0}}]}]}}'),
    ("cs/out/ocpp2.0.1/cs002", '{"type":3,"action":"TransactionEvent","id":"5f0c2c1e-8a6b-4a0e-9d0f-3b1a6a0f7f11","response":{"idTokenInfo":{"status":"Accepted"},"totalCost":8.426275}}'),
    ("cs/out/ocpp2.0.1/cs002", '{"type":4,"action":"TransactionEvent","id":"5f0c2c1e-8a6b-4a0e-9d0f-3b1a6a0f7f11","error_code":"InternalError","error_description":"transaction not found"}'),
    ("cs/in/ocpp2.0.1/cs002", '{"type":2,"action":"Authorize","id":"a1","request":{"idToken":{"idToken":"DEADBEEF","type":"ISO14443"}}}'),
    ("cs/out/ocpp2.0.1/cs002", '{"type":3,"action":"Authorize","id":"a1","response":{"idTokenInfo":{"status":"Accepted","groupIdToken":{"idToken":"GROUP01","type":"Central"}}}}'),
    ("cs/out/ocpp1.6/cs001", '{"type":2,"action":"ChangeConfiguration","id":"0b0c6f4e-2b0f-4c5e-9f43-0b8a7c0c8c55","request":{"key":"HeartbeatInterval","value":"10"}}'),
    ("cs/in/ocpp1.6/cs001", '{"type":3,"action":"ChangeConfiguration","id":"0b0c6f4e-2b0f-4c5e-9f43-0b8a7c0c8c55","request":{"key":"HeartbeatInterval","value":"10"},"response":{"status":"Accepted"}}'),
    ("cs/in/ocpp1.6/cs001", '{"type":4,"action":"ChangeConfiguration","id":"0b0c6f4e-2b0f-4c5e-9f43-0b8a7c0c8c56","request":{"key":"HeartbeatInterval","value":"10"},"error_code":"NotSupported","error_description":"nope"}'),
]


def mosquitto_pub(broker, topic, payload):
    subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1",
                    "-t", topic, "-m", payload], check=True)


def test_examples_of_maeve_give_the_rows_they_describe(running, migrated, broker):
    running()
    for topic, payload in EXAMPLES:
        mosquitto_pub(broker, topic, payload)
    stored(migrated, len(EXAMPLES))

    assert migrated.rows("SELECT started_at, meter_start, id_token_status FROM transactions"
                         " WHERE transaction_id = '1298498081'") == [
        (datetime.datetime(2023, 9, 18, 8, 25, 40, 200000, UTC), 3, "Accepted")]
    # The second result, which refuses, is kept and stands for itself.
    assert migrated.rows("SELECT id_token_status FROM transactions"
                         " WHERE transaction_id LIKE '-1@%'") == [("Invalid",)]
    assert migrated.value("SELECT count(*) FROM transaction_starts") == 2

    assert migrated.value("SELECT sampled FROM meter_values"
                          " WHERE charge_station_id = 'cs001'") == [1532, 5]
    assert migrated.rows("SELECT position, measurand, unit, value, value_text FROM meter_samples"
                         " WHERE charge_station_id = 'cs001' ORDER BY position") == [
        (1, "Energy.Active.Import.Register", "Wh", 1532, "1532"),
        (2, "Energy.Active.Import.Register", "Wh", 5, "5")]
    assert migrated.value("SELECT meter_value -> 'sampledValue' -> 1 FROM meter_values_json"
                          " WHERE charge_station_id = 'cs001'") == {"value": 5}

    assert migrated.rows("SELECT stopped_reason, stopped_at, meter_stop, seq_no_stop"
                         " FROM transactions WHERE charge_station_id = 'cs002'") == [
        ("Local", datetime.datetime(2026, 2, 28, 10, 20, tzinfo=UTC),
         decimal.Decimal("15320.5"), 7)]
    assert migrated.value("SELECT 'no start' = ANY (incomplete) FROM sessions"
                          " WHERE charge_station_id = 'cs002'")

    assert migrated.rows("SELECT charge_station_id, id_token, status, group_id_token"
                         " FROM authorizations ORDER BY 1") == [
        ("cs001", "38748383L7337848H823", "Accepted", None),
        ("cs002", "DEADBEEF", "Accepted", "GROUP01")]
    # The answer to MeterValues says nothing and is left out; all others are there.
    assert migrated.rows("SELECT skipped, reasons FROM ingest_progress") == [
        (1, {"skipped:empty_result": 1})]
    assert migrated.value("SELECT count(*) FROM dead_letters") == 0
    assert migrated.value("SELECT payload ->> 'totalCost' FROM ocpp_events"
                          " WHERE action = 'TransactionEvent' AND kind = 'result'") == "8.426275"
    assert migrated.rows("SELECT error_code, error_description, request IS NOT NULL"
                         " FROM ocpp_events WHERE kind = 'error' ORDER BY 1") == [
        ("InternalError", "transaction not found", False), ("NotSupported", "nope", True)]


def test_shapes_and_formats_of_one_fact_are_one_fact(running, migrated, publish):
    running()
    request = {"connectorId": 1, "idTag": "T1", "meterStart": 100,
               "timestamp": "2026-01-31T10:00:00Z"}
    envelope = {"type": 2, "action": "StartTransaction", "id": "1", "request": request}
    in_msgpack = {**request, "timestamp": msgpack.Timestamp(1769853600)}
    topic = "cs/in/ocpp1.6/cs001"
    publish.raw(topic, json.dumps(envelope))
    publish.raw(topic, msgpack.packb(envelope), ContentType="application/msgpack")
    publish.raw(topic, msgpack.packb({**envelope, "id": "2", "request": in_msgpack}))
    publish.raw(topic, json.dumps([2, "3", "StartTransaction",
                                   {**request, "timestamp": "2026-01-31T11:00:00.000+01:00"}]))
    publish.raw(topic, msgpack.packb([2, "4", "StartTransaction", request]))
    publish.raw(topic, json.dumps([envelope, [2, "5", "StartTransaction", request]]))
    stored(migrated, 7)
    assert migrated.value("SELECT count(*) FROM transaction_events") == 1
    assert migrated.rows("SELECT stored, duplicate FROM ingest_progress") == [(1, 6)]


def test_numbers_keep_their_digits(running, migrated, publish):
    running()
    texts = ["1.10", "0.000", "-5", "123456789012345678901234567890.5", "1e3", "+5.10", "NaN",
             "", "1,5", "007"]
    publish.call("cs001", "MeterValues", {"connectorId": 1, "meterValue": [
        {"timestamp": "2026-01-31T10:00:00Z", "sampledValue": [{"value": t} for t in texts]}]})
    publish.raw("cs/in/ocpp2.0.1/cs002", '{"type":2,"action":"MeterValues","id":"1","request":{'
                '"evseId":1,"meterValue":[{"timestamp":"2026-01-31T10:00:00Z","sampledValue":['
                '{"value":1.10},{"value":-0},{"value":1E-2},{"value":98765432109876543210}]}]}}')
    stored(migrated, 2)
    assert [row[0] for row in migrated.rows(
        "SELECT value_text FROM meter_samples WHERE charge_station_id = 'cs001'"
        " ORDER BY position")] == texts
    assert [str(v) for v in migrated.value(
        "SELECT sampled FROM meter_values WHERE charge_station_id = 'cs001'")] == [
        "1.10", "0.000", "-5", "123456789012345678901234567890.5", "1000", "5.10", "None",
        "None", "None", "7"]
    assert [row[0] for row in migrated.rows(
        "SELECT value_text FROM meter_samples WHERE charge_station_id = 'cs002'"
        " ORDER BY position")] == ["1.10", "-0", "1E-2", "98765432109876543210"]


def test_hostile_payloads_are_set_aside_and_their_neighbours_stored(running, migrated, publish):
    p = running({"mqtt.message_bytes_max": "1MiB"})
    heartbeat = '{"type":2,"action":"Heartbeat","id":"%d","request":{}}'
    hostile = {
        b"\xdd\xff\xff\xff\xff": "bad_msgpack",
        b"": "empty",
        random.Random(1).randbytes(1 << 20): None,
        b"{}": "bad_envelope",
        b'{"type":2,"action":"BootNotifi': "bad_json",
        b"x" * ((1 << 20) + 1): "oversized",
        b"[" * 5000: "too_deep",
        b'[2,"1","A",{"n":' + b"9" * 200000 + b"}]": None,
    }
    topic = "cs/in/ocpp1.6/cs001"
    for i, payload in enumerate(hostile):
        publish.raw(topic, heartbeat % i)
        publish.raw(topic, payload)
    publish.raw("cs/in/ocpp1.6/cs\xff001", heartbeat % 99)
    publish.raw("cs/in/ocpp1.6/cs001", b'{"type":2,"action":"DataTransfer","id":"n",'
                b'"request":{"vendorId":"V","data":"a\\u0000b"}}')
    count = 2 * len(hostile) + 2
    stored(migrated, count)
    received, kept, dead = migrated.rows(
        "SELECT received, stored, dead_lettered FROM ingest_progress")[0]
    assert received == count and kept + dead == count
    reasons = dict(migrated.rows("SELECT payload_bytes, reason FROM dead_letters"))
    for payload, reason in hostile.items():
        if reason:
            assert reasons[len(payload)] == reason
    # 200,000 digits are more than numeric has: kept as text, with the message as it came.
    assert migrated.value("SELECT length(payload_raw) FROM ocpp_events WHERE action = 'A'") > 200000
    assert migrated.rows("SELECT payload ->> 'data', flag_names(flags), payload_raw IS NOT NULL"
                         " FROM ocpp_events WHERE action = 'DataTransfer'") == [
        ("a\ufffdb", ["text_replaced"], True)]
    payload, digest, size = migrated.rows(
        "SELECT payload, payload_sha256, payload_bytes FROM dead_letters"
        " WHERE reason = 'oversized'")[0]
    assert size == (1 << 20) + 1 and payload == b"x" * 65536 and len(digest) == 32
    assert migrated.value("SELECT count(*) FROM ocpp_events WHERE action = 'Heartbeat'"
                          " AND charge_station_id = 'cs001'") == len(hostile)
    assert p.metric('ocpp_persister_messages_total{outcome="dead_lettered"}') == dead
    if "release" in os.environ.get("OCPP_PERSISTER_BUILD", ""):  # ASan has its own memory
        assert p.rss_peak_kib() < 64 * 1024


def test_maeve_tables_in_public_stay_as_they_are(persister, database, broker, publish):
    with database.connect(search_path="public") as c:
        for table in ["tokens", "transactions", "meter_values", "connector_status",
                      "charge_station_status", "certificates", "locations"]:
            c.execute(f"CREATE TABLE public.{table} (id text)")
        c.execute("CREATE TABLE public.schema_migrations "
                  "(version bigint PRIMARY KEY, dirty boolean)")
        c.execute("INSERT INTO public.schema_migrations VALUES (30, false)")
    p = persister({**database.settings(), **broker.settings()}).start("--migrate")
    p.wait_event("broker_connected")
    publish.call("cs001", "MeterValues", {"connectorId": 1, "meterValue": [
        {"timestamp": "2026-01-31T10:00:00Z", "sampledValue": [{"value": "1"}]}]})
    p.wait_metric('ocpp_persister_messages_total{outcome="stored"}', 1)
    assert database.rows("SELECT * FROM public.schema_migrations") == [(30, False)]
    assert database.value("SELECT count(*) FROM public.meter_values") == 0
    assert database.value("SELECT count(*) FROM ocpp.meter_values") == 1
    assert database.value("SELECT count(*) FROM pg_class WHERE relkind = 'r' "
                          "AND relnamespace = 'public'::regnamespace") == 8
