"""What MaEVE's own store loses or changes, one test each; docs/maeve.md has them side by side."""

import itertools
import json
import random

import pytest
from world import DAY, utc


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_meter_values_are_stored(world, version):
    station = world.station()
    place = {"connectorId": 2} if version == "1.6" else {"evseId": 2}
    value = "1532.50" if version == "1.6" else 1532.5
    world.call(station, "MeterValues", {**place, "meterValue": [
        {"timestamp": DAY + "10:00:00Z", "sampledValue": [{"value": value}]}]}, version)
    assert world.rows("SELECT evse_id, value FROM meter_samples WHERE charge_station_id = ?",
                      station) == [(2, 1532.5)]


def test_times_of_a_session_are_the_stations(world):
    station = world.station()
    world.start(station, 1, "12:00:00+02:00")
    world.call(station, "StopTransaction", {"transactionId": 1, "meterStop": 9000,
                                            "timestamp": DAY + "13:30:00+02:00"})
    world.event(station, "Started", at="14:00:00Z", meterValue=[
        {"timestamp": DAY + "13:00:00Z", "sampledValue": [{"value": 1}]}])
    world.event(station, "Ended", number=1, at="15:00:00Z")
    assert world.rows("SELECT transaction_id, started_at, stopped_at FROM transactions"
                      " WHERE charge_station_id = ? ORDER BY 1", station) == [
        ("1", utc(DAY + "10:00:00"), utc(DAY + "11:30:00")),
        ("T", utc(DAY + "14:00:00"), utc(DAY + "15:00:00"))]


def test_meter_of_start_and_stop_is_what_was_read(world):
    station = world.station()
    world.start(station, 1)
    world.call(station, "StopTransaction", {"transactionId": 1, "meterStop": 9000,
                                            "timestamp": DAY + "11:00:00Z"})
    sample = {"measurand": "Energy.Active.Import.Register",
              "unitOfMeasure": {"unit": "kWh", "multiplier": 0}}
    for number, (kind, context, value) in enumerate([("Started", "Transaction.Begin", 7.25),
                                                     ("Ended", "Transaction.End", 9.5)]):
        at = f"1{number}:00:00Z"
        world.event(station, kind, number=number, at=at, meterValue=[
            {"timestamp": DAY + at, "sampledValue": [{**sample, "value": value,
                                                      "context": context}]}])
    assert world.rows("SELECT meter_start, meter_stop FROM transactions"
                      " WHERE charge_station_id = ? ORDER BY transaction_id", station) == [
        (1500, 9000), (7250, 9500)]


def test_reason_of_the_end_is_the_stations(world):
    station = world.station()
    world.call(station, "StopTransaction", {"transactionId": 1, "meterStop": 9000,
                                            "reason": "EVDisconnected",
                                            "timestamp": DAY + "11:00:00Z"})
    world.event(station, "Ended", transactionInfo={"transactionId": "T",
                                                   "stoppedReason": "EmergencyStop"})
    assert world.rows("SELECT stopped_reason FROM transactions WHERE charge_station_id = ?"
                      " ORDER BY transaction_id", station) == [("EVDisconnected",),
                                                               ("EmergencyStop",)]


def test_place_reservation_and_seq_no_are_kept(world):
    station = world.station()
    world.start(station, 1, connectorId=3, reservationId=5)
    world.event(station, "Started", number=4, evse={"id": 2, "connectorId": 1}, reservationId=6,
                transactionInfo={"transactionId": "T", "remoteStartId": 7})
    assert world.rows("SELECT evse_id, connector_id, reservation_id, remote_start_id, seq_no_start"
                      " FROM transactions WHERE charge_station_id = ? ORDER BY transaction_id",
                      station) == [(3, 3, 5, None, None), (2, 1, 6, 7, 4)]


def test_update_and_end_without_a_start_are_kept(world):
    station = world.station()
    world.call(station, "StopTransaction", {"transactionId": 77, "meterStop": 9000,
                                            "timestamp": DAY + "11:00:00Z"})
    world.event(station, "Updated", number=3, at="10:30:00Z",
                transactionInfo={"transactionId": "T", "chargingState": "Charging"})
    assert world.rows("SELECT transaction_id, meter_stop, charging_state, reasons[1]"
                      " FROM transactions JOIN suspicious_sessions"
                      " USING (charge_station_id, transaction_id, meter_stop)"
                      " WHERE charge_station_id = ?", station) == [
        ("77", 9000, None, "no start")]
    assert world.rows("SELECT charging_state FROM transactions"
                      " WHERE charge_station_id = ? AND transaction_id = 'T'", station) == [
        ("Charging",)]


def test_start_repeated_by_the_station_is_one_start(world):
    station = world.station()
    world.start(station, 1, id="first")
    world.start(station, 1, id="second")  # the same start in a new frame
    assert world.rows("SELECT count(*) FROM transaction_events WHERE charge_station_id = ?",
                      station) == [(1,)]
    assert world.rows("SELECT transaction_id FROM transactions WHERE charge_station_id = ?",
                      station) == [("1",)]


def test_start_repeated_by_a_2x_station_fails_nothing(world):
    station = world.station()
    for _ in range(3):
        world.event(station, "Started", meterValue=[
            {"timestamp": DAY + "10:00:00Z", "sampledValue": [{"value": 1}]}])
    assert world.rows("SELECT (SELECT count(*) FROM transactions WHERE charge_station_id = ?),"
                      " (SELECT count(*) FROM meter_values WHERE charge_station_id = ?)",
                      station, station) == [(1, 1)]


def test_unknown_tokens_do_not_share_a_transaction(world):
    stations = [world.station() for _ in range(2)]
    for station in stations:
        world.start(station, -1)
    world.start(stations[0], -1, "11:00:00Z")
    assert world.rows("SELECT charge_station_id, started_at FROM transactions"
                      " WHERE charge_station_id = ANY (?) ORDER BY 1, 2", stations) == [
        (stations[0], utc(DAY + "10:00:00")), (stations[0], utc(DAY + "11:00:00")),
        (stations[1], utc(DAY + "10:00:00"))]


def test_one_transaction_id_at_two_stations_is_two_transactions(world):
    stations = [world.station() for _ in range(2)]
    for station in stations:
        world.event(station, "Started", "same")
    assert world.rows("SELECT count(*) FROM transactions WHERE transaction_id = 'same'") == [(2,)]


def test_second_end_is_kept_beside_the_first(world):
    station = world.station()
    for number, reason in enumerate(["Local", "PowerLoss"]):
        world.event(station, "Ended", number=number, at=f"1{number}:00:00Z",
                    transactionInfo={"transactionId": "T", "stoppedReason": reason})
    assert world.rows("SELECT stopped_reason FROM transaction_events WHERE charge_station_id = ?"
                      " ORDER BY event_time", station) == [("Local",), ("PowerLoss",)]
    assert world.rows("SELECT stopped_reason, flag_names(flags) FROM transactions"
                      " WHERE charge_station_id = ?", station) == [
        ("PowerLoss", ["duplicate_stop"])]


def test_order_of_events_does_not_matter(world):
    events = [("Started", 0, "10:00:00Z"), ("Updated", 1, "10:30:00Z"), ("Ended", 3, "11:00:00Z")]
    stations = []
    for order in itertools.permutations(events):
        stations.append(world.station())
        for kind, number, at in order:
            world.event(stations[-1], kind, number=number, at=at)
    assert world.rows("SELECT DISTINCT started_at, stopped_at, seq_no_start, seq_no_stop,"
                      " seq_no_missing FROM transactions WHERE charge_station_id = ANY (?)",
                      stations) == [(utc(DAY + "10:00:00"), utc(DAY + "11:00:00"), 0, 3, 1)]


def test_signed_data_loses_nothing(world):
    station = world.station()
    signed = json.dumps({"signedMeterData": "QUJD", "encodingMethod": "OCMF"})
    world.call(station, "StopTransaction", {
        "transactionId": 1, "meterStop": 9000, "timestamp": DAY + "11:00:00Z",
        "transactionData": [{"timestamp": DAY + "11:00:00Z", "sampledValue": [
            {"value": signed, "format": "SignedData", "context": "Transaction.End"},
            {"value": "9000"}]}]})
    assert world.rows("SELECT value_text FROM meter_samples WHERE charge_station_id = ?"
                      " ORDER BY position", station) == [(signed,), ("9000",)]
    assert world.rows("SELECT meter_stop FROM transactions WHERE charge_station_id = ?",
                      station) == [(9000,)]


def test_older_status_does_not_replace_a_newer_one(world):
    station = world.station()
    for status, at in (("Charging", "11:00:00Z"), ("Preparing", "10:00:00Z")):
        world.call(station, "StatusNotification", {
            "connectorId": 1, "status": status, "errorCode": "NoError", "timestamp": DAY + at})
    for status, at in (("Occupied", "11:00:00Z"), ("Available", "10:00:00Z")):
        world.call(station, "StatusNotification", {
            "evseId": 2, "connectorId": 1, "connectorStatus": status, "timestamp": DAY + at},
            "2.0.1")
    assert world.rows("SELECT evse_id, status, event_time FROM connector_status"
                      " WHERE charge_station_id = ? ORDER BY 1", station) == [
        (1, "Charging", utc(DAY + "11:00:00")), (2, "Occupied", utc(DAY + "11:00:00"))]
    assert world.rows("SELECT count(*) FROM ocpp_events WHERE charge_station_id = ?", station) \
        == [(4,)]


def test_unknown_status_stays_what_it_is(world):
    station = world.station()
    world.call(station, "StatusNotification", {"connectorId": 1, "status": "Napping",
                                               "errorCode": "Tired"})
    assert world.rows("SELECT status, error_code FROM connector_status"
                      " WHERE charge_station_id = ?", station) == [("Napping", "Tired")]


def test_boot_of_a_2x_station_says_what_it_is(world):
    station = world.station()
    world.call(station, "BootNotification", {"reason": "PowerUp", "chargingStation": {
        "vendorName": "V", "model": "M", "serialNumber": "S", "firmwareVersion": "1.2"}}, "2.0.1")
    assert world.rows("SELECT vendor, model, serial_number, firmware_version"
                      " FROM charge_station_status WHERE charge_station_id = ?", station) == [
        ("V", "M", "S", "1.2")]


@pytest.mark.parametrize("version, action, payload", [
    ("1.6", "FirmwareStatusNotification", {"status": "Downloading"}),
    ("1.6", "DiagnosticsStatusNotification", {"status": "Uploading"}),
    ("1.6", "SecurityEventNotification", {"type": "FirmwareUpdated", "timestamp": DAY + "10:00Z"}),
    ("1.6", "SignCertificate", {"csr": "PEM"}),
    ("2.0.1", "SecurityEventNotification", {"type": "Tamper", "timestamp": DAY + "10:00:00Z"}),
    ("2.0.1", "NotifyEvent", {"generatedAt": DAY + "10:00:00Z", "seqNo": 0, "eventData": [{}]}),
    ("2.0.1", "NotifyChargingLimit", {"chargingLimit": {"chargingLimitSource": "EMS"}}),
    ("2.0.1", "PublishFirmwareStatusNotification", {"status": "Published"}),
    ("2.0.1", "NotifyDisplayMessages", {"requestId": 1}),
    ("2.0.1", "SomethingNew", {"of": ["a", "vendor"]}),
])
def test_what_has_no_table_is_kept_as_it_is(world, version, action, payload):
    station = world.station()
    world.call(station, action, payload, version)
    assert world.rows("SELECT action, payload FROM ocpp_events WHERE charge_station_id = ?",
                      station) == [(action, payload)]


def test_reports_are_not_erased_by_what_comes_later(world):
    station = world.station()
    for number in range(3):
        world.call(station, "NotifyReport", {
            "requestId": 1, "generatedAt": f"{DAY}10:00:0{number}Z", "seqNo": 0,
            "reportData": [{"component": {"name": f"C{number}"}, "variable": {"name": "V"}}]},
            "2.0.1")
    id = world.call(station, "SetVariables", {"setVariableData": []}, "2.0.1", "out")
    world.result(station, "SetVariables", {"setVariableResult": []}, id, "2.0.1", "in")
    assert world.rows("SELECT count(*) FROM ocpp_events WHERE charge_station_id = ?"
                      " AND action = 'NotifyReport'", station) == [(3,)]


def test_answers_to_calls_of_the_csms_are_kept(world):
    station = world.station()
    for action in ("ReserveNow", "UpdateFirmware", "CustomerInformation"):
        id = world.call(station, action, {"id": 1}, "2.0.1", "out")
        world.result(station, action, {"status": "Accepted"}, id, "2.0.1", "in",
                     request={"id": 1})
    assert world.rows("SELECT action, kind FROM ocpp_events WHERE charge_station_id = ?"
                      " AND direction = 'in' ORDER BY 1", station) == [
        ("CustomerInformation", "result"), ("ReserveNow", "result"), ("UpdateFirmware", "result")]


def test_message_with_a_field_that_no_schema_knows_is_stored(world):
    station = world.station()
    world.start(station, 1, vendorThing={"x": 1}, timestamp="2026-01-31 10:00:00")
    assert world.rows("SELECT extra, flag_names(flags) FROM transaction_events"
                      " WHERE charge_station_id = ?", station) == [
        ({"vendorThing": {"x": 1}}, ["time_zoneless"])]


def test_digits_survive(world):
    station = world.station()
    texts = ["0.10", "123456789012345678901234567890.5", "9007199254740993", "-0.00"]
    world.call(station, "MeterValues", {"connectorId": 1, "meterValue": [
        {"timestamp": DAY + "10:00:00Z", "sampledValue": [{"value": t} for t in texts]}]})
    assert [text for text, in world.rows("SELECT value_text FROM meter_samples"
                                         " WHERE charge_station_id = ? ORDER BY position",
                                         station)] == texts


def test_long_ids_are_stored(world):
    station = "s" * 255
    world.event(station, "Started", "t" * 100, idToken={"idToken": "k" * 255, "type": "Other"})
    assert world.rows("SELECT length(transaction_id), length(id_token) FROM transactions"
                      " WHERE charge_station_id = ?", station) == [(100, 255)]


def test_load_script_of_maeve_is_stored_whole(world):
    """Its k6 script: ids "1" to "16" on every connection, one constant time, values that do not
    say what they measure, and StopTransaction of a transaction 3 that never was."""
    at = "2023-09-18T08:25:40.20Z"
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": at}
    script = [("BootNotification", {"chargePointModel": "M", "chargePointVendor": "V"}),
              *[("StatusNotification", {**status, "connectorId": n}) for n in (0, 1)],
              ("Heartbeat", {}), ("Authorize", {"idTag": "TAG"}),
              ("StartTransaction", {"connectorId": 1, "idTag": "TAG", "meterStart": 0,
                                    "timestamp": at}),
              ("StatusNotification", {**status, "status": "Charging"}), ("Heartbeat", {}),
              *[("MeterValues", {"connectorId": 1, "transactionId": 3, "meterValue": [
                  {"timestamp": at, "sampledValue": [{"value": str(n)}]}]}) for n in (1, 2)],
              ("Heartbeat", {}), ("Heartbeat", {}),
              ("StopTransaction", {"transactionId": 3, "idTag": "TAG", "meterStop": 20,
                                   "timestamp": at}),
              ("StatusNotification", {**status, "status": "Finishing"}), ("Heartbeat", {}),
              ("Heartbeat", {})]
    assert len(script) == 16
    stations = [f"k6-{number}" for number in range(50)]
    chosen = random.Random(1)
    for _ in range(2):  # each connects twice
        for number, (action, request) in enumerate(script):
            for station in stations:
                world.call(station, action, request, id=str(number + 1))
                if action == "StartTransaction":
                    world.result(station, action, {
                        "transactionId": chosen.randrange(4, 2 ** 31),
                        "idTagInfo": {"status": "Accepted"}}, str(number + 1))
                elif action == "StopTransaction":
                    world.publisher.send(station, {
                        "type": 4, "action": action, "id": str(number + 1),
                        "error_code": "InternalError",
                        "error_description": "transaction not found"}, direction="out")
                    world.sent += 1

    # A station's identical stop on its second connection is the same stop.
    assert world.rows("SELECT count(*), count(DISTINCT charge_station_id), min(meter_stop)"
                      " FROM transaction_events WHERE charge_station_id LIKE 'k6-%'"
                      " AND event_type = 'Ended'") == [(50, 50, 20)]
    assert world.rows("SELECT count(*) FROM suspicious_sessions WHERE transaction_id = '3'"
                      " AND charge_station_id LIKE 'k6-%' AND 'no start' = ANY (reasons)") == [
        (50,)]
    assert world.rows("SELECT count(*), sum(value) FROM meter_samples"
                      " WHERE charge_station_id LIKE 'k6-%'") == [(100, 150)]
    assert world.rows("SELECT count(*) FROM connector_status"
                      " WHERE charge_station_id LIKE 'k6-%'") == [(100,)]
    [(received, stored, duplicate, dead, skipped)] = world.rows(
        "SELECT sum(received), sum(stored), sum(duplicate), sum(dead_lettered), sum(skipped)"
        " FROM ingest_progress")
    assert (received, dead) == (world.sent, 0)
    assert received == stored + duplicate + skipped
