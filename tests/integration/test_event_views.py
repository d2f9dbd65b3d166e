"""The views over ocpp_events: the fields of payloads; no payload makes them fail."""

import datetime
import itertools
import json
import os
import pathlib
import sys

import pytest
import rig
from conftest import ROOT, run_cli, stored

DAY = "2026-01-31T"


class Station:
    """Publishes what one station and its CSMS say to each other."""

    def __init__(self, publish, database, name="cs001", version="2.0.1"):
        self.publish, self.database, self.name, self.version = publish, database, name, version
        self.count, self._ids = 0, itertools.count(1)

    def says(self, action, request):
        self.publish.call(self.name, action, request, id=f"s{next(self._ids)}",
                          version=self.version)
        self.count += 1

    def is_asked(self, action, request, answer=None, error=None):
        """By the CSMS; answers with a result or an error."""
        id = f"c{next(self._ids)}"
        self.publish.call(self.name, action, request, id=id, version=self.version,
                          direction="out")
        if answer is not None:
            self.publish.result(self.name, action, answer, id=id, version=self.version,
                                direction="in")
        elif error is not None:
            self.publish.send(self.name, {"type": 4, "action": action, "id": id,
                                          "error_code": error, "error_description": "no"},
                              self.version, "in")
        self.count += 1 + (answer is not None or error is not None)

    def rows(self, sql):
        stored(self.database, self.count)
        return self.database.rows(sql)


@pytest.fixture
def station(running, migrated, publish):
    running()
    return Station(publish, migrated)


@pytest.fixture
def station16(running, migrated, publish):
    running()
    return Station(publish, migrated, version="1.6")


def test_boots_and_the_newest_of_them(station, migrated):
    charging_station = {"vendorName": "V", "model": "M", "serialNumber": "S",
                        "firmwareVersion": "1", "modem": {"iccid": "8949", "imsi": "262"}}
    station.says("BootNotification", {"reason": "PowerUp", "chargingStation": charging_station})
    station.says("BootNotification", {"reason": "RemoteReset", "chargingStation": {
        **charging_station, "firmwareVersion": "2"}})
    assert station.rows("SELECT reason, firmware_version FROM boots ORDER BY event_time") == [
        ("PowerUp", "1"), ("RemoteReset", "2")]
    assert migrated.rows("SELECT vendor, model, serial_number, firmware_version, boot_reason,"
                         " iccid, imsi FROM charge_station_status") == [
        ("V", "M", "S", "2", "RemoteReset", "8949", "262")]


def test_boot_of_1_6(station16, migrated):
    station16.says("BootNotification", {
        "chargePointVendor": "V", "chargePointModel": "M", "chargePointSerialNumber": "S",
        "chargeBoxSerialNumber": "B", "firmwareVersion": "1", "iccid": "8949", "imsi": "262",
        "meterType": "T", "meterSerialNumber": "N"})
    assert station16.rows("SELECT vendor, model, serial_number, firmware_version,"
                          " charge_box_serial_number, iccid, imsi, meter_type,"
                          " meter_serial_number FROM boots") == [
        ("V", "M", "S", "1", "B", "8949", "262", "T", "N")]
    assert migrated.rows("SELECT charge_box_serial_number, iccid, imsi, meter_type,"
                         " meter_serial_number FROM charge_station_status") == [
        ("B", "8949", "262", "T", "N")]


def test_operations_and_the_newest_of_each(station, migrated):
    station.says("FirmwareStatusNotification", {"status": "Downloading", "requestId": 7})
    station.says("LogStatusNotification", {"status": "Uploading", "requestId": 8})
    station.says("PublishFirmwareStatusNotification", {"status": "Published"})
    station.says("FirmwareStatusNotification", {"status": "Installed", "requestId": 7})
    assert station.rows("SELECT operation, status, request_id FROM operation_status"
                        " ORDER BY 1") == [
        ("firmware", "Installed", 7), ("log", "Uploading", 8),
        ("publish_firmware", "Published", None)]
    assert migrated.rows("SELECT operation, status FROM operations ORDER BY event_time") == [
        ("firmware", "Downloading"), ("log", "Uploading"), ("publish_firmware", "Published"),
        ("firmware", "Installed")]


def test_operations_of_1_6(station16):
    station16.says("FirmwareStatusNotification", {"status": "Downloaded"})
    station16.says("SignedFirmwareStatusNotification", {"status": "Installing", "requestId": 3})
    station16.says("DiagnosticsStatusNotification", {"status": "Uploaded"})
    station16.says("LogStatusNotification", {"status": "Idle"})
    assert station16.rows("SELECT operation, status, request_id FROM operation_status"
                          " ORDER BY 1") == [
        ("diagnostics", "Uploaded", None), ("firmware", "Installing", 3), ("log", "Idle", None)]


def test_status_that_comes_late_is_not_the_newest(station, migrated, tmp_path):
    """As after an upgrade: what waited as a dead letter is older than what came since."""
    station.says("FirmwareStatusNotification", {"status": "Installed"})
    station.says("BootNotification", {"reason": "PowerUp", "chargingStation": {
        "vendorName": "V", "model": "new"}})
    stored(migrated, 2)
    for id, action, request in (
            ("o1", "FirmwareStatusNotification", {"status": "Downloading"}),
            ("o2", "BootNotification", {"reason": "PowerUp", "chargingStation": {
                "vendorName": "V", "model": "old"}})):
        payload = json.dumps({"type": 2, "action": action, "id": id, "request": request}).encode()
        migrated.rows("""INSERT INTO dead_letters (topic_digest, topic, payload_digest, reason,
            payload_bytes, payload, count, first_received_at, last_received_at, spool, seq,
            message_index)
            SELECT 1, 'cs/in/ocpp2.0.1/cs001', %s, 'x', %s, %s, 1, now() - interval '1 day',
                now() - interval '1 day', gen_random_uuid(), 1, 0""",
                      int(id[1:]), len(payload), payload)
    settings = {**migrated.settings(), "spool.dir": str(tmp_path / "spool")}
    done = run_cli(settings, "dead-letters", "requeue", "--all")
    assert "stored 2" in done.stdout, done.stdout + done.stderr
    assert migrated.rows("SELECT status FROM operation_status") == [("Installed",)]
    assert migrated.rows("SELECT model FROM charge_station_status") == [("new",)]
    assert migrated.value("SELECT count(*) FROM operations") == 2


def test_security_events(station, station16):
    station.says("SecurityEventNotification", {
        "type": "TamperDetectionActivated", "techInfo": "lid", "timestamp": DAY + "10:00:00Z"})
    station16.count = station.count
    station16.says("SecurityEventNotification", {"type": "ReconfigurationOfSecurityParameters",
                                                 "timestamp": DAY + "10:00:01Z"})
    assert station16.rows("SELECT type, tech_info FROM security_events ORDER BY event_time") == [
        ("TamperDetectionActivated", "lid"), ("ReconfigurationOfSecurityParameters", None)]


def test_device_events_and_reports(station):
    component = {"name": "EVSE", "instance": "a", "evse": {"id": 2, "connectorId": 1}}
    station.says("NotifyEvent", {
        "generatedAt": DAY + "10:00:00Z", "seqNo": 3, "eventData": [
            {"eventId": 1, "timestamp": DAY + "09:59:59Z", "trigger": "Alerting",
             "actualValue": "81.5", "eventNotificationType": "CustomMonitor",
             "component": component, "variable": {"name": "Temperature"},
             "variableMonitoringId": 9, "cleared": False},
            {"eventId": 2, "trigger": "Delta"}]})
    assert station.rows("SELECT seq_no, event_id, timestamp, trigger, component,"
                        " component_instance, evse_id, connector_id, variable, actual_value,"
                        " cleared, variable_monitoring_id FROM device_events ORDER BY 2") == [
        (3, 1, DAY + "09:59:59Z", "Alerting", "EVSE", "a", 2, 1, "Temperature", "81.5", "false",
         9),
        (3, 2, None, "Delta", None, None, None, None, None, None, None, None)]

    station.says("NotifyReport", {
        "requestId": 5, "generatedAt": DAY + "10:00:00Z", "seqNo": 0, "reportData": [
            {"component": component, "variable": {"name": "Power"},
             "variableAttribute": [{"value": "0"}, {"type": "MaxSet", "value": "22000",
                                                    "mutability": "ReadOnly"}],
             "variableCharacteristics": {"dataType": "decimal", "unit": "W",
                                         "supportsMonitoring": True}},
            {"component": {"name": "ClockCtrlr"}, "variable": {"name": "DateTime"},
             "variableAttribute": []}]})
    assert station.rows("SELECT request_id, component, evse_id, variable, attribute, value,"
                        " mutability, data_type, unit FROM device_reports ORDER BY 2, 5") == [
        (5, "ClockCtrlr", None, "DateTime", "Actual", None, "ReadWrite", None, None),
        (5, "EVSE", 2, "Power", "Actual", "0", "ReadWrite", "decimal", "W"),
        (5, "EVSE", 2, "Power", "MaxSet", "22000", "ReadOnly", "decimal", "W")]

    station.says("NotifyMonitoringReport", {
        "requestId": 6, "generatedAt": DAY + "10:00:00Z", "seqNo": 0, "monitor": [
            {"component": component, "variable": {"name": "Temperature"},
             "variableMonitoring": [{"id": 9, "type": "UpperThreshold", "value": 80.5,
                                     "severity": 2, "transaction": False}]}]})
    assert station.rows("SELECT request_id, component, variable, monitor_id, type, value, severity"
                        " FROM monitoring_reports") == [
        (6, "EVSE", "Temperature", 9, "UpperThreshold", "80.5", 2)]


def test_calls_of_the_csms_have_their_answers(station):
    station.is_asked("Reset", {"type": "Immediate"}, {"status": "Accepted"})
    station.is_asked("UnlockConnector", {"evseId": 1}, error="NotSupported")
    station.is_asked("ClearCache", {})
    station.is_asked("GetVariables", {"getVariableData": []}, {"getVariableResult": [{}]})
    assert station.rows("SELECT action, answer, status, request, response FROM csms_calls"
                        " ORDER BY action") == [
        ("ClearCache", None, None, {}, None),
        ("GetVariables", "result", None, {"getVariableData": []}, {"getVariableResult": [{}]}),
        ("Reset", "result", "Accepted", {"type": "Immediate"}, {"status": "Accepted"}),
        ("UnlockConnector", "error", "NotSupported", {"evseId": 1}, None)]


def test_availability_is_what_was_taken_last(station, station16):
    station.is_asked("ChangeAvailability", {"operationalStatus": "Inoperative",
                                            "evse": {"id": 1}}, {"status": "Accepted"})
    station.is_asked("ChangeAvailability", {"operationalStatus": "Operative",
                                            "evse": {"id": 1}}, {"status": "Scheduled"})
    station.is_asked("ChangeAvailability", {"operationalStatus": "Inoperative",
                                            "evse": {"id": 1}}, {"status": "Rejected"})
    station16.name, station16.count = "cs002", station.count
    station16.is_asked("ChangeAvailability", {"connectorId": 2, "type": "Inoperative"},
                       {"status": "Accepted"})
    assert station16.rows("SELECT charge_station_id, evse_id, connector_id, asked_for, status"
                          " FROM availability ORDER BY 1") == [
        ("cs001", 1, -1, "Operative", "Scheduled"), ("cs002", 2, 2, "Inoperative", "Accepted")]


def test_availability_beside_what_the_station_reports(station, station16):
    station.is_asked("ChangeAvailability", {"operationalStatus": "Inoperative",
                                            "evse": {"id": 1}}, {"status": "Accepted"})
    for connector, second, status in ((1, 1, "Available"), (2, 2, "Unavailable")):
        station.says("StatusNotification", {
            "timestamp": f"{DAY}10:00:0{second}Z", "evseId": 1, "connectorId": connector,
            "connectorStatus": status})
    station.says("StatusNotification", {"timestamp": DAY + "11:00:00Z", "evseId": 2,
                                        "connectorId": 1, "connectorStatus": "Faulted"})
    station16.name, station16.count = "cs002", station.count
    station16.is_asked("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"},
                       {"status": "Accepted"})
    station16.is_asked("ChangeAvailability", {"connectorId": 2, "type": "Operative"},
                       {"status": "Accepted"})
    station16.says("StatusNotification", {"connectorId": 0, "errorCode": "NoError",
                                          "status": "Unavailable",
                                          "timestamp": DAY + "10:00:00Z"})
    assert station16.rows("SELECT charge_station_id, evse_id, connector_id, asked_for,"
                          " reported_status FROM availability ORDER BY 1, 2") == [
        ("cs001", 1, -1, "Inoperative", "Unavailable"),
        ("cs002", 0, 0, "Inoperative", "Unavailable"), ("cs002", 2, 2, "Operative", None)]


def test_availability_from_an_answer_that_repeats_its_request(station):
    """As MaEVE's gateway sends it, whether the call itself was seen or not."""
    request = {"operationalStatus": "Inoperative", "evse": {"id": 3}}
    for name in ("cs001", "cs002"):
        if name == "cs001":
            station.is_asked("ChangeAvailability", request)
        station.publish.send(name, {"type": 3, "action": "ChangeAvailability", "id": "c1",
                                    "request": request, "response": {"status": "Accepted"}},
                             "2.0.1", "in")
        station.count += 1
    assert station.rows("SELECT charge_station_id, evse_id, asked_for, asked_at IS NULL"
                        " FROM availability ORDER BY 1") == [
        ("cs001", 3, "Inoperative", False), ("cs002", 3, "Inoperative", True)]


def test_reservations_and_what_became_of_them(station):
    for number in (1, 2, 3, 4):
        station.is_asked("ReserveNow", {
            "id": number, "evseId": 1, "expiryDateTime": DAY + "12:00:00Z",
            "idToken": {"idToken": f"T{number}", "type": "Central"}},
            {"status": "Occupied" if number == 4 else "Accepted"})
    station.is_asked("CancelReservation", {"reservationId": 1}, {"status": "Accepted"})
    station.says("ReservationStatusUpdate", {"reservationId": 2,
                                             "reservationUpdateStatus": "Expired"})
    station.is_asked("CancelReservation", {"reservationId": 3}, {"status": "Rejected"})
    assert station.rows("SELECT reservation_id, id_token, answer, became FROM reservations"
                        " ORDER BY 1") == [
        (1, "T1", "Accepted", "Cancelled"), (2, "T2", "Accepted", "Expired"),
        (3, "T3", "Accepted", None), (4, "T4", "Occupied", None)]


def test_charging_profiles(station, station16):
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0,
                                                                     "limit": 16}]}
    station.is_asked("SetChargingProfile", {"evseId": 1, "chargingProfile": {
        "id": 5, "stackLevel": 2, "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Absolute", "transactionId": "T", "chargingSchedule": [schedule]}},
        {"status": "Accepted"})
    station.is_asked("ClearChargingProfile", {"chargingProfileId": 5}, {"status": "Unknown"})
    station.says("ReportChargingProfiles", {
        "requestId": 9, "evseId": 1, "chargingLimitSource": "CSO", "chargingProfile": [
            {"id": 6, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile"}]})
    station16.count = station.count
    station16.is_asked("SetChargingProfile", {"connectorId": 2, "csChargingProfiles": {
        "chargingProfileId": 8, "stackLevel": 1, "chargingProfilePurpose": "TxDefaultProfile",
        "chargingSchedule": schedule}}, {"status": "Rejected"})
    assert station16.rows("SELECT action, status, evse_id, profile_id, purpose, stack_level,"
                          " transaction_id, request_id FROM charging_profiles"
                          " ORDER BY profile_id, action") == [
        ("ClearChargingProfile", "Unknown", None, 5, None, None, None, None),
        ("SetChargingProfile", "Accepted", 1, 5, "TxProfile", 2, "T", None),
        ("ReportChargingProfiles", None, 1, 6, "TxDefaultProfile", 0, None, 9),
        ("SetChargingProfile", "Rejected", 2, 8, "TxDefaultProfile", 1, None, None)]


def test_lists_of_tokens(station, station16):
    station.is_asked("SendLocalList", {
        "versionNumber": 7, "updateType": "Differential", "localAuthorizationList": [
            {"idToken": {"idToken": "A", "type": "Central"}, "idTokenInfo": {
                "status": "Accepted", "cacheExpiryDateTime": DAY + "12:00:00Z",
                "groupIdToken": {"idToken": "G", "type": "Central"}}},
            {"idToken": {"idToken": "B", "type": "ISO14443"}}]}, {"status": "VersionMismatch"})
    station.is_asked("GetLocalListVersion", {}, {"versionNumber": 6})
    station16.name, station16.count = "cs002", station.count
    station16.is_asked("SendLocalList", {
        "listVersion": 3, "updateType": "Full", "localAuthorizationList": [
            {"idTag": "C", "idTagInfo": {"status": "Blocked", "parentIdTag": "P",
                                         "expiryDate": DAY + "13:00:00Z"}}]},
        {"status": "Accepted"})
    station16.is_asked("GetLocalListVersion", {}, {"listVersion": -1})
    assert station16.rows("SELECT charge_station_id, action, list_version, update_type, entries,"
                          " status FROM local_lists ORDER BY 1, 2") == [
        ("cs001", "GetLocalListVersion", 6, None, None, None),
        ("cs001", "SendLocalList", 7, "Differential", 2, "VersionMismatch"),
        ("cs002", "GetLocalListVersion", -1, None, None, None),
        ("cs002", "SendLocalList", 3, "Full", 1, "Accepted")]
    assert station16.rows("SELECT charge_station_id, list_version, answer, id_token,"
                          " id_token_type, status, group_id_token, expires"
                          " FROM local_list_entries ORDER BY 1, 4") == [
        ("cs001", 7, "VersionMismatch", "A", "Central", "Accepted", "G", DAY + "12:00:00Z"),
        ("cs001", 7, "VersionMismatch", "B", "ISO14443", None, None, None),
        ("cs002", 3, "Accepted", "C", None, "Blocked", "P", DAY + "13:00:00Z")]


def test_results_that_the_other_side_refuses(station):
    """OCPP 2.1: a CALLRESULTERROR answers a result, of either side."""
    station.version = "2.1"
    station.is_asked("GetLocalListVersion", {}, {"versionNumber": "six"})
    frame = [5, "c1", "TypeConstraintViolation", "no integer", {"at": "versionNumber"}]
    station.publish.send(station.name, frame, "2.1", "out")
    request = {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}
    station.says("BootNotification", request)
    station.publish.result(station.name, "BootNotification", {"interval": 300}, id="s2",
                           version="2.1")
    station.publish.send(station.name, [5, "s2", "FormatViolation", "", {}], "2.1", "in")
    station.publish.send(station.name, {"type": 5, "action": "Reset", "id": "gone",
                                        "error_code": "GenericError"}, "2.1", "in")
    station.count += 4
    assert station.rows("SELECT refused_by, action, message_id, error_code, error_description,"
                        " details, result, request FROM refused_results ORDER BY message_id") == [
        ("csms", "GetLocalListVersion", "c1", "TypeConstraintViolation", "no integer",
         {"at": "versionNumber"}, {"versionNumber": "six"}, {}),
        ("station", "Reset", "gone", "GenericError", None, None, None, None),
        ("station", "BootNotification", "s2", "FormatViolation", None, None, {"interval": 300},
         request)]


def test_values_of_event_streams(station):
    station.publish.send(station.name, [6, "p1", "NotifyPeriodicEventStream", {
        "id": 4, "pending": 2, "basetime": DAY + "10:00:00Z",
        "data": [{"t": 0, "v": "16.3"}, {"t": 1.5, "v": "16.4"}, {"t": "soon", "v": 5}]}],
        "2.1")
    station.count += 1
    assert station.rows("SELECT stream_id, value, seconds, measured_at - event_time, pending"
                        " FROM event_streams ORDER BY value DESC") == [
        (4, "5", "soon", None, 2),
        (4, "16.4", "1.5", datetime.timedelta(seconds=1.5), 2),
        (4, "16.3", "0", datetime.timedelta(0), 2)]


ACTIONS = ["BootNotification", "FirmwareStatusNotification", "SecurityEventNotification",
           "NotifyEvent", "NotifyReport", "NotifyMonitoringReport", "ChangeAvailability",
           "ReserveNow", "CancelReservation", "ReservationStatusUpdate", "SetChargingProfile",
           "ClearChargingProfile", "ReportChargingProfiles", "SendLocalList",
           "GetLocalListVersion", "NotifyPeriodicEventStream", ""]

WAYS = [("in", "call"), ("out", "call"), ("in", "result"), ("in", "result_error"), ("in", "send")]

KEYS = ["status", "requestId", "seqNo", "chargingStation", "eventData", "reportData", "monitor",
        "evse", "evseId", "connectorId", "id", "reservationId", "idToken", "chargingProfile",
        "csChargingProfiles", "chargingProfileCriteria", "component", "variable", "eventId",
        "variableAttribute", "variableMonitoring", "stackLevel", "localAuthorizationList",
        "versionNumber", "data"]

HOSTILE = [None, True, 0, -1, 10 ** 400, 1.5, "", "x", "9" * 30, "1e5", "\ud7ff", [], {}, [[]],
           [None, 1, "x", [], {}], {"id": []}, {"name": {"name": 1}}, {"id": {"id": 5}},
           [{"component": 5, "variable": [], "variableAttribute": {}, "variableMonitoring": 1}],
           [{"component": {"evse": 7}, "variableAttribute": [None, [1], {"value": {}}]}],
           [{"t": 10 ** 30, "v": {}}, {"t": "9" * 40}, {"t": "-999999999.5", "v": 1}],
           [{"idToken": [], "idTokenInfo": 5}, {"idTag": {}, "idTagInfo": [{"status": 1}]}]]


def read_all_views(database):
    """Every column of every row of every view, as a reader's COPY would: {view: rows}."""
    session = database.connect()
    session.execute("ANALYZE ocpp_events")
    views = [name for name, in database.rows(
        "SELECT relname::text FROM pg_class WHERE relkind = 'v'"
        " AND relnamespace = 'ocpp'::regnamespace")]
    assert len(views) > 15
    return {view: session.execute(f"SELECT v::text FROM {view} v").rowcount for view in views}


def test_views_read_every_payload(migrated):
    session = migrated.connect()
    session.execute("SELECT ensure_partition('ocpp_events', '2026-01-31')")
    payloads = [json.dumps(value) for value in HOSTILE]
    payloads += [json.dumps({key: value}) for key in KEYS for value in HOSTILE]
    payloads += [json.dumps({key: value for key in KEYS}) for value in HOSTILE]
    payloads += [json.dumps({key: value for key in KEYS} | {"status": "Accepted"})
                 for value in HOSTILE]
    rows = [(f"cs{number // 300}", number, direction, kind, action, str(number // len(WAYS)),
             payload) for number, (action, payload, (direction, kind)) in enumerate(
                 itertools.product(ACTIONS, payloads, WAYS))]
    with session.cursor().copy("COPY ocpp_events (charge_station_id, digest, direction, kind,"
                               " action, message_id, payload, request, received_at, event_time,"
                               " evse_id, time_source, flags, ocpp_version) FROM STDIN") as copy:
        for row in rows:
            at = f"2026-01-31 10:00:00.{row[1]:06}Z"
            # All messages of one exchange in seven have invalid times of their own.
            undated = row[1] // len(WAYS) % 7 == 0
            copy.write_row((*row, row[-1], at, "-infinity" if undated else at, -1, "r", 0, "x"))
    found = read_all_views(migrated)
    asked = found.keys() - {"sessions", "suspicious_sessions", "meter_samples", "meter_gaps",
                            "meter_values_json", "latest_readings", "all_transactions",
                            "all_runtime", "stations", "signed_readings", "signed_sessions",
                            "energy_hourly"}
    # nor those that mask other tables
    asked = {view for view in asked
             if view == "ocpp_events_masked" or not view.endswith("_masked")}
    assert [view for view in asked if found[view] == 0] == []


NUL = {"status": "a\u0000b", "requestId": -0.0, "type": "\ud800",
       "eventData": [{"eventId": "\u0000"}],
       "reportData": [{"component": {"name": "\u0000\udfff"}}]}


def test_views_read_what_the_pipeline_made_of_anything(running, migrated, publish):
    """Hostile messages, through the front door: texts that jsonb cannot hold, and all that golden
    files and fuzzers have found, in every version and direction."""
    running()
    golden = os.path.join(ROOT, "tests", "golden")
    sys.path.insert(0, golden)
    from golden import payload as golden_payload
    files = [p for p in pathlib.Path(golden).iterdir() if p.suffix in (".json", ".hex")]
    bodies = [golden_payload(p) for p in files]
    bodies += [p.read_bytes() for p in pathlib.Path(ROOT, "tests/fuzz/corpus/decode").iterdir()]
    assert len(bodies) > 40
    for action in [*ACTIONS[:-1], "TransactionEvent", "MeterValues", "StartTransaction",
                   "StatusNotification", "Authorize"]:
        bodies.append(json.dumps({"type": 2, "action": action, "id": action, "request": NUL}))
        bodies.append(json.dumps([3, action, NUL]))
        bodies.append(json.dumps([4, action, "\u0000", "\udc00", NUL]))
    topics = [f"cs/{direction}/ocpp{version}/cs001" for direction in ("in", "out")
              for version in ("1.6", "2.0.1", "2.1")]
    for topic, body in itertools.product(topics, bodies):
        publish.raw(topic, body)
    # One client, one persister: what is published last is stored last.
    publish.call("last", "Heartbeat", {})
    rig.wait_until(lambda: migrated.value("SELECT count(*) FROM ocpp_events"
                                          " WHERE charge_station_id = 'last'") == 1, 60,
                   lambda: str(migrated.rows("TABLE ingest_progress")))
    assert migrated.value("SELECT count(*) FROM ocpp_events"
                          " WHERE 'text_replaced' = ANY (flag_names(flags))") > 50
    found = read_all_views(migrated)
    assert min(found[view] for view in ("csms_calls", "operations", "device_events", "sessions",
                                        "meter_samples", "meter_values_json")) > 0


def test_views_find_their_rows_by_index(migrated):
    session = migrated.connect()
    session.execute("SELECT ensure_partition('ocpp_events', '2026-01-31')")
    session.execute("SET enable_seqscan = off")
    plan = json.dumps(session.execute(
        "EXPLAIN (FORMAT JSON) SELECT * FROM device_reports WHERE charge_station_id = 'cs001'"
    ).fetchone()[0])
    assert "ocpp_events_2026_01_action" in plan
