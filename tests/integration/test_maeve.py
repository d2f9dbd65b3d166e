"""Schema maeve: what MaEVE's own queries read from our tables, and how they find it."""

import datetime
import json
import re

import psycopg
import pytest
from conftest import run_cli
from world import DAY

OK = 0

# Columns in the order of MaEVE's tables. No lengths: nothing is cut.
TABLES = {
    "tokens": "id bigint, country_code varchar, party_id varchar, type varchar, uid varchar, "
        "contract_id varchar, visual_number varchar, issuer varchar, group_id varchar, "
        "valid boolean, language_code varchar, cache_mode varchar, last_updated timestamp, "
        "created_at timestamp, updated_at timestamp",
    "charge_stations": "charge_station_id varchar, security_profile integer, "
        "base64_sha256_password varchar, invalid_username_allowed boolean, created_at timestamp, "
        "updated_at timestamp",
    "charge_station_settings": "charge_station_id varchar, settings jsonb, created_at timestamp, "
        "updated_at timestamp",
    "charge_station_runtime": "charge_station_id varchar, ocpp_version varchar, vendor varchar, "
        "model varchar, serial_number varchar, firmware_version varchar, created_at timestamp, "
        "updated_at timestamp",
    "charge_station_certificates": "id bigint, charge_station_id varchar, "
        "certificate_type varchar, certificate text, created_at timestamp, "
        "certificate_id varchar, certificate_installation_status varchar, send_after timestamp",
    "charge_station_triggers": "id bigint, charge_station_id varchar, message_type varchar, "
        "created_at timestamp, trigger_status varchar, send_after timestamp, connector_id integer",
    "transactions": "id varchar, charge_station_id varchar, token_uid varchar, "
        "token_type varchar, meter_start integer, meter_stop integer, start_timestamp timestamp, "
        "stop_timestamp timestamp, stopped_reason varchar, updated_seq_no integer, "
        "offline boolean, created_at timestamp, updated_at timestamp, last_cost numeric(12,4)",
    "transaction_meter_values": "id bigint, transaction_id varchar, timestamp timestamp, "
        "sampled_values jsonb, created_at timestamp",
    "certificates": "certificate_hash varchar, certificate_type varchar, certificate_data text, "
        "created_at timestamp",
    "ocpi_registrations": "token varchar, status varchar, created_at timestamp, "
        "updated_at timestamp",
    "ocpi_parties": "id bigint, role varchar, country_code varchar, party_id varchar, "
        "url varchar, token varchar, created_at timestamp, updated_at timestamp",
    "locations": "id varchar, country_code varchar, party_id varchar, location_data jsonb, "
        "created_at timestamp, updated_at timestamp",
    "meter_values": "id bigint, charge_station_id varchar, evse_id integer, "
        "transaction_id varchar, timestamp timestamp, sampled_values jsonb, "
        "received_at timestamp",
    "charge_station_status": "charge_station_id varchar, connected boolean, "
        "last_heartbeat timestamptz, firmware_version text, model text, vendor text, "
        "serial_number text, updated_at timestamptz",
    "connector_status": "charge_station_id varchar, connector_id integer, status text, "
        "error_code text, info text, timestamp timestamptz, vendor_error_code text, "
        "vendor_id text, current_transaction_id text, updated_at timestamptz",
    "firmware_update_status": "charge_station_id text, status text, location text, "
        "retrieve_date timestamptz, retry_count integer, updated_at timestamptz",
    "diagnostics_status": "charge_station_id text, status text, location text, "
        "updated_at timestamptz",
    "publish_firmware_status": "charge_station_id text, status text, location text, "
        "checksum text, request_id integer, updated_at timestamptz",
    "log_status": "charge_station_id text, status text, request_id integer, "
        "updated_at timestamptz",
    "charging_profiles": "id integer, charge_station_id text, connector_id integer, "
        "charging_profile_id integer, transaction_id integer, stack_level integer, "
        "charging_profile_purpose text, charging_profile_kind text, recurrency_kind text, "
        "valid_from timestamp, valid_to timestamp, charging_rate_unit text, duration integer, "
        "start_schedule timestamp, min_charging_rate double precision, "
        "charging_schedule_periods jsonb, created_at timestamp, updated_at timestamp",
    "reservations": "reservation_id integer, charge_station_id text, connector_id integer, "
        "id_tag text, parent_id_tag text, expiry_date timestamptz, status text, "
        "created_at timestamptz",
    "local_auth_list_versions": "charge_station_id text, version integer, "
        "updated_at timestamptz",
    "local_auth_list_entries": "charge_station_id text, id_tag text, status text, "
        "expiry_date text, parent_id_tag text, created_at timestamptz, updated_at timestamptz",
    "device_report": "id integer, charge_station_id varchar, request_id integer, "
        "generated_at timestamptz, report_type text, report_data jsonb, created_at timestamptz",
    "charge_station_event": "id integer, charge_station_id varchar, timestamp timestamptz, "
        "event_type text, tech_code text, tech_info text, event_data text, component_id text, "
        "variable_id text, cleared boolean, created_at timestamptz",
    "variable_monitoring": "id integer, charge_station_id varchar, component_name text, "
        "component_instance text, variable_name text, variable_instance text, "
        "monitor_type text, value double precision, severity integer, transaction boolean, "
        "created_at timestamptz",
    "display_messages": "charge_station_id text, message_id integer, priority text, state text, "
        "start_date_time timestamptz, end_date_time timestamptz, transaction_id text, "
        "content text, language text, format text, created_at timestamptz, "
        "updated_at timestamptz",
}

TOKEN = {"uid": "ABC", "type": "RFID", "country_code": "GBR", "party_id": "TWK",
         "contract_id": "GBTWK1", "issuer": "Thoughtworks", "valid": True, "cache_mode": "ALWAYS",
         "last_updated": "2026-01-31T10:00:00Z"}

REGISTER = "Energy.Active.Import.Register"


def at(text):
    """A time as MaEVE's tables have it: UTC, without a zone."""
    return datetime.datetime.fromisoformat(DAY + text)


def sample(value, context=None, measurand=None, unit=None, multiplier=None, location=None):
    return {"Context": context, "Location": location, "Measurand": measurand, "Phase": None,
            "UnitOfMeasure": None if unit is None else {"Unit": unit, "Multipler": multiplier},
            "Value": value}


def reading(context, value):
    return sample(value, context, REGISTER, "Wh", 1, "Outlet")


class Maeve:
    """The database as MaEVE sees it, and our command line to fill it."""

    def __init__(self, world):
        self.world = world
        assert self.cli("migrate", "maeve", "up").returncode == OK
        self.connection = world.database.connect(search_path="maeve")

    def cli(self, *words, text=None):
        return run_cli(self.world.database.settings(), *words, input=text)

    def store(self, entity, *rows):
        done = self.cli("store", entity, "set", text="\n".join(map(json.dumps, rows)))
        assert done.returncode == OK, done.stderr

    def rows(self, sql, *parameters):
        """As dicts, once all that was published is stored."""
        self.world.rows("SELECT")
        cursor = self.connection.execute(sql, parameters)
        return [dict(zip((column.name for column in cursor.description), row))
                for row in cursor.fetchall()]

    def transaction(self, id):
        """As its store finds one: the row, then its meter values by time."""
        row, = self.rows("SELECT * FROM transactions WHERE id = %s", id)
        values = self.rows("SELECT * FROM transaction_meter_values WHERE transaction_id = %s"
                           " ORDER BY timestamp ASC", id)
        return row, [(v["timestamp"], v["sampled_values"]) for v in values]


@pytest.fixture(scope="module")
def maeve(world):
    return Maeve(world)


def test_tables_have_maeves_names_columns_and_types(maeve):
    there = {}
    for table, column, kind in maeve.world.database.rows("""
            SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
            FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
            WHERE c.relnamespace = 'maeve'::regnamespace AND c.relkind = 'v' AND a.attnum > 0
            ORDER BY a.attrelid, a.attnum"""):
        kind = {"character varying": "varchar", "timestamp without time zone": "timestamp",
                "timestamp with time zone": "timestamptz"}.get(kind, kind)
        there.setdefault(table, []).append(f"{column} {kind}")
    del there["transaction_sources"], there["answered_calls"]
    assert {table: ", ".join(columns) for table, columns in there.items()} == TABLES


def test_tokens_are_found_by_uid_also_invalid_ones_and_listed_newest_first(maeve):
    maeve.store("token", TOKEN, {**TOKEN, "uid": "BAD", "valid": False, "group_id": "G"})
    maeve.store("token", {**TOKEN, "uid": "LATE"}, {**TOKEN, "uid": "GONE"})
    assert maeve.cli("store", "token", "delete", "GONE").returncode == OK
    find = "SELECT * FROM tokens WHERE uid = %s LIMIT 1"
    row, = maeve.rows(find, "ABC")
    assert (row["contract_id"], row["country_code"], row["valid"], row["visual_number"],
            row["last_updated"]) == ("GBTWK1", "GBR", True, None, at("10:00:00"))
    assert row["id"] > 0
    assert [(r["valid"], r["group_id"]) for r in maeve.rows(find, "BAD")] == [(False, "G")]
    assert maeve.rows(find, "GONE") == maeve.rows(find, "NEVER") == []
    page = "SELECT uid FROM tokens ORDER BY created_at DESC LIMIT %s OFFSET %s"
    assert [r["uid"] for r in maeve.rows(page, 1, 0)] == ["LATE"]
    assert {r["uid"] for r in maeve.rows(page, 5, 1)} == {"ABC", "BAD"}


def test_charge_stations_and_their_settings(maeve):
    maeve.store("charge-station", {"charge_station_id": "s1", "security_profile": 1,
                                   "base64_sha256_password": "secret",
                                   "invalid_username_allowed": True})
    row, = maeve.rows("SELECT * FROM charge_stations WHERE charge_station_id = %s", "s1")
    assert (row["security_profile"], row["base64_sha256_password"],
            row["invalid_username_allowed"]) == (1, "secret", True)
    for station in ("s1", "s2", "s3"):
        maeve.store("setting", {"charge_station_id": station, "key": "HeartbeatInterval",
                                "value": "10", "status": "Pending"})
    maeve.store("setting", {"charge_station_id": "s1", "key": "Other", "value": "",
                            "status": "Accepted", "send_after": "2026-01-31T12:00:00.5+02:00"})
    assert maeve.cli("store", "setting", "delete", "s3").returncode == OK
    row, = maeve.rows("SELECT * FROM charge_station_settings WHERE charge_station_id = %s", "s1")
    assert row["settings"] == {
        "HeartbeatInterval": {"Value": "10", "Status": "Pending",
                              "SendAfter": "0001-01-01T00:00:00Z"},
        "Other": {"Value": "", "Status": "Accepted", "SendAfter": "2026-01-31T10:00:00.500000Z"}}
    page = ("SELECT * FROM charge_station_settings WHERE charge_station_id > %s"
            " ORDER BY charge_station_id ASC LIMIT %s")
    assert [r["charge_station_id"] for r in maeve.rows(page, "", 50)] == ["s1", "s2"]
    assert [r["charge_station_id"] for r in maeve.rows(page, "s1", 50)] == ["s2"]


def test_runtime_details_from_the_store_and_from_stations(maeve):
    station = maeve.world.station()
    find = "SELECT * FROM charge_station_runtime WHERE charge_station_id = %s"
    maeve.store("runtime", {"charge_station_id": "told", "ocpp_version": "1.6", "vendor": "V"})
    maeve.world.call(station, "BootNotification", {"reason": "PowerUp", "chargingStation": {
        "vendorName": "Vendor", "model": "Model", "firmwareVersion": "1.0"}}, "2.0.1")
    for id, expected in (("told", ("1.6", "V", None, None)),
                         (station, ("2.0.1", "Vendor", "Model", "1.0"))):
        row, = maeve.rows(find, id)
        assert (row["ocpp_version"], row["vendor"], row["model"],
                row["firmware_version"]) == expected
    assert maeve.rows(find, "nobody") == []


def test_certificates_to_install_and_triggers(maeve):
    for number, station in enumerate(("c1", "c1", "c2")):
        maeve.store("install-certificate", {
            "charge_station_id": station, "certificate_id": f"id{number}",
            "certificate_type": "EVCC", "certificate": "PEM", "status": "Pending",
            **({"send_after": "2026-01-31T10:00:00Z"} if number else {})})
    rows = maeve.rows("SELECT * FROM charge_station_certificates WHERE charge_station_id = %s"
                      " ORDER BY created_at DESC", "c1")
    never = datetime.datetime(1, 1, 1)
    assert [(r["certificate_id"], r["certificate_installation_status"], r["send_after"])
            for r in rows] == [("id1", "Pending", at("10:00:00")), ("id0", "Pending", never)]
    page = maeve.rows("SELECT DISTINCT ON (charge_station_id) charge_station_id, certificate_id"
                      " FROM charge_station_certificates WHERE charge_station_id > %s"
                      " ORDER BY charge_station_id ASC, created_at DESC LIMIT %s", "", 50)
    assert [tuple(r.values()) for r in page] == [("c1", "id1"), ("c2", "id2")]
    maeve.store("trigger", {"charge_station_id": "c1", "message_type": "StatusNotification",
                            "status": "Pending", "connector_id": 2})
    row, = maeve.rows("SELECT * FROM charge_station_triggers WHERE charge_station_id > %s"
                      " ORDER BY charge_station_id ASC LIMIT %s", "c0", 5)
    assert (row["charge_station_id"], row["message_type"], row["trigger_status"],
            row["connector_id"], row["send_after"]) == ("c1", "StatusNotification", "Pending", 2,
                                                        never)


def test_roaming_partners_and_locations(maeve):
    place = {"Id": "loc1", "Country": "GBR", "Name": "x", "Evses": [
        {"Uid": "1", "EvseId": None, "Connectors": [{"MaxAmperage": 32, "MaxVoltage": 230}]}]}
    maeve.store("registration", {"token": "T", "status": "registered"})
    for party in ("AAA", "BBB"):
        maeve.store("party", {"role": "EMSP", "country_code": "GB", "party_id": party,
                              "url": "http://" + party, "token": "secret"})
    maeve.store("location", {"id": "loc1", "location": place})
    assert [r["status"] for r in maeve.rows(
        "SELECT * FROM ocpi_registrations WHERE token = %s LIMIT 1", "T")] == ["registered"]
    assert [(r["url"], r["token"]) for r in maeve.rows(
        "SELECT * FROM ocpi_parties WHERE role = %s AND country_code = %s AND party_id = %s"
        " LIMIT 1", "EMSP", "GB", "BBB")] == [("http://BBB", "secret")]
    assert {r["party_id"] for r in maeve.rows(
        "SELECT * FROM ocpi_parties WHERE role = %s ORDER BY created_at DESC", "EMSP")} == {
        "AAA", "BBB"}
    row, = maeve.rows("SELECT * FROM locations WHERE id = %s LIMIT 1", "loc1")
    assert (row["country_code"], row["party_id"], row["location_data"]) == ("GBR", "XXX", place)
    assert [r["id"] for r in maeve.rows(
        "SELECT * FROM locations WHERE country_code = %s AND party_id = %s"
        " ORDER BY created_at DESC LIMIT %s OFFSET %s", "GBR", "XXX", 5, 0)] == ["loc1"]


def test_transaction_of_1_6_by_maeves_id_with_readings_first_and_last(maeve):
    world, station = maeve.world, maeve.world.station()
    world.start(station, 1298498081, "12:00:00+02:00")
    world.call(station, "MeterValues", {"connectorId": 1, "transactionId": 1298498081,
        "meterValue": [{"timestamp": DAY + "10:30:00Z", "sampledValue": [
            {"value": "1532.50", "context": "Sample.Periodic", "measurand": REGISTER,
             "location": "Outlet", "unit": "Wh"},
            {"value": "5"}, {"value": "signed data", "format": "SignedData"}]}]})
    id = "00000000-0000-0000-0000-00004d658221"
    row, values = maeve.transaction(id)
    assert (row["stop_timestamp"], row["meter_stop"], row["updated_seq_no"]) == (None, None, 0)
    world.call(station, "StopTransaction", {
        "transactionId": 1298498081, "meterStop": 9000, "timestamp": DAY + "11:00:00Z",
        "reason": "EVDisconnected", "transactionData": [
            {"timestamp": DAY + "10:30:00Z", "sampledValue": [
                {"value": "1532.50", "context": "Sample.Periodic", "measurand": REGISTER,
                 "location": "Outlet", "unit": "Wh"},
                {"value": "5"}, {"value": "signed data", "format": "SignedData"}]}]})
    row, values = maeve.transaction(id)
    del row["updated_at"]
    assert row == {
        "id": id, "charge_station_id": station, "token_uid": "TAG", "token_type": "ISO14443",
        "meter_start": 1500, "meter_stop": 9000, "start_timestamp": at("10:00:00"),
        "stop_timestamp": at("11:00:00"), "stopped_reason": "EVDisconnected",
        "updated_seq_no": 1, "offline": False, "created_at": at("10:00:00"), "last_cost": None}
    assert values == [
        (at("10:00:00"), [reading("Transaction.Begin", 1500)]),
        (at("10:30:00"), [sample(1532.5, "Sample.Periodic", REGISTER, "Wh", 1, "Outlet"),
                          sample(5)]),
        (at("11:00:00"), [reading("Transaction.End", 9000)])]


def test_transaction_of_2x_keeps_its_id_and_its_meter_values(maeve):
    world, station = maeve.world, maeve.world.station()

    def values(time, value, context):
        return [{"timestamp": DAY + time, "sampledValue": [
            {"value": value, "context": context, "measurand": REGISTER, "location": "Outlet",
             "unitOfMeasure": {"unit": "kWh", "multiplier": -1}},
            {"value": 16, "measurand": "Current.Import", "phase": "L1",
             "unitOfMeasure": {"unit": "A"}}]}]

    world.event(station, "Started", "4711", offline=True,
                idToken={"idToken": "TAG", "type": "eMAID"},
                meterValue=values("10:00:00Z", 1.5, "Transaction.Begin"))
    world.event(station, "Updated", "4711", 1, "10:15:00Z")
    world.event(station, "Ended", "4711", 2, "10:30:00Z",
                transactionInfo={"transactionId": "4711", "stoppedReason": "Local"},
                meterValue=values("10:30:00Z", 9.25, "Transaction.End"))
    row, found = maeve.transaction("4711")
    assert (row["token_uid"], row["token_type"], row["offline"], row["updated_seq_no"],
            row["meter_start"], row["meter_stop"], row["stopped_reason"]) == (
        "TAG", "eMAID", True, 2, 150, 925, "Local")
    current = {**sample(16, None, "Current.Import", "A", 0), "Phase": "L1"}
    assert found == [
        (at(time), [sample(value, context, REGISTER, "kWh", -1, "Outlet"), current])
        for time, value, context in (("10:00:00", 1.5, "Transaction.Begin"),
                                     ("10:30:00", 9.25, "Transaction.End"))]


def test_transactions_of_a_station_are_filtered_counted_and_paged(maeve):
    world, station = maeve.world, maeve.world.station()
    for number in range(5):
        world.start(station, 100 + number, f"0{number}:00:00Z")
    for number in range(3):
        world.call(station, "StopTransaction", {"transactionId": 100 + number, "meterStop": 9000,
                                                "timestamp": DAY + f"0{number}:30:00Z"})
    where = """ FROM transactions WHERE charge_station_id = %s
        AND (%s = 'all' OR (%s = 'active') = (stop_timestamp IS NULL))
        AND start_timestamp >= %s AND start_timestamp <= %s"""

    def listed(status, begin="00:00:00", end="23:00:00", limit=50, offset=0):
        given = station, status, status, at(begin), at(end)
        total, = maeve.rows("SELECT count(*) AS total" + where, *given)
        rows = maeve.rows("SELECT *" + where + " ORDER BY start_timestamp DESC LIMIT %s OFFSET %s",
                          *given, limit, offset)
        return total["total"], [int(r["id"][-8:], 16) for r in rows]

    assert listed("all") == (5, [104, 103, 102, 101, 100])
    assert listed("active") == (2, [104, 103])
    assert listed("completed", limit=2, offset=1) == (3, [101, 100])
    assert listed("all", "01:00:00", "02:00:00") == (2, [102, 101])
    row, = maeve.rows("SELECT * FROM transactions WHERE charge_station_id = %s AND stop_timestamp"
                      " IS NULL ORDER BY start_timestamp DESC LIMIT 1", station)
    assert row["id"].endswith(f"{104:08x}")


def test_no_transaction_lacks_times_or_a_meter_value_whatever_is_missing(maeve):
    """MaEVE shows a transaction by its first and last meter value, and fails without one."""
    world, station = maeve.world, maeve.world.station()
    for number, (kind, time) in enumerate((kind, time) for kind in ("Started", "Updated", "Ended")
                                          for time in (DAY + "10:00:00Z", "0000-00-00T00:00:00Z")):
        world.event(station, kind, f"lone{number}", timestamp=time)
        world.event(station, kind, f"value{number}", timestamp=time, meterValue=[
            {"timestamp": time, "sampledValue": [{"value": 1, "measurand": "SoC"}]}])
    world.start(station, -1)
    world.start(station, 3000000000)
    world.start(station, 9, timestamp="0000-00-00T00:00:00Z", meterStart=5000000000)
    world.call(station, "StopTransaction", {"transactionId": 10, "meterStop": 9,
                                            "timestamp": DAY + "11:00:00Z"})
    rows = maeve.rows("SELECT * FROM transactions WHERE charge_station_id = %s", station)
    assert len(rows) == 12 + 4
    for row in rows:
        assert row["start_timestamp"].year == row["created_at"].year, row
        ended = re.fullmatch(r"(lone|value)[45]|.*0{7}a", row["id"]) is not None
        assert (row["stop_timestamp"] is not None, row["updated_seq_no"] > 0) == (ended, ended), row
        values = maeve.transaction(row["id"])[1]
        assert values, row
        assert all(isinstance(time, datetime.datetime) for time, _ in values)
    ids = {row["id"] for row in rows}
    assert {"3000000000", "00000000-0000-0000-0000-000000000009"} < ids
    assert sum(id.startswith("-1@") for id in ids) == 1


def test_meter_values_of_a_station_newest_first(maeve):
    world, station = maeve.world, maeve.world.station()
    for number in range(3):
        world.call(station, "MeterValues", {"evseId": 1 + number // 2, "meterValue": [
            {"timestamp": DAY + f"1{number}:00:00+02:00",
             "sampledValue": [{"value": number + 0.5}]}]}, "2.0.1")
    newest = ("SELECT * FROM meter_values WHERE charge_station_id = %s AND evse_id = %s"
              " ORDER BY timestamp DESC LIMIT %s")
    rows = maeve.rows(newest, station, 1, 10)
    assert [(r["timestamp"], r["transaction_id"], r["sampled_values"]) for r in rows] == [
        (at("09:00:00"), None, [sample(1.5)]), (at("08:00:00"), None, [sample(0.5)])]
    assert maeve.rows(newest, station, 2, 1)[0]["timestamp"] == at("10:00:00")
    world.call(station, "MeterValues", {"connectorId": 3, "transactionId": 17, "meterValue": [
        {"timestamp": DAY + "10:00:00Z", "sampledValue": [{"value": "", "unit": "Wh"}]}]})
    assert [(r["transaction_id"], r["sampled_values"]) for r in maeve.rows(
        newest, station, 3, 1)] == [("00000000-0000-0000-0000-000000000011", [])]


def test_role_with_rights_on_this_schema_alone_reads_everything(maeve):
    """As docs/maeve.md makes one. Nothing in the views may depend on the reader's search_path."""
    world, database = maeve.world, maeve.world.database
    world.start(world.station(), 5)
    world.call(world.station(), "MeterValues", {"evseId": 1, "meterValue": [
        {"timestamp": DAY + "10:00:00Z", "sampledValue": [{"value": 1}]}]}, "2.0.1")
    maeve.connection.execute("CREATE ROLE maeve_api LOGIN PASSWORD 'secret'")
    maeve.connection.execute("GRANT USAGE ON SCHEMA maeve TO maeve_api")
    maeve.connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA maeve TO maeve_api")
    maeve.connection.execute(f"ALTER ROLE maeve_api IN DATABASE {database.name}"
                             " SET search_path = maeve, public")
    for path in ("", "?options=-csearch_path%3Dpg_catalog"):
        dsn = database.cluster.dsn(database.name, "maeve_api", "secret")
        with psycopg.connect(dsn.split("?")[0] + path, autocommit=True) as connection:
            assert path or connection.execute("SHOW search_path").fetchone()[0] == "maeve, public"
            for table in TABLES:
                there = connection.execute(f"SELECT * FROM maeve.{table}").fetchall()
                mine = maeve.rows(f"SELECT * FROM {table}")
                assert len(there) == len(mine), table
                assert there or table not in ("meter_values", "transaction_meter_values")


def test_status_of_stations_and_connectors(maeve):
    world, station = maeve.world, maeve.world.station()
    world.call(station, "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    world.call(station, "Heartbeat", {})
    world.call(station, "StatusNotification", {
        "connectorId": 2, "status": "Faulted", "errorCode": "GroundFailure", "info": "x",
        "timestamp": DAY + "10:00:00+02:00"})
    for connector in (1, 2):
        world.call(station, "StatusNotification", {
            "evseId": 5, "connectorId": connector, "connectorStatus": f"Status{connector}",
            "timestamp": DAY + "10:00:00Z"}, "2.0.1")
    world.call(station, "FirmwareStatusNotification", {"status": "Downloading"})
    row, = maeve.rows("SELECT * FROM charge_station_status WHERE charge_station_id = %s", station)
    assert (row["connected"], row["vendor"], row["model"]) == (True, "V", "M")
    assert row["last_heartbeat"] is not None
    rows = maeve.rows("SELECT * FROM connector_status WHERE charge_station_id = %s"
                      " ORDER BY connector_id", station)
    assert [(r["connector_id"], r["status"], r["error_code"], r["info"]) for r in rows] == [
        (2, "Faulted", "GroundFailure", "x"), (5, "Status1", "NoError", None)]
    assert rows[0]["timestamp"].astimezone(datetime.timezone.utc).hour == 8
    assert [r["status"] for r in maeve.rows(
        "SELECT * FROM firmware_update_status WHERE charge_station_id = %s", station)] == [
        "Downloading"]
    for table in ("diagnostics_status", "log_status", "publish_firmware_status"):
        assert maeve.rows(f"SELECT * FROM {table} WHERE charge_station_id = %s", station) == []
