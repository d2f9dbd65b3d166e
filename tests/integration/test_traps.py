"""What real stations do to anybody who stores their messages. The table in tests/README.md has all
of it; here is what no other file shows."""

import json

import msgpack
import pytest
from world import DAY, utc

REGISTER = "Energy.Active.Import.Register"


def samples(world, station, columns="value_text"):
    return world.rows(f"SELECT {columns} FROM meter_samples WHERE charge_station_id = ?"
                      " ORDER BY event_time, position", station)


def values16(world, station, samples, at="10:00:00Z", **more):
    world.call(station, "MeterValues", {"connectorId": 1, **more, "meterValue": [
        {"timestamp": DAY + at, "sampledValue": samples}]})


@pytest.mark.parametrize("number", [1, 2 ** 31, 9223372036854766666, 2 ** 64, "abc", "007"])
def test_transaction_ids_of_any_size_are_kept(world, number):
    station = world.station()
    world.start(station, number)
    world.call(station, "StopTransaction", {"transactionId": number, "meterStop": 9000,
                                            "timestamp": DAY + "11:00:00Z"})
    assert world.rows("SELECT transaction_id, meter_start, meter_stop FROM transactions"
                      " WHERE charge_station_id = ?", station) == [(str(number), 1500, 9000)]


def test_transaction_id_0_of_an_idle_station_joins_nothing(world):
    station = world.station()
    values16(world, station, [{"value": "1"}], transactionId=0)
    for at in ("11:00:00Z", "12:00:00Z"):
        world.call(station, "StopTransaction", {"transactionId": 0, "meterStop": 9,
                                                "timestamp": DAY + at})
    assert world.rows("SELECT transaction_id FROM meter_values WHERE charge_station_id = ?",
                      station) == [("0",)]
    assert world.rows("SELECT stopped_at FROM transactions WHERE charge_station_id = ?"
                      " AND transaction_id LIKE '0@%' ORDER BY 1", station) == [
        (utc(DAY + "11:00:00"),), (utc(DAY + "12:00:00"),)]


def test_updates_of_one_instant_are_all_kept(world):
    """E04.FR.09 of OCPP 2.0.1."""
    station = world.station()
    for number in range(4):
        world.event(station, "Updated", number=number)
    assert world.rows("SELECT count(*), count(DISTINCT event_time), max(seq_no)"
                      " FROM transaction_events WHERE charge_station_id = ?", station) == [
        (4, 1, 3)]


def test_message_ids_that_repeat_after_a_reboot_are_other_messages(world):
    station = world.station()
    for number in range(3):
        world.start(station, 50 + number, f"1{number}:00:00Z", id="1")
    assert world.rows("SELECT count(*) FROM transaction_events WHERE charge_station_id = ?",
                      station) == [(3,)]
    assert {("50",), ("51",), ("52",)} <= set(world.rows(
        "SELECT transaction_id FROM transactions WHERE charge_station_id = ?", station))


def test_stop_without_token_and_reason(world):
    station = world.station()
    world.call(station, "StopTransaction", {"transactionId": 1, "meterStop": 5,
                                            "timestamp": DAY + "11:00:00Z"})
    assert world.rows("SELECT t.stop_id_token, t.stopped_reason, s.stopped_reason"
                      " FROM transactions t JOIN sessions s USING (charge_station_id)"
                      " WHERE charge_station_id = ?", station) == [(None, None, "Local")]


def test_values_repeated_in_the_stop_do_not_double(world):
    station = world.station()
    values16(world, station, [{"value": "2000"}], transactionId=1)
    world.call(station, "StopTransaction", {
        "transactionId": 1, "meterStop": 5, "timestamp": DAY + "11:00:00Z", "transactionData": [
            {"timestamp": DAY + "10:00:00Z", "sampledValue": [{"value": "2000"}]}]})
    assert sorted(samples(world, station, "source, value, transaction_id")) == [
        ("MeterValues", 2000, "1"), ("StopTransaction", 2000, "1")]
    assert world.rows("SELECT sum(value) FROM meter_samples WHERE charge_station_id = ?"
                      " AND source <> 'StopTransaction'", station) == [(2000,)]


def test_values_without_transaction_and_of_connector_0(world):
    station = world.station()
    values16(world, station, [{"value": "123456"}], connectorId=0)
    world.call(station, "MeterValues", {"evseId": 0, "meterValue": [
        {"timestamp": DAY + "11:00:00Z", "sampledValue": [{"value": 7}]}]}, "2.0.1")
    assert samples(world, station, "evse_id, transaction_id, value") == [
        (0, None, 123456), (0, None, 7)]


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_signed_values_of_32_kib_are_kept_byte_for_byte(world, version):
    station = world.station()
    signed = {"signedMeterData": "QUJD+/=" * 4681, "encodingMethod": "OCMF"}
    world.call(station, "MeterValues", {"evseId": 1, "meterValue": [
        {"timestamp": DAY + "10:00:00Z", "sampledValue": [
            {"value": 1.5, "signedMeterValue": signed}, {"value": 2}]}]}, version)
    assert world.rows("SELECT meter_value #> '{sampledValue,0,signedMeterValue}'"
                      " FROM meter_values_json WHERE charge_station_id = ?", station) == [
        (signed,)]


def test_phases_stay_apart_and_none_means_the_total(world):
    station = world.station()
    values16(world, station, [{"value": "10", "phase": phase} for phase in ("L1", "L2-N")]
             + [{"value": "30"}])
    assert samples(world, station, "phase, value") == [("L1", 10), ("L2-N", 10), (None, 30)]


@pytest.mark.parametrize("meter", ["3.5", -1, 0, 5 * 10 ** 12, "-0.25"])
def test_meter_of_a_start_that_is_no_positive_integer(world, meter):
    station = world.station()
    world.start(station, 1, meterStart=meter)
    assert world.rows("SELECT meter_start::text FROM transactions WHERE charge_station_id = ?",
                      station) == [(str(meter),)]


def test_first_reading_of_0_is_kept_as_it_was_sent(world):
    """Transaction.Begin of 0 where the meter stood elsewhere: a placeholder nobody marks."""
    station = world.station()
    for number, (kind, context, value) in enumerate([
            ("Started", "Transaction.Begin", 0), ("Updated", "Sample.Periodic", 54000),
            ("Ended", "Transaction.End", 54321)]):
        at = f"1{number}:00:00Z"
        world.event(station, kind, number=number, at=at, meterValue=[
            {"timestamp": DAY + at, "sampledValue": [
                {"measurand": REGISTER, "context": context, "value": value}]}])
    assert world.rows("SELECT meter_start, meter_stop, energy_wh FROM sessions"
                      " WHERE charge_station_id = ?", station) == [(0, 54321, 54321)]


def test_values_without_energy_change_no_reading(world):
    """A last batch that has the state of charge only, and one of Sample.Clock."""
    station = world.station()
    for number, (kind, sample) in enumerate([
            ("Started", {"measurand": REGISTER, "context": "Transaction.Begin", "value": 100}),
            ("Updated", {"measurand": REGISTER, "context": "Sample.Clock", "value": 0}),
            ("Ended", {"measurand": REGISTER, "context": "Transaction.End", "value": 900}),
            ("Ended", {"measurand": "SoC", "context": "Transaction.End", "value": 80})]):
        at = f"1{number}:00:00Z"
        world.event(station, kind, number=number, at=at, meterValue=[
            {"timestamp": DAY + at, "sampledValue": [sample]}])
    assert world.rows("SELECT meter_start, meter_stop FROM transactions"
                      " WHERE charge_station_id = ?", station) == [(100, 900)]


def test_tokens_stay_as_written_and_are_found_in_any_case(world):
    station = world.station()
    for number, token in enumerate(["DeadBeef", "DEADBEEF", "deadbeef_serial_0123456789"]):
        world.start(station, 1 + number, f"1{number}:00:00Z", idTag=token)
        world.call(station, "Authorize", {"idTag": token})
    assert world.rows("SELECT id_token FROM sessions WHERE charge_station_id = ?"
                      " AND lower(id_token) = lower('deadBEEF') ORDER BY started_at",
                      station) == [("DeadBeef",), ("DEADBEEF",)]
    assert world.rows("SELECT count(DISTINCT id_token) FROM authorizations"
                      " WHERE charge_station_id = ?", station) == [(3,)]


def test_token_of_the_stop_may_be_another_of_the_group(world):
    station = world.station()
    id = world.call(station, "StartTransaction", {
        "connectorId": 1, "idTag": "A", "meterStart": 1, "timestamp": DAY + "10:00:00Z"})
    world.result(station, "StartTransaction", {"transactionId": 1, "idTagInfo": {
        "status": "Accepted", "parentIdTag": "GROUP"}}, id)
    world.call(station, "StopTransaction", {"transactionId": 1, "idTag": "B", "meterStop": 5,
                                            "timestamp": DAY + "11:00:00Z"})
    assert world.rows("SELECT id_token, stop_id_token, group_id_token FROM transactions"
                      " WHERE charge_station_id = ?", station) == [("A", "B", "GROUP")]


def test_custom_data_is_kept_wherever_it_stands(world):
    station = world.station()
    custom = {"vendorId": "v" * 255, "anything": [1, {"x": None}]}
    world.event(station, "Started", customData=custom, idToken={
        "idToken": "A", "type": "Central", "customData": custom})
    assert world.rows("SELECT extra -> 'customData', extra #> '{idToken,customData}'"
                      " FROM transaction_events WHERE charge_station_id = ?", station) == [
        (custom, custom)]
    world.call(station, "MeterValues", {"evseId": 1, "customData": custom, "meterValue": [
        {"timestamp": DAY + "10:00:00Z", "customData": custom, "sampledValue": [
            {"value": 1, "customData": custom}]}]}, "2.0.1")
    [(raw,)] = world.rows("SELECT raw FROM meter_values WHERE charge_station_id = ?", station)
    assert json.dumps(raw).count('"anything"') == 3


def test_data_of_vendors_is_kept_as_it_is(world):
    station = world.station()
    text = "id=0&x=\u00fc&starttime=2000-00-00 00:00:00"
    world.call(station, "DataTransfer", {"vendorId": "ATESS", "data": text})
    world.call(station, "DataTransfer", {"vendorId": "v", "data": {"any": ["json", 1.50]}},
               "2.0.1")
    assert world.rows("SELECT payload -> 'data' FROM ocpp_events WHERE charge_station_id = ?"
                      " ORDER BY ocpp_version", station) == [(text,), ({"any": ["json", 1.50]},)]


def test_values_that_no_list_of_the_standard_has(world):
    station = world.station()
    world.event(station, "Updated", triggerReason="BecauseIMust", transactionInfo={
        "transactionId": "T", "chargingState": "Daydreaming"})
    values16(world, station, [{"value": "1", "context": "Sample.Periodics",
                               "measurand": "Display.BatteryEnergyCapacity",
                               "location": "Upstream", "unit": "furlong"}])
    assert world.rows("SELECT trigger_reason, charging_state FROM transaction_events"
                      " WHERE charge_station_id = ?", station) == [
        ("BecauseIMust", "Daydreaming")]
    assert samples(world, station, "measurand, context, location, unit") == [
        ("Display.BatteryEnergyCapacity", "Sample.Periodics", "Upstream", "furlong")]


def test_fields_that_2_1_adds_are_kept(world):
    station = world.station()
    cost = {"totalCost": {"currency": "EUR", "total": {"exclTax": 1.20}}}
    world.call(station, "TransactionEvent", {
        "eventType": "Updated", "timestamp": DAY + "10:00:00Z", "triggerReason": "TxResumed",
        "seqNo": 1, "costDetails": cost, "preconditioningStatus": "Ready", "evseSleep": False,
        "transactionInfo": {"transactionId": "T", "operationMode": "CentralV2X",
                            "tariffId": "t1", "transactionLimit": {"maxCost": 20}}}, "2.1")
    [(extra,)] = world.rows("SELECT extra FROM transaction_events WHERE charge_station_id = ?",
                            station)
    assert extra == {"costDetails": cost, "preconditioningStatus": "Ready", "evseSleep": False,
                     "transactionInfo": {"operationMode": "CentralV2X", "tariffId": "t1",
                                         "transactionLimit": {"maxCost": 20}}}


def test_numbers_beyond_32_bits_are_kept(world):
    station = world.station()
    world.start(station, 1, meterStart=2 ** 40, reservationId=2 ** 40)
    world.event(station, "Updated", number=2 ** 40)
    assert world.rows("SELECT meter_start, reservation_id, seq_no, extra FROM transaction_events"
                      " WHERE charge_station_id = ? ORDER BY ocpp_version", station) == [
        (2 ** 40, None, None, {"reservationId": 2 ** 40}),
        (None, None, None, {"seqNo": 2 ** 40})]


def test_integers_of_msgpack_beyond_64_bits_signed_are_kept(world):
    station = world.station()
    for number in (2 ** 63, 2 ** 64 - 1):
        world.publisher.raw(f"cs/in/ocpp1.6/{station}", msgpack.packb({
            "type": 2, "action": "StopTransaction", "id": str(number), "request": {
                "transactionId": number, "meterStop": number, "timestamp": DAY + "11:00:00Z"}}))
        world.sent += 1
    assert world.rows("SELECT transaction_id, meter_stop FROM transactions"
                      " WHERE charge_station_id = ? ORDER BY 2", station) == [
        (str(2 ** 63), 2 ** 63), (str(2 ** 64 - 1), 2 ** 64 - 1)]


def test_reasons_are_believed(world):
    """"Remote" without a remote command: what the station says is what is kept."""
    station = world.station()
    world.call(station, "StopTransaction", {"transactionId": 1, "meterStop": 5,
                                            "reason": "Remote",
                                            "timestamp": DAY + "11:00:00Z"})
    assert world.rows("SELECT stopped_reason FROM transactions WHERE charge_station_id = ?",
                      station) == [("Remote",)]
