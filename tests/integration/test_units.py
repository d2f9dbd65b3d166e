"""Units and multipliers of samples, where any version of OCPP has them."""

import itertools
import json

import pytest
from conftest import run_cli
from test_odd_stations import ENERGY, captured, odd  # noqa: F401

# What a sample says of its unit, and what its value is multiplied with in Wh; None: not clear.
UNITS = [({"unit": "kWh"}, 1000), ({"unitOfMeasure": "kWh"}, 1000), ({"multiplier": 3}, 1000),
         ({"unitOfMeasure": {"unit": "kWh"}}, 1000), ({"unit": "MWh", "multiplier": "-3"}, 1000),
         ({"unitOfMeasure": {"unit": "Wh", "multiplier": 3}}, 1000),
         ({"unitOfMeasure": {"unit": "kWh"}, "unit": "kWh", "multiplier": 0}, 1000),
         ({"unitOfMeasure": {"unit": "MWh"}, "unit": None, "multiplier": None}, 1000000),
         ({"unitOfMeasure": {}, "unit": "Wh"}, 1), ({"unitOfMeasure": None}, 1),
         ({"unitOfMeasure": {"unit": "Wh"}, "unit": "kWh"}, None), ({"unit": True}, None),
         ({"unitOfMeasure": {"unit": "Wh", "multiplier": "x"}}, None), ({"multiplier": 1.5}, None),
         ({"unitOfMeasure": {"multiplier": 1.5}}, None), ({"unitOfMeasure": ["kWh"]}, None),
         ({"unitOfMeasure": {"unit": {}, "multiplier": 0}}, None),
         ({"unitOfMeasure": {"multiplier": 0}, "multiplier": 3}, None)]


@pytest.mark.parametrize("layouts", [32, 1])
def test_unit_counts_wherever_it_is_stated(odd, tmp_path, layouts):
    """In views, sessions and the store alike, by any version, with and without a measurand."""
    lines, expected, register = [], {}, {}
    for version, named, (number, (more, factor)) in itertools.product(
            ["1.6", "2.0.1", "2.1"], (True, False), enumerate(UNITS)):
        station = f"unit {layouts} {version} {number} {named}"
        for minute, kind, value in [(0, "Started", 100), (1, "Ended", 112.5)]:
            at = f"2026-01-31T10:{minute:02}:00Z"
            sample = {"value": str(value) if version == "1.6" else value, **more,
                      **({"measurand": ENERGY} if named else {})}
            values = [{"timestamp": at, "sampledValue": [sample]}]
            lines.append(captured(minute, [2, kind, *(
                ["MeterValues", {"connectorId": 1, "meterValue": values}] if version == "1.6" else
                ["TransactionEvent", {
                    "eventType": kind, "timestamp": at, "seqNo": minute,
                    "triggerReason": "Authorized", "transactionInfo": {"transactionId": "T"},
                    "evse": {"id": 1}, "meterValue": values}])], station, version))
            expected[station, minute] = (
                None if factor is None else value * factor, factor is None,
                ENERGY if named or factor is not None else None)
            register[station] = json.dumps([sample]), None if factor is None else value * factor
    path = tmp_path / "units.txt"
    path.write_text("".join(lines))
    done = run_cli({**odd.settings(), "layouts.per_station_max": layouts}, "replay", str(path))
    assert done.returncode == 0, done.stderr
    like = f"unit {layouts} %"
    assert {(station, minute): tuple(found) for station, minute, *found in odd.rows(
        "SELECT charge_station_id, extract(minute FROM event_time)::integer, value::float,"
        " 'unit_unclear' = ANY (flag_names(flags)), measurand"
        " FROM meter_samples WHERE charge_station_id LIKE %s", like)} == expected
    assert dict(odd.rows("SELECT charge_station_id, energy_wh::float FROM sessions"
                         " WHERE charge_station_id LIKE %s", like)) == {
        station: None if value is None else value / 112.5 * 12.5
        for (station, minute), (value, *_) in expected.items() if minute and " 1.6 " not in station}
    assert odd.value("SELECT bool_and(('unit_unclear' = ANY (flags)) = (energy_wh IS NULL))"
                     " FROM sessions WHERE charge_station_id LIKE %s", like)
    for station, (sample, wh) in register.items():
        assert odd.value("SELECT energy_register(%s::jsonb)::float", sample) == wh, station
    # Energy per hour, except where it is more than a station can give.
    assert odd.value("SELECT stations FROM recompute_energy('2026-01-31 00:00Z',"
                     " stations_max => 1000)") > 0
    assert dict(odd.rows("SELECT charge_station_id, sum(wh)::float FROM energy_hourly WHERE"
                         " charge_station_id LIKE %s GROUP BY 1 HAVING sum(wh) > 0", like)) == {
        station: value / 112.5 * 12.5 for (station, minute), (value, *_) in expected.items()
        if minute and value is not None and value < 1000000}
