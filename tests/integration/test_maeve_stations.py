"""Schema maeve: what stations accepted and report, as MaEVE's own queries read it."""

import datetime
import itertools
import json

import psycopg
import pytest
from test_maeve import Maeve
from world import DAY, utc

FUTURE = "2090-01-31T10:00:00Z"
PERIODS = [{"startPeriod": 0, "limit": 16.5, "numberPhases": 3}, {"startPeriod": 60, "limit": 8}]


@pytest.fixture(scope="module")
def maeve(world):
    return Maeve(world)


class Station:
    """One station of a world, and its CSMS."""

    def __init__(self, maeve, version):
        self.maeve, self.version, self.id = maeve, version, maeve.world.station()

    def says(self, action, request):
        self.maeve.world.call(self.id, action, request, self.version)

    def is_asked(self, action, request, response):
        id = f"c{next(_ids)}"
        self.maeve.world.call(self.id, action, request, self.version, "out", id)
        self.maeve.world.result(self.id, action, response, id, self.version, "in")

    def rows(self, sql, *parameters):
        """Rows of this station: its id is the first parameter."""
        return self.maeve.rows(sql, self.id, *parameters)


_ids = itertools.count()


@pytest.fixture
def station16(maeve):
    return Station(maeve, "1.6")


@pytest.fixture
def station(maeve):
    return Station(maeve, "2.0.1")


# ---- charging profiles ----

PROFILES = ("SELECT * FROM charging_profiles WHERE charge_station_id = %s"
            " ORDER BY stack_level ASC, charging_profile_id ASC")


def profile16(id, stack=0, purpose="TxDefaultProfile", **more):
    return {"chargingProfileId": id, "stackLevel": stack, "chargingProfilePurpose": purpose,
            "chargingProfileKind": "Absolute", "chargingSchedule": {
                "chargingRateUnit": "A", "chargingSchedulePeriod": PERIODS}, **more}


def ids(station):
    return [row["charging_profile_id"] for row in station.rows(PROFILES)]


def test_charging_profile_of_1_6_has_every_field(station16):
    station16.is_asked("SetChargingProfile", {"connectorId": 2, "csChargingProfiles": {
        **profile16(7, 3, "TxProfile"), "transactionId": 4711, "chargingProfileKind": "Recurring",
        "recurrencyKind": "Daily", "validFrom": DAY + "10:00:00+02:00",
        "validTo": DAY + "12:00:00.5Z", "chargingSchedule": {
            "duration": 3600, "startSchedule": DAY + "11:00:00Z", "chargingRateUnit": "W",
            "minChargingRate": 6.5, "chargingSchedulePeriod": PERIODS}}}, {"status": "Accepted"})
    row, = station16.rows(PROFILES)
    assert row.pop("id") > 0
    assert row.pop("created_at") == row.pop("updated_at")
    day = datetime.datetime.fromisoformat(DAY + "00:00:00")
    assert row == {
        "charge_station_id": station16.id, "connector_id": 2, "charging_profile_id": 7,
        "transaction_id": 4711, "stack_level": 3, "charging_profile_purpose": "TxProfile",
        "charging_profile_kind": "Recurring", "recurrency_kind": "Daily",
        "valid_from": day.replace(hour=8), "valid_to": day.replace(hour=12, microsecond=500000),
        "charging_rate_unit": "W", "duration": 3600, "start_schedule": day.replace(hour=11),
        "min_charging_rate": 6.5, "charging_schedule_periods": PERIODS}
    assert len(station16.rows("SELECT * FROM charging_profiles WHERE charge_station_id = %s"
                              " AND connector_id = %s", 2)) == 1


def test_only_accepted_profiles_count_and_the_newest_of_an_id(station16):
    def set(profile, status):
        station16.is_asked("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile},
                           {"status": status})

    set(profile16(1, 5), "Accepted")
    set(profile16(2, 1), "Rejected")
    set(profile16(3, 1), "Accepted")
    set(profile16(1, 0), "Accepted")
    set(profile16(1, 9), "NotSupported")
    station16.maeve.world.call(station16.id, "SetChargingProfile", {
        "connectorId": 1, "csChargingProfiles": profile16(4)}, direction="out")
    assert [(row["stack_level"], row["charging_profile_id"], row["valid_from"], row["duration"])
            for row in station16.rows(PROFILES)] == [(0, 1, None, None), (1, 3, None, None)]


def test_profiles_of_2x_are_set_and_reported(station):
    profile = {"id": 11, "stackLevel": 1, "chargingProfilePurpose": "ChargingStationMaxProfile",
               "chargingProfileKind": "Absolute", "transactionId": "a-text", "chargingSchedule": [
                   {"id": 1, "chargingRateUnit": "W", "duration": 60,
                    "chargingSchedulePeriod": PERIODS},
                   {"id": 2, "chargingRateUnit": "A", "chargingSchedulePeriod": []}]}
    station.is_asked("SetChargingProfile", {"evseId": 0, "chargingProfile": profile},
                     {"status": "Accepted"})
    station.says("ReportChargingProfiles", {
        "requestId": 1, "chargingLimitSource": "CSO", "evseId": 2, "chargingProfile": [
            {**profile, "id": 12, "chargingProfilePurpose": "TxProfile"},
            {**profile, "id": 13,
             "chargingProfilePurpose": "ChargingStationExternalConstraints"}]})
    assert [(row["charging_profile_id"], row["connector_id"], row["charging_profile_purpose"],
             row["charging_rate_unit"], row["duration"], row["transaction_id"],
             row["charging_schedule_periods"]) for row in station.rows(PROFILES)] == [
        (11, 0, "ChargePointMaxProfile", "W", 60, None, PERIODS),
        (12, 2, "TxProfile", "W", 60, None, PERIODS),
        (13, 2, "ChargePointMaxProfile", "W", 60, None, PERIODS)]


@pytest.mark.parametrize("request16, request201, left", [
    ({"id": 2}, {"chargingProfileId": 2}, [1, 3, 4]),
    ({"connectorId": 0}, {"chargingProfileCriteria": {"evseId": 0}}, [2, 3, 4]),
    ({"chargingProfilePurpose": "TxDefaultProfile"},
     {"chargingProfileCriteria": {"chargingProfilePurpose": "TxDefaultProfile"}}, [1, 4]),
    ({"stackLevel": 2, "connectorId": 1},
     {"chargingProfileCriteria": {"stackLevel": 2, "evseId": 1}}, [1, 2]),
    ({"chargingProfilePurpose": "ChargePointMaxProfile"},
     {"chargingProfileCriteria": {"chargingProfilePurpose": "ChargingStationMaxProfile"}},
     [2, 3, 4]),
    ({}, {}, [])])
def test_cleared_profiles_are_gone_until_they_are_set_again(station16, station, request16,
                                                            request201, left):
    kinds = ((1, 0, 1, "ChargePointMaxProfile"), (2, 1, 1, "TxDefaultProfile"),
             (3, 1, 2, "TxDefaultProfile"), (4, 1, 2, "TxProfile"))

    def set(id, connector, stack, purpose):
        station16.is_asked("SetChargingProfile", {
            "connectorId": connector, "csChargingProfiles": profile16(id, stack, purpose)},
            {"status": "Accepted"})
        station.is_asked("SetChargingProfile", {"evseId": connector, "chargingProfile": {
            "id": id, "stackLevel": stack, "chargingProfileKind": "Absolute",
            "chargingProfilePurpose": purpose.replace("ChargePoint", "ChargingStation"),
            "chargingSchedule": [{"id": 1, "chargingRateUnit": "A",
                                  "chargingSchedulePeriod": PERIODS}]}}, {"status": "Accepted"})

    for kind in kinds:
        set(*kind)
    for of, request in ((station16, request16), (station, request201)):
        of.is_asked("ClearChargingProfile", request, {"status": "Unknown"})
        assert sorted(ids(of)) == [1, 2, 3, 4]
        of.is_asked("ClearChargingProfile", request, {"status": "Accepted"})
        assert sorted(ids(of)) == left
    for kind in kinds:
        set(*kind)
    assert sorted(ids(station16)) == sorted(ids(station)) == [1, 2, 3, 4]


def test_answer_that_repeats_its_request_is_enough(station16):
    """As a gateway sends it: the call itself may have been lost."""
    for id, action, request in (
            ("g1", "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile16(1)}),
            ("g2", "ReserveNow", {"connectorId": 1, "expiryDate": FUTURE, "idTag": "TAG",
                                  "reservationId": 9001})):
        station16.maeve.world.result(station16.id, action, {"status": "Accepted"}, id,
                                     direction="in", request=request)
    assert ids(station16) == [1]
    assert [r["reservation_id"] for r in station16.rows(
        "SELECT * FROM reservations WHERE charge_station_id = %s AND status = 'Accepted'"
        " ORDER BY created_at ASC")] == [9001]


# ---- reservations ----

ACTIVE = ("SELECT * FROM reservations WHERE charge_station_id = %s AND status = 'Accepted'"
          " ORDER BY created_at ASC")


def reserve(station, id, status="Accepted", expires=FUTURE, connector=1, **more):
    if station.version == "1.6":
        request = {"connectorId": connector, "expiryDate": expires, "idTag": "TAG",
                   "reservationId": id}
    else:
        request = {"id": id, "expiryDateTime": expires, "evseId": connector,
                   "idToken": {"idToken": "TAG", "type": "ISO14443"}}
    station.is_asked("ReserveNow", {**request, **more}, {"status": status})


def test_reservations_are_found_by_id_by_station_and_by_connector(station16, station):
    reserve(station16, 101, parentIdTag="PARENT")
    reserve(station, 102, groupIdToken={"idToken": "GROUP", "type": "Central"}, connector=3)
    reserve(station16, 103, "Occupied", connector=2)
    for of, id, parent, connector in ((station16, 101, "PARENT", 1), (station, 102, "GROUP", 3)):
        row, = of.maeve.rows("SELECT * FROM reservations WHERE reservation_id = %s", id)
        assert row.pop("created_at").tzinfo is not None
        assert row == {"reservation_id": id, "charge_station_id": of.id, "connector_id": connector,
                       "id_tag": "TAG", "parent_id_tag": parent, "expiry_date": utc(FUTURE[:-1]),
                       "status": "Accepted"}
        assert [r["reservation_id"] for r in of.rows(ACTIVE)] == [id]
        by_connector = ("SELECT * FROM reservations WHERE charge_station_id = %s"
                        " AND connector_id = %s AND status = 'Accepted' LIMIT 1")
        assert len(of.rows(by_connector, connector)) == 1
        assert of.rows(by_connector, 2) == []
    assert station16.maeve.rows("SELECT * FROM reservations WHERE reservation_id = 103") == []


def test_reservation_that_is_cancelled_used_up_or_over_is_not_active(station16, station):
    def status(of):
        return {row["reservation_id"]: row["status"] for row in of.rows(
            "SELECT * FROM reservations WHERE charge_station_id = %s")}

    for id in (201, 202, 203):
        reserve(station16, id)
        reserve(station, id)
    reserve(station16, 204, expires=DAY + "10:00:00Z")
    for of in (station16, station):
        of.is_asked("CancelReservation", {"reservationId": 201}, {"status": "Accepted"})
        of.is_asked("CancelReservation", {"reservationId": 202}, {"status": "Rejected"})
    station.says("ReservationStatusUpdate", {"reservationId": 202,
                                             "reservationUpdateStatus": "Expired"})
    station.says("ReservationStatusUpdate", {"reservationId": 203,
                                             "reservationUpdateStatus": "Removed"})
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    id = station16.maeve.world.call(station16.id, "StartTransaction", {
        "connectorId": 1, "idTag": "TAG", "meterStart": 0, "timestamp": now,
        "reservationId": 203})
    station16.maeve.world.result(station16.id, "StartTransaction", {
        "transactionId": 5, "idTagInfo": {"status": "Accepted"}}, id)
    assert status(station16) == {201: "Cancelled", 202: "Accepted", 203: "Used", 204: "Expired"}
    assert status(station) == {201: "Cancelled", 202: "Expired", 203: "Cancelled"}
    assert [r["reservation_id"] for r in station16.rows(ACTIVE)] == [202]
    assert station.rows(ACTIVE) == []
    # an id that is used again is another reservation; a refusal leaves what is there
    reserve(station, 201, connector=2)
    reserve(station, 201, "Rejected", connector=3)
    assert [(r["reservation_id"], r["connector_id"]) for r in station.rows(ACTIVE)] == [(201, 2)]


# ---- local lists ----

def entries(station):
    return [(row["id_tag"], row["status"], row["parent_id_tag"], row["expiry_date"])
            for row in station.rows("SELECT * FROM local_auth_list_entries"
                                    " WHERE charge_station_id = %s ORDER BY id_tag ASC")]


def version(station):
    return [row["version"] for row in station.rows(
        "SELECT version FROM local_auth_list_versions WHERE charge_station_id = %s LIMIT 1")]


def test_local_list_is_what_the_accepted_lists_make_it(station16, station):
    def send(number, kind, tags, status="Accepted"):
        """tags: {token: status of it, None to remove it}"""
        station16.is_asked("SendLocalList", {
            "listVersion": number, "updateType": kind, "localAuthorizationList": [
                {"idTag": tag, **({} if of is None else {"idTagInfo": {
                    "status": of, "expiryDate": FUTURE, "parentIdTag": "P"}})}
                for tag, of in tags.items()]}, {"status": status})
        station.is_asked("SendLocalList", {
            "versionNumber": number, "updateType": kind, "localAuthorizationList": [
                {"idToken": {"idToken": tag, "type": "ISO14443"},
                 **({} if of is None else {"idTokenInfo": {
                     "status": of, "cacheExpiryDateTime": FUTURE,
                     "groupIdToken": {"idToken": "P", "type": "Central"}}})}
                for tag, of in tags.items()]}, {"status": status})

    def expected(tags):
        return [(tag, of, "P", FUTURE) for tag, of in tags.items()]

    assert entries(station) == version(station) == []
    steps = (
        ((1, "Full", {"A": "Accepted", "B": "Accepted", "X": None}),
         {"A": "Accepted", "B": "Accepted"}),
        ((2, "Differential", {"b": "Blocked", "C": "Accepted", "A": None}),
         {"C": "Accepted", "b": "Blocked"}),
        ((3, "Differential", {"D": "Accepted"}, "VersionMismatch"),
         {"C": "Accepted", "b": "Blocked"}),
        ((4, "Differential", {"A": "Expired"}),
         {"A": "Expired", "C": "Accepted", "b": "Blocked"}),
        ((5, "Full", {"Z": "Accepted"}), {"Z": "Accepted"}),
        ((6, "Full", {}), {}))
    known = 0
    for step, left in steps:
        send(*step)
        known = step[0] if len(step) == 3 else known
        for of in (station16, station):
            assert sorted(entries(of)) == expected(left)
            assert version(of) == [known]


def test_version_of_a_local_list_is_what_the_station_says(station16, station):
    station16.is_asked("SendLocalList", {"listVersion": 3, "updateType": "Full",
                                         "localAuthorizationList": [
        {"idTag": "A", "idTagInfo": {"status": "Accepted"}}]}, {"status": "Accepted"})
    station16.is_asked("GetLocalListVersion", {}, {"listVersion": 4})
    station.is_asked("GetLocalListVersion", {}, {"versionNumber": 17})
    assert version(station16) == [4]
    assert version(station) == [17]
    assert [tag for tag, *_ in entries(station16)] == ["A"]
    station16.is_asked("GetLocalListVersion", {}, {"listVersion": 0})
    assert version(station16) == [0]
    assert entries(station16) == []


# ---- device reports and events ----

COMPONENT = {"name": "EVSE", "instance": "a", "evse": {"id": 2, "connectorId": 1}}


def test_device_reports_newest_first(station):
    report = [{"component": COMPONENT, "variable": {"name": "Power"},
               "variableAttribute": [{"type": "Actual", "value": "22000"}]}]
    station.is_asked("GetBaseReport", {"requestId": 5, "reportBase": "FullInventory"},
                     {"status": "Accepted"})
    for number in (0, 1):
        station.says("NotifyReport", {"requestId": 5, "generatedAt": f"{DAY}10:0{number}:00Z",
                                      "seqNo": number, "tbc": not number, "reportData": report})
    station.says("NotifyReport", {"requestId": 6, "generatedAt": DAY + "11:00:00+02:00",
                                  "seqNo": 0})
    monitor = [{"component": COMPONENT, "variable": {"name": "Power"}, "variableMonitoring": []}]
    station.says("NotifyMonitoringReport", {"requestId": 7, "generatedAt": DAY + "12:00:00Z",
                                            "seqNo": 0, "monitor": monitor})
    page = ("SELECT id, charge_station_id, request_id, generated_at, report_type, report_data,"
            " created_at FROM device_report WHERE charge_station_id = %s"
            " ORDER BY generated_at DESC LIMIT %s OFFSET %s")
    rows = station.rows(page, 10, 0)
    assert [(r["request_id"], r["generated_at"], r["report_type"], r["report_data"])
            for r in rows] == [
        (7, utc(DAY + "12:00:00"), "MonitoringReport", monitor),
        (5, utc(DAY + "10:01:00"), "FullInventory", report),
        (5, utc(DAY + "10:00:00"), "FullInventory", report),
        (6, utc(DAY + "09:00:00"), None, None)]
    assert len({r["id"] for r in rows}) == 4 and all(r["id"] >= 0 for r in rows)
    assert [r["id"] for r in station.rows(page, 2, 1)] == [r["id"] for r in rows[1:3]]
    assert station.rows("SELECT count(*) AS n FROM device_report WHERE charge_station_id = %s") == [
        {"n": 4}]


def test_events_newest_first(station):
    first = {"eventId": 1, "timestamp": DAY + "09:00:00Z", "trigger": "Alerting",
             "actualValue": "81.5", "eventNotificationType": "CustomMonitor", "techCode": "T1",
             "techInfo": "hot", "component": COMPONENT, "variable": {"name": "Temperature"},
             "cleared": True}
    station.says("NotifyEvent", {"generatedAt": DAY + "10:00:00Z", "seqNo": 0, "eventData": [
        first, {"eventId": 2, "timestamp": DAY + "09:30:00Z", "trigger": "Delta"},
        {"eventId": 3, "timestamp": "1970-01-01T00:00:00Z", "trigger": "Periodic"}]})
    page = ("SELECT id, charge_station_id, timestamp, event_type, tech_code, tech_info, event_data,"
            " component_id, variable_id, cleared, created_at FROM charge_station_event"
            " WHERE charge_station_id = %s ORDER BY timestamp DESC LIMIT %s OFFSET %s")
    rows = station.rows(page, 10, 0)
    assert [(r["timestamp"], r["event_type"], r["tech_code"], r["tech_info"], r["component_id"],
             r["variable_id"], r["cleared"]) for r in rows] == [
        (utc(DAY + "10:00:00"), "Periodic", None, None, None, None, False),
        (utc(DAY + "09:30:00"), "Delta", None, None, None, None, False),
        (utc(DAY + "09:00:00"), "CustomMonitor", "T1", "hot", "EVSE", "Temperature", True)]
    assert json.loads(rows[2]["event_data"]) == first
    assert len({r["id"] for r in rows}) == 3 and all(r["id"] >= 0 for r in rows)
    assert [r["id"] for r in station.rows(page, 1, 1)] == [rows[1]["id"]]
    assert station.rows("SELECT count(*) AS n FROM charge_station_event"
                        " WHERE charge_station_id = %s") == [{"n": 3}]


# ---- monitors ----

MONITORS = ("SELECT id, charge_station_id, component_name, component_instance, variable_name,"
            " variable_instance, monitor_type, value, severity, transaction, created_at"
            " FROM variable_monitoring WHERE charge_station_id = %s ORDER BY id"
            " LIMIT 50 OFFSET 0")


def test_monitors_have_the_ids_of_the_answer_and_the_values_of_the_request(station):
    def asked(kind, value, component=COMPONENT):
        return {"component": component, "variable": {"name": "Temperature", "instance": "i"},
                "type": kind, "value": value, "severity": 4, "transaction": kind == "Delta"}

    def answered(kind, status, **more):
        data = asked(kind, 0)
        return {**{key: data[key] for key in ("component", "variable", "type", "severity")},
                "status": status, **more}

    # in its own order, and one names its component in less detail than the request did
    station.is_asked("SetVariableMonitoring", {"setMonitoringData": [
        asked("UpperThreshold", 80.5), asked("LowerThreshold", -5), asked("Delta", 2),
        asked("Periodic", 60)]}, {"setMonitoringResult": [
            answered("LowerThreshold", "Accepted", id=32),
            answered("UpperThreshold", "Accepted", id=31),
            answered("Delta", "Rejected"),
            answered("Periodic", "Accepted", id=34, component={"name": "EVSE"})]})
    station.says("NotifyMonitoringReport", {
        "requestId": 6, "generatedAt": DAY + "10:00:00Z", "seqNo": 0, "monitor": [
            {"component": {"name": "Fan"}, "variable": {"name": "Speed"}, "variableMonitoring": [
                {"id": 9, "type": "Delta", "value": 1.25, "severity": 2, "transaction": True}]}]})
    rows = station.rows(MONITORS)
    assert [(r["id"], r["component_name"], r["component_instance"], r["variable_name"],
             r["variable_instance"], r["monitor_type"], r["value"], r["severity"],
             r["transaction"]) for r in rows] == [
        (9, "Fan", None, "Speed", None, "Delta", 1.25, 2, True),
        (31, "EVSE", "a", "Temperature", "i", "UpperThreshold", 80.5, 4, False),
        (32, "EVSE", "a", "Temperature", "i", "LowerThreshold", -5, 4, False),
        (34, "EVSE", None, "Temperature", "i", "Periodic", 60, 4, False)]
    one = "SELECT * FROM variable_monitoring WHERE charge_station_id = %s AND id = %s"
    assert [r["value"] for r in station.rows(one, 31)] == [80.5]
    assert station.rows(one, 33) == []
    station.is_asked("ClearVariableMonitoring", {"id": [31, 34]}, {"clearMonitoringResult": [
        {"id": 31, "status": "Accepted"}, {"id": 34, "status": "Rejected"}]})
    assert [r["id"] for r in station.rows(MONITORS)] == [9, 32, 34]
    station.is_asked("SetMonitoringBase", {"monitoringBase": "All"}, {"status": "Accepted"})
    station.is_asked("SetMonitoringBase", {"monitoringBase": "FactoryDefault"},
                     {"status": "Rejected"})
    assert [r["id"] for r in station.rows(MONITORS)] == [9, 32, 34]
    station.is_asked("SetMonitoringBase", {"monitoringBase": "FactoryDefault"},
                     {"status": "Accepted"})
    assert station.rows(MONITORS) == []


# ---- display messages ----

def test_display_messages_are_set_reported_and_cleared(station):
    def message(id, priority, **more):
        return {"id": id, "priority": priority,
                "message": {"format": "UTF8", "language": "en", "content": f"text {id}"}, **more}

    def listed(where="", *parameters):
        return station.rows("SELECT * FROM display_messages WHERE charge_station_id = %s" + where
                            + " ORDER BY message_id ASC", *parameters)

    def numbers(*where):
        return [row["message_id"] for row in listed(*where)]

    station.is_asked("SetDisplayMessage", {"message": message(
        3, "InFront", state="Charging", startDateTime=DAY + "10:00:00Z",
        endDateTime=DAY + "12:00:00+02:00", transactionId="tx")}, {"status": "Accepted"})
    station.is_asked("SetDisplayMessage", {"message": message(4, "InFront")},
                     {"status": "NotSupportedPriority"})
    station.says("NotifyDisplayMessages", {"requestId": 1, "messageInfo": [
        message(1, "NormalCycle", state="Idle"), message(2, "InFront", state="Idle")]})
    row = listed(" AND message_id = %s", 3)[0]
    assert row.pop("created_at") == row.pop("updated_at")
    assert row == {
        "charge_station_id": station.id, "message_id": 3, "priority": "InFront",
        "state": "Charging", "start_date_time": utc(DAY + "10:00:00"),
        "end_date_time": utc(DAY + "10:00:00"), "transaction_id": "tx", "content": "text 3",
        "language": "en", "format": "UTF8"}
    assert numbers() == [1, 2, 3]
    assert numbers(" AND state = %s", "Idle") == [1, 2]
    assert numbers(" AND priority = %s", "InFront") == [2, 3]
    assert numbers(" AND state = %s AND priority = %s", "Idle", "InFront") == [2]
    station.is_asked("ClearDisplayMessage", {"id": 1}, {"status": "Unknown"})
    station.is_asked("ClearDisplayMessage", {"id": 2}, {"status": "Accepted"})
    assert numbers() == [1, 3]
    station.is_asked("SetDisplayMessage", {"message": message(2, "AlwaysFront")},
                     {"status": "Accepted"})
    assert [(r["message_id"], r["priority"]) for r in listed()] == [
        (1, "NormalCycle"), (2, "AlwaysFront"), (3, "InFront")]


# ---- firmware ----

def test_location_of_published_firmware_is_the_first(station):
    def now():
        rows = station.rows("SELECT * FROM publish_firmware_status WHERE charge_station_id = %s")
        return [(r["status"], r["location"], r["checksum"], r["request_id"]) for r in rows]

    def says(status, **more):
        station.says("PublishFirmwareStatusNotification", {"status": status, **more})

    def publish(request, status):
        station.is_asked("PublishFirmware", {
            "location": f"http://from/{request}", "checksum": f"{request:032}",
            "requestId": request}, {"status": status})

    assert now() == []
    publish(6, "Rejected")
    assert now() == []
    publish(7, "Accepted")
    assert now() == [("Accepted", "http://from/7", f"{7:032}", 7)]
    says("Downloading", requestId=7)
    assert now() == [("Downloading", "http://from/7", f"{7:032}", 7)]
    says("Published", requestId=7, location=["http://first/", "http://second/"])
    assert now() == [("Published", "http://first/", f"{7:032}", 7)]
    says("PublishFailed")
    assert now() == [("PublishFailed", "http://first/", f"{7:032}", 7)]
    publish(8, "Accepted")
    assert now() == [("Accepted", "http://from/8", f"{8:032}", 8)]
    says("Published", location=[])
    assert now() == [("Published", "http://from/8", f"{8:032}", 8)]


def test_location_without_a_request_that_was_seen(station):
    station.says("PublishFirmwareStatusNotification", {
        "status": "Published", "requestId": 3, "location": ["ftp://a/", "http://b/"]})
    row, = station.rows("SELECT * FROM publish_firmware_status WHERE charge_station_id = %s")
    assert (row["status"], row["location"], row["checksum"], row["request_id"]) == (
        "Published", "ftp://a/", "", 3)


# ---- all of them ----

VIEWS = ("charging_profiles", "reservations", "local_auth_list_versions",
         "local_auth_list_entries", "device_report", "charge_station_event",
         "variable_monitoring", "display_messages", "publish_firmware_status")

ODD = (None, [], {}, "", "text", 0, -1, 1.5, 1e300, 99999999999, True, [None], [[]], [{}], ["x"],
       {"id": None}, {"id": "1e999"})

TIMES = ("", "0000-00-00T00:00:00Z", "2026-02-30T10:00:00Z", "2026-13-01T10:00:00Z",
         "2026-01-31T25:00:00Z", "2026-01-31", "tomorrow", "2026-01-31T10:00:00+99:00",
         "2026-01-31T10:00:60.5Z", "9999-12-31T23:59:59.9999999-14:59")


def test_no_view_fails_on_any_payload(station16, station):
    fields = {
        "SetChargingProfile": ("evseId", "connectorId", "csChargingProfiles", "chargingProfile"),
        "ClearChargingProfile": ("id", "chargingProfileId", "chargingProfileCriteria",
                                 "stackLevel"),
        "ReserveNow": ("id", "reservationId", "expiryDate", "expiryDateTime", "idToken", "idTag"),
        "CancelReservation": ("reservationId",),
        "SendLocalList": ("listVersion", "versionNumber", "localAuthorizationList", "updateType"),
        "GetBaseReport": ("requestId", "reportBase"),
        "SetVariableMonitoring": ("setMonitoringData",),
        "ClearVariableMonitoring": ("id",),
        "SetMonitoringBase": ("monitoringBase",),
        "SetDisplayMessage": ("message",),
        "ClearDisplayMessage": ("id",),
        "PublishFirmware": ("location", "checksum", "requestId"),
    }
    reported = {
        "ReportChargingProfiles": ("chargingProfile",),
        "ReservationStatusUpdate": ("reservationId", "reservationUpdateStatus"),
        "NotifyReport": ("requestId", "generatedAt", "reportData"),
        "NotifyEvent": ("generatedAt", "eventData"),
        "NotifyMonitoringReport": ("requestId", "monitor"),
        "NotifyDisplayMessages": ("messageInfo",),
        "PublishFirmwareStatusNotification": ("location", "requestId", "status"),
    }
    answers = ("setMonitoringResult", "clearMonitoringResult", "listVersion", "versionNumber")
    for of in (station16, station):
        for value in ODD:
            for action, names in fields.items():
                of.is_asked(action, dict.fromkeys(names, value),
                            {"status": "Accepted", **dict.fromkeys(answers, value)})
            of.is_asked("GetLocalListVersion", {}, dict.fromkeys(answers, value))
            for action, names in reported.items():
                of.says(action, dict.fromkeys(names, value))
        for time in TIMES:
            schedule = {"startSchedule": time, "duration": time, "minChargingRate": time,
                        "chargingSchedulePeriod": [{"startPeriod": time, "limit": time},
                                                   {"startPeriod": 0, "limit": "8"}, time]}
            of.is_asked("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": {
                "chargingProfileId": 1, "validFrom": time, "validTo": time,
                "chargingSchedule": schedule}}, {"status": "Accepted"})
            of.is_asked("ReserveNow", {"reservationId": 77, "expiryDate": time, "idTag": "TAG"},
                        {"status": "Accepted"})
            of.is_asked("SetDisplayMessage", {"message": {
                "id": 5, "startDateTime": time, "endDateTime": time}}, {"status": "Accepted"})
            of.says("NotifyEvent", {"generatedAt": time, "eventData": [{"timestamp": time}]})
        found = {view: of.rows(f"SELECT * FROM {view} WHERE charge_station_id = %s")
                 for view in VIEWS}
        profile, = [row for row in found["charging_profiles"] if row["charging_profile_id"] == 1]
        assert profile["charging_schedule_periods"] == [{"startPeriod": 0, "limit": 8}]
        for view, rows in found.items():
            nullable = NULLABLE.get(view, "").split()
            for row in rows:
                assert [name for name, value in row.items()
                        if value is None and name not in nullable] == [], view
    for view in VIEWS:
        station.maeve.rows(f"SELECT * FROM {view}")


# What may be NULL in MaEVE's tables: its types hold no NULL elsewhere.
NULLABLE = {
    "charging_profiles": "transaction_id recurrency_kind valid_from valid_to duration"
        " start_schedule min_charging_rate",
    "reservations": "parent_id_tag",
    "local_auth_list_entries": "expiry_date parent_id_tag",
    "device_report": "report_type report_data",
    "charge_station_event": "tech_code tech_info event_data component_id variable_id",
    "variable_monitoring": "component_instance variable_instance",
    "display_messages": "state start_date_time end_date_time transaction_id language",
}


def test_times_are_read_as_they_are_written(maeve):
    told = {DAY + "10:00:00Z": "10:00:00", DAY + "10:00:00": "10:00:00",
            DAY + "10:00:00.25+02:00": "08:00:00.250000", DAY + "10:00+0130": "08:30:00",
            (DAY + "10:00:00z").replace("T", " "): "10:00:00", DAY + "10:00:60Z": "10:01:00"}
    with maeve.world.database.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        for text, time in told.items():
            assert connection.execute("SELECT maeve.time_of(%s)", (text,)).fetchone()[0] == utc(
                DAY + time), text
        for text in TIMES[:-1] + ("2023-02-29T10:00:00Z", "2026-04-31T10:00:00Z"):
            assert connection.execute("SELECT maeve.time_of(%s)", (text,)).fetchone() == (
                None,), text
        assert connection.execute("SELECT maeve.time_of('2024-02-29T24:00:00Z')"
                                  " = '2024-03-01 00:00:00Z'").fetchone() == (True,)


def test_every_view_and_column_says_what_it_is(maeve):
    assert maeve.world.database.rows("""
        SELECT c.relname, a.attname
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        WHERE c.relnamespace = 'maeve'::regnamespace AND c.relname = ANY (%s)
          AND (obj_description(c.oid, 'pg_class') IS NULL
              OR col_description(c.oid, a.attnum) IS NULL)""",
        ["answered_calls", *VIEWS[:-1]]) == []


def test_secrets_are_masked_for_who_may_not_read_payloads(maeve, station):
    secret = "hunter2hunter2"
    station.says("NotifyReport", {"requestId": 1, "generatedAt": DAY + "10:00:00Z", "seqNo": 0,
                                  "reportData": [{
        "component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"},
        "variableAttribute": [{"value": secret}]}]})
    station.says("NotifyEvent", {"generatedAt": DAY + "10:00:00Z", "seqNo": 0, "eventData": [{
        "eventId": 1, "timestamp": DAY + "10:00:00Z", "trigger": "Delta", "actualValue": secret,
        "component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}]})
    station.is_asked("SetDisplayMessage", {"message": {
        "id": 1, "priority": "InFront", "message": {
            "format": "UTF8", "content": f"http://user:{secret}@host/"}}}, {"status": "Accepted"})
    station.is_asked("PublishFirmware", {"location": f"ftp://user:{secret}@host/f",
                                         "checksum": "c", "requestId": 1}, {"status": "Accepted"})
    station.is_asked("SetVariables", {"setVariableData": [{
        "component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"},
        "attributeValue": secret}]}, {"setVariableResult": [{"attributeStatus": "Accepted"}]})
    maeve.rows("SELECT")
    database = maeve.world.database
    maeve.connection.execute("CREATE ROLE of_maeve_stations LOGIN PASSWORD 'secret'"
                             " IN ROLE ocpp_reader")
    shown = ("SELECT string_agg(t::text, ' ') FROM (SELECT v::text AS t FROM {} v"
             " WHERE charge_station_id = %s) s")
    dsn = database.cluster.dsn(database.name, "of_maeve_stations", "secret")
    with psycopg.connect(dsn, options="-c search_path=maeve", autocommit=True) as reader:
        for view in ("device_report", "charge_station_event", "display_messages",
                     "publish_firmware_status", "answered_calls"):
            sql = shown.format(view)
            assert secret in maeve.connection.execute(sql, (station.id,)).fetchone()[0], view
            text = reader.execute(sql, (station.id,)).fetchone()[0]
            assert secret not in text and "***" in text, view
        for view in VIEWS:
            reader.execute(f"SELECT * FROM {view}")
            for sql in (f"DELETE FROM {view}", f"UPDATE {view} SET charge_station_id = ''",
                        f"INSERT INTO {view} (charge_station_id) VALUES ('x')"):
                with pytest.raises(psycopg.Error):
                    reader.execute(sql)


def test_role_with_rights_on_this_schema_alone_reads_all_rows(maeve, station, station16):
    """Nothing in the views may depend on the reader's search_path."""
    for number in (1, 2):
        station16.is_asked("SetChargingProfile", {
            "connectorId": 1, "csChargingProfiles": profile16(number)}, {"status": "Accepted"})
    reserve(station16, 8001)
    station.is_asked("SetDisplayMessage", {"message": {"id": 1, "message": {"content": "text"}}},
                     {"status": "Accepted"})
    station.says("NotifyEvent", {"generatedAt": DAY + "10:00:00Z", "eventData": [
        {"timestamp": DAY + "10:00:00Z"}]})
    maeve.rows("SELECT")
    database = maeve.world.database
    for sql in ("CREATE ROLE reader_of_maeve LOGIN PASSWORD 'secret'",
                "GRANT USAGE ON SCHEMA maeve TO reader_of_maeve",
                "GRANT SELECT ON ALL TABLES IN SCHEMA maeve TO reader_of_maeve"):
        maeve.connection.execute(sql)
    dsn = database.cluster.dsn(database.name, "reader_of_maeve", "secret")
    seen = []
    with psycopg.connect(dsn, options="-c search_path=pg_catalog") as reader:
        for view in VIEWS:
            here = reader.execute(f"SELECT * FROM maeve.{view}").fetchall()
            assert len(here) == len(maeve.rows(f"SELECT * FROM {view}")), view
            seen += [view] if here else []
    assert {"charging_profiles", "reservations", "display_messages",
            "charge_station_event"} <= set(seen)
