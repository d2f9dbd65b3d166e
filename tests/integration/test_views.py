"""The views read every row, whatever a station sent, and compute what can be computed."""

import itertools
import json
from decimal import Decimal

import pytest

DAY = "2026-01-31 10:00Z"

LAYOUT = """INSERT INTO meter_value_layouts (layout_id, measurand, phase, context, location, unit,
    multiplier, format, layout, first_charge_station_id)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, '', 'cs')"""

ROW = """INSERT INTO meter_values (charge_station_id, event_time, received_at, digest, layout_id,
    evse_id, flags, time_source, source, time_text, sampled, raw)
    VALUES ('cs', %s, now(), %s, %s, 1, %s, %s, %s, %s, %s::numeric[], %s)"""


@pytest.fixture
def store(migrated):
    """store(sampled, layout, raw=...): one row; the digest tells rows apart."""
    session = migrated.connect()
    session.execute("SELECT ensure_partition('meter_values', %s)", (DAY,))
    digests = itertools.count(1)

    def run(sampled, layout=0, raw=None, at=DAY, flags=0, time_source="s", source="M",
            time_text=None):
        digest = next(digests)
        session.execute(ROW, (at, digest, layout, flags, time_source, source, time_text, sampled,
                              None if raw is None else json.dumps(raw)))
        return digest

    run.session = session
    return run


def one_layout(store, number, measurand=None, unit=None, multiplier=None, phase=None):
    store.session.execute(LAYOUT, (number, [measurand], [phase], [None], [None], [unit],
                                   [multiplier], [None]))
    return number


def samples(store, digest):
    cursor = store.session.execute(
        "SELECT * FROM meter_samples WHERE digest = %s ORDER BY position", (digest,))
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row)) for row in cursor.fetchall()]


@pytest.mark.parametrize("measurand, unit, multiplier, sampled, value, normal_unit", [
    (None, None, None, "1532", "1532", "Wh"),
    (None, "kWh", None, "1.5", "1500.0", "Wh"),
    (None, "Wh", 3, "1.5", "1500.0", "Wh"),
    (None, "Wh", 0, "1.10", "1.10", "Wh"),
    (None, "Wh", -3, "1532", "1.532", "Wh"),
    ("Energy.Reactive.Import.Register", "kvarh", None, "2", "2000", "varh"),
    ("Power.Active.Import", None, None, "7400", "7400", None),
    ("Power.Active.Import", "kW", None, "7.4", "7400.0", "W"),
    ("Current.Import", "mA", None, "16000", "16", "A"),
    ("Voltage", "V", None, "230.1", "230.1", "V"),
    ("SoC", "Percent", None, "55", "55", "Percent"),
    ("Temperature", "Celcius", None, "21", "21", "Celsius"),
    ("Vendor.Thing", "furlong", None, "5", "5", "furlong"),
    (None, "Wh", 200000, "5", None, "Wh"),
    (None, "Wh", -2147483648, "5", None, "Wh"),
    (None, "Wh", 16, "5", None, "Wh"),
    (None, "MWh", 15, "9" * 38, "9" * 38 + "0" * 21, "Wh"),
])
def test_samples_are_normalised(store, measurand, unit, multiplier, sampled, value, normal_unit):
    digest = store([Decimal(sampled)], one_layout(store, 7, measurand, unit, multiplier))
    [row] = samples(store, digest)
    assert row["value"] == (None if value is None else Decimal(value))
    assert row["unit"] == normal_unit
    assert row["value_text"] == sampled
    assert (row["stated_unit"], row["stated_multiplier"]) == (unit, multiplier)
    assert row["measurand"] == (measurand or "Energy.Active.Import.Register")


def test_row_that_describes_itself_reads_like_one_with_a_layout(store):
    described = store([Decimal("7.4"), None], raw={"samples": [
        {"value": "7.4", "measurand": "Power.Active.Import", "phase": "L1",
         "unitOfMeasure": {"unit": "kW", "multiplier": 0}},
        {"value": "x", "unit": "kWh"}], "text": {"2": "x"}})
    first, second = samples(store, described)
    assert (first["value"], first["unit"], first["phase"]) == (Decimal("7400.0"), "W", "L1")
    assert (second["value"], second["unit"], second["value_text"]) == (None, "Wh", "x")


def test_row_whose_layout_is_missing_gets_no_measurand(store):
    [row] = samples(store, store([Decimal(5)], 999))
    assert (row["measurand"], row["unit"], row["value_text"]) == (None, None, "5")


HOSTILE_RAW = [
    None, 0, "text", True, [], {}, [[]], {"samples": None}, {"samples": 5}, {"samples": {}},
    {"samples": []}, {"samples": [None, 1, "x", [], {}, [[{}]]]},
    {"samples": [{"unitOfMeasure": 5, "unit": {}, "measurand": []}]},
    {"samples": [{"unitOfMeasure": {"unit": 5, "multiplier": "x"}}]},
    {"samples": [{"unitOfMeasure": {"multiplier": 10 ** 30}}]},
    {"samples": [{"unitOfMeasure": {"multiplier": 99999}}]},
    {"samples": [{"unitOfMeasure": {"multiplier": 1.5}}] * 3},
    {"text": 5, "signed": 5}, {"text": ["a", "b"], "signed": ["c"]},
    {"text": {"1": {"deep": [1]}}, "signed": {"1": None}}, {"text": {"x": "y"}},
    {"signed": {"x": "T0NNRg", "1": "\u00ff\\", "2": {"signedMeterData": "4"}, "9999999999": 1},
     "text": {"1": "{\"signedMeterData\":\"\\"}},
    {"samples": [{"format": "SignedData", "value": "=" * 7}, {"signedMeterValue": [1]},
                 {"signedMeterValue": {"publicKey": 5}, "format": 7, "value": {}}]},
    {"samples": "\ud7ff\uffff", "extra": {"a": [{}] * 50}},
]

HOSTILE_SAMPLED = [
    [], ["NaN"], ["1e131071"], ["-1e131071"], ["1e-16383"], [None], [None] * 40, ["1"] * 2000,
    ["0", "-0.000"], "{{1,2},{3,4}}", "[5:6]={1,2}", ["Infinity"], ["9" * 1000],
]


def test_views_read_every_hostile_row(store):
    one_layout(store, 1)
    one_layout(store, 2, "", "", 2147483647, "")
    one_layout(store, 3, "Energy" * 1000, "kWh", -2147483648)
    store.session.execute(LAYOUT, (4, [], [], [], [], [], [], []))
    store.session.execute(LAYOUT, (5, ["Voltage"] * 9, ["L1"], [None] * 3, [], ["kV", "V"], [15],
                                   [""] * 5))
    store.session.execute(LAYOUT, (6, *[[None]] * 7))
    stored = 0
    for raw, sampled, layout in itertools.product(HOSTILE_RAW, HOSTILE_SAMPLED, range(-1, 8)):
        store(sampled, layout, raw, at="-infinity" if stored % 2 else DAY, flags=-1,
              time_source="i", source="?", time_text="?" if stored % 3 else None)
        stored += 1
    store.session.execute("""INSERT INTO transactions (charge_station_id, transaction_id,
        partition_time, flags, merge_state) VALUES ('cs', '', '-infinity', -1, '')""")
    store.session.execute("INSERT INTO charge_station_status (charge_station_id) VALUES ('cs')")
    for view in ("meter_values_json", "meter_samples", "sessions", "suspicious_sessions",
                 "latest_readings", "meter_gaps", "signed_readings", "signed_sessions"):
        # Every column of every row, as a reader's COPY would.
        cursor = store.session.execute(f"SELECT v::text FROM {view} v")
        assert cursor.rowcount > 0 or view in ("latest_readings", "meter_gaps",
                                               "signed_sessions")
        if view == "meter_values_json":
            assert cursor.rowcount == stored
    cursor = store.session.execute("SELECT sum(value), max(value), count(DISTINCT unit) "
                                   "FROM meter_samples WHERE value <> 'NaN'")
    assert cursor.rowcount == 1


TRANSACTION = """INSERT INTO transactions (charge_station_id, transaction_id, partition_time, flags,
    started_at, stopped_at, meter_start, meter_stop, stopped_reason, seq_no_missing, merge_state)
    VALUES ('cs', %s, '-infinity', %s, %s, %s, %s, %s, %s, %s, '')"""


def test_sessions_say_what_is_missing(migrated):
    session = migrated.connect()
    nothing = ["no start", "no end", "no meter reading at start", "no meter reading at end"]
    cases = [
        ("whole", "2026-01-31 10:00Z", "2026-01-31 11:30Z", 3, Decimal("15320.5"), "Remote", 0,
         [], Decimal("15317.5"), "Remote", True),
        ("default reason", "2026-01-31 10:00Z", "2026-01-31 11:30Z", 3, 3, None, None, [],
         Decimal(0), "Local", True),
        ("nothing", None, None, None, None, None, None, nothing, None, None, False),
        ("bad times", "-infinity", "-infinity", "NaN", "1e1000", None, 2,
         ["time of start invalid", "time of end invalid", "2 events missing"], None, "Local",
         False),
    ]
    for name, start, stop, first, last, reason, gaps, *_ in cases:
        session.execute(TRANSACTION, (name, 1, start, stop, first, last, reason, gaps))
    for name, *_, missing, energy, reason, complete in cases:
        row = session.execute("SELECT incomplete, energy_wh, stopped_reason, complete, flags "
                              "FROM sessions WHERE transaction_id = %s", (name,)).fetchone()
        assert row == (missing, energy, reason, complete, ["time_zoneless"]), name
    assert session.execute("SELECT duration::text FROM sessions WHERE transaction_id = 'whole'"
                           ).fetchone() == ("01:30:00",)


def test_json_view_gives_back_what_was_sent(store):
    store.session.execute(LAYOUT, (1, ["Voltage", None], ["L1", None], [None] * 2, [None] * 2,
                                   ["V", "kWh"], [None, 0], [None, "SignedData"]))
    store([Decimal("230.10"), Decimal(1000)], 1, raw={"text": {"2": "1e3"},
                                                     "signed": {"2": {"encodingMethod": "OCMF"}}},
          time_text="2026-01-31T11:00:00.000+01:00")
    [value] = store.session.execute("SELECT meter_value::text FROM meter_values_json").fetchone()
    assert json.loads(value, parse_float=str) == {
        "timestamp": "2026-01-31T11:00:00.000+01:00",
        "sampledValue": [
            {"value": "230.10", "measurand": "Voltage", "phase": "L1",
             "unitOfMeasure": {"unit": "V"}},
            {"value": "1e3", "unitOfMeasure": {"unit": "kWh", "multiplier": 0},
             "format": "SignedData",
             "signedMeterValue": {"encodingMethod": "OCMF"}}]}
