"""Energy per hour: the view energy_hourly and the tables it is made of, against a computation of
their own from what the stations sent."""

import collections
import concurrent.futures
import datetime
import itertools
import json
import random
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import psycopg
import pytest
import rig
from conftest import run_cli, stored

EPOCH = datetime.datetime(2026, 1, 30, tzinfo=datetime.timezone.utc)
HOUR = datetime.timedelta(hours=1)
REACH = datetime.timedelta(days=31)
REGISTER = "Energy.Active.Import.Register"

HOURS = """SELECT charge_station_id, evse_id, phase, hour, wh, estimated_wh, resets,
    readings FROM energy_hourly ORDER BY 1, 2, 3, 4"""


# ---- what is right ----

def is_energy(rise, time):
    seconds = Fraction(time / datetime.timedelta(seconds=1))
    return rise >= 0 and rise * 3600 <= 500000 * (seconds + 60)


def rounded(share):
    return (Decimal(share.numerator) / share.denominator).quantize(Decimal("0.001"), ROUND_HALF_UP)


def hour_of(at):
    return at.replace(minute=0, second=0, microsecond=0)


def day_of(at):
    return hour_of(at).replace(hour=0)


def shares(before, after):
    """(hour, Wh) of what was counted between two readings (time, Wh)."""
    (since, low), (until, high) = before, after
    hours = [hour_of(since)]
    while hours[-1] + HOUR <= until:
        hours.append(hours[-1] + HOUR)
    done = Decimal(0)
    for hour in hours:
        end = min(hour + HOUR, until)
        part = Fraction((end - since) / (until - since)).limit_denominator(10**9)
        sum_then = high - low if hour == hours[-1] else rounded(Fraction(high - low) * part)
        yield hour, sum_then - done
        done = sum_then


def expected(readings):
    """{hour: (wh, estimated_wh, resets, readings)} of one register: [(time, Wh)], in any order."""
    wh, estimated = collections.Counter(), collections.Counter()
    resets, count = collections.Counter(), collections.Counter(hour_of(at) for at, _ in readings)
    greatest = {}
    for at, value in readings:
        greatest[at] = max(value, greatest.get(at, value))
    for before, after in itertools.pairwise(sorted(greatest.items())):
        time = after[0] - before[0]
        if time > REACH:
            continue
        if not is_energy(after[1] - before[1], time):
            resets[hour_of(after[0])] += 1
            continue
        for hour, share in shares(before, after):
            wh[hour] += share
            estimated[hour] += share if time > HOUR else 0
    return {hour: (wh[hour], estimated[hour], resets[hour], count[hour])
            for hour in wh.keys() | count.keys() if count[hour] or wh[hour]}


def check(database, registers, sql=HOURS):
    """registers: {(station, evse, phase): readings}, each of which counts."""
    found = {tuple(row[:4]): tuple(row[4:]) for row in database.rows(sql)}
    wanted = {(*register, hour): values for register, readings in registers.items()
              for hour, values in expected(readings).items()}
    assert found.keys() == wanted.keys()
    for key, values in wanted.items():
        assert found[key] == values, key


# ---- what stations send ----

class Meter:
    """A register: random readings, with resets, gaps and readings of the same moment."""

    def __init__(self, rng, hours, start=EPOCH):
        self.readings, at, value = [], start, Decimal(rng.randrange(10**6))
        while at < start + hours * HOUR:
            self.readings.append((at, value))
            kind = rng.random()
            at += datetime.timedelta(seconds=rng.choice(
                (0, 1, 60, 900, 900, 900, 900, 3600)) if kind < 0.97 else rng.randrange(10**5))
            value += Decimal(rng.randrange(3000)) / rng.choice((1, 10)) if kind < 0.9 else 0
            if rng.random() < 0.02:
                value = rng.choice((Decimal(0), Decimal(rng.randrange(10**7))))


LAYOUT = """INSERT INTO meter_value_layouts (layout_id, measurand, phase, context, location, unit,
    multiplier, format, layout, first_charge_station_id)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, '', 'cs')"""
ROW = """INSERT INTO meter_values (charge_station_id, event_time, received_at, digest, layout_id,
    evse_id, connector_id, flags, time_source, source, transaction_id, sampled)
    VALUES (%s, %s, %s, %s, %s, %s, %s, 0, 's', 'M', %s, %s::numeric[])"""
WH, KWH, PHASES, OTHERS = 1, 2, 3, 4


def rows_of_registers(registers):
    return [(station, time, WH, evse, 1, None, [wh])
            for (station, evse, _), readings in registers.items()
            for time, wh in readings]


class Rows:
    """Meter values, stored as a batch does: with the note in station_changes."""

    def __init__(self, database):
        self.database, self.digests = database, itertools.count(1)
        self.session = database.connect()
        one = [None]
        for layout, measurands, phases, locations, units in (
                (WH, [None], one, one, one),
                (KWH, [REGISTER], one, ["Outlet"], ["kWh"]),
                (PHASES, [REGISTER] * 3, ["L1", "L2-N", "L3"], [None] * 3, ["Wh"] * 3),
                (OTHERS, [REGISTER, "Energy.Active.Export.Register", "Power.Active.Import",
                          REGISTER], [None, None, None, "L1-L2"], ["Inlet", None, None, None],
                 ["Wh", "Wh", "W", "Wh"])):
            nothing = [None] * len(measurands)
            self.session.execute(LAYOUT, (layout, measurands, phases, nothing, locations, units,
                                          nothing, nothing))

    def add(self, rows):
        """rows: (station, time, layout, evse, connector, transaction, values)."""
        with self.session.transaction():
            for day in {day_of(row[1]) for row in rows}:
                self.session.execute("SELECT ensure_partition('meter_values', %s)", (day,))
            self.session.cursor().executemany(ROW, [
                (station, at, at + HOUR, next(self.digests), layout, evse, connector, transaction,
                 [str(v) for v in values])
                for station, at, layout, evse, connector, transaction, values in rows])
            self.note({(row[0], row[1]) for row in rows})

    def note(self, noted, bits=0):
        noted = sorted(noted)
        self.session.execute("""INSERT INTO station_changes (stations, charge_station_id, first_at,
            last_at, messages, transactions, clock_offset_us, metered, metered_day, metered_hours)
            VALUES (0, '{}', '{}', '{}', '{}', '{}', '{}', %s, %s, %s)""", (
            [station for station, _ in noted],
            [day_of(at) for _, at in noted],
            [1 << at.hour | bits for _, at in noted]))

    def refresh(self, stations=3):
        self.session.execute("SELECT fold_station_changes()")
        while self.session.execute("SELECT more FROM refresh_energy(stations_max => %s)",
                                   (stations,)).fetchone()[0]:
            pass


def rows_of(rng, station, evse, meter):
    for at, wh in meter.readings:
        for _ in range(rng.choice((1, 1, 1, 1, 2))):
            kilo = rng.random() < 0.3
            yield (station, at, KWH if kilo else WH, evse, rng.choice((None, 1, 2)), None,
                   [wh / 1000 if kilo else wh])


@pytest.mark.parametrize("seed", range(3))
def test_late_and_repeated_readings_in_any_order(migrated, seed):
    rng = random.Random(seed)
    store = Rows(migrated)
    registers = {(f"cs{n}", evse, None): Meter(rng, 60) for n in range(4) for evse in (1, 2, 3)}
    rows = [row for (station, evse, _), meter in registers.items()
            for row in rows_of(rng, station, evse, meter)]
    rng.shuffle(rows)
    sent = collections.defaultdict(list)
    while rows:
        some = [rows.pop() for _ in range(min(len(rows), rng.randrange(1, 600)))]
        store.add(some)
        for station, at, layout, evse, _, _, (value,) in some:
            sent[station, evse, None].append(
                (at, value * 1000 if layout == KWH else value))
        store.refresh()
        check(migrated, sent)
    # Each again: nothing changes.
    assert changes(migrated) == 0


def changes(database, check=True):
    return sum(database.value(
        "SELECT changed FROM recompute_energy(%s, '', %s)", day, check)
        for day, in database.rows("""SELECT DISTINCT date_trunc('day', event_time, 'UTC')
            FROM meter_values WHERE isfinite(event_time)"""))


# ---- which readings count ----

def at(text):
    return datetime.datetime.fromisoformat(f"2026-01-{text}+00:00")


def one(time, *values, layout=WH, evse=1, connector=1, station="cs"):
    return (station, at(time), layout, evse, connector, None, values)


def hourly(database, station="cs"):
    return database.rows("""SELECT evse_id, phase,
            extract(hour FROM hour AT TIME ZONE 'UTC')::integer, wh
        FROM energy_hourly WHERE charge_station_id = %s ORDER BY hour, 1, 2""", station)


def test_only_the_register_of_the_outlet_counts_and_no_phase_beside_the_whole(migrated):
    store = Rows(migrated)
    unknown = {"evse": -1, "connector": None}
    store.add([
        one("30T10:00", 1000), one("30T10:30", 1500),
        one("30T10:00", 10, 10, 10, layout=PHASES), one("30T10:30", 200, 200, 200, layout=PHASES),
        one("30T10:00", 0, 0, 0, 0, layout=OTHERS),
        one("30T10:30", 9000, 9000, 9000, 9000, layout=OTHERS),
        # Without a whole in this hour.
        one("30T12:00", 300, 400, 500, layout=PHASES),
        one("30T12:40", 301, 402, 504, layout=PHASES),
        # The same meter with and without its connector.
        one("30T10:00", 100, evse=2, connector=None), one("30T10:30", 130, evse=2, connector=None),
        one("30T10:20", 120, evse=2), one("30T10:40", 140, evse=2),
        # A main meter, and an EVSE that nobody knows.
        one("30T10:00", 1, evse=0, connector=0), one("30T10:30", 7000, evse=0, connector=0),
        one("30T10:00", 1, **unknown), one("30T10:30", 900, **unknown),
        one("30T10:00", 1, **unknown, station="other"),
        one("30T10:30", 900, **unknown, station="other"),
        # Neither negative values nor times that are far ahead.
        one("30T10:00", -1, station="ahead"), one("30T10:10", 5, station="ahead"),
    ])
    store.session.execute("""UPDATE meter_values SET received_at = event_time - interval '2 days'
        WHERE charge_station_id = 'ahead' AND sampled[1] > 0""")
    store.refresh()
    found = hourly(migrated)
    assert [row for row in found if row[2] == 10] == [(1, None, 10, 500), (2, None, 10, 40)]
    # The phases from 10:30 on, when they were sent last.
    assert [row for row in found if row[2] == 12] == [
        (1, "L1", 12, 1), (1, "L2", 12, 2), (1, "L3", 12, 4)]
    assert hourly(migrated, "other") == [(None, None, 10, 899)]
    assert hourly(migrated, "ahead") == []
    assert migrated.rows("SELECT wh FROM energy_hours WHERE evse_id = 0") == [(6999,)]


def test_units_multipliers_and_rows_that_describe_themselves(migrated):
    store = Rows(migrated)
    for layout, unit, multiplier in ((11, "MWh", None), (12, "Wh", 3), (13, "kWh", -3),
                                     (14, "W", None), (15, None, 16)):
        store.session.execute(LAYOUT, (layout, [None], [None], [None], [None], [unit],
                                       [multiplier], [None]))
    store.add([one("30T10:00", "0.001", layout=11),
               one("30T10:01", "1.1", layout=12),
               one("30T10:02", "1200.5", layout=13),
               one("30T10:03", 9999, layout=14),
               one("30T10:04", 9999, layout=15),
               one("30T10:05", 1.3, layout=0)])
    store.session.execute("UPDATE meter_values SET raw = %s WHERE layout_id = 0", (json.dumps({
        "samples": [{"value": "1.3", "unit": "kWh", "location": "Outlet"}]}),))
    store.refresh()
    assert hourly(migrated) == [(1, None, 10, 300)]


def test_meter_values_without_connector_and_events_with_one_are_of_one_register(migrated):
    store = Rows(migrated)
    store.add([one("30T08:00", 0, connector=None), one("30T12:00", 400, connector=None),
               one("30T10:10", 0), one("30T10:50", 400)])
    store.refresh()
    assert hourly(migrated) == [(1, None, 8, 0), (1, None, 10, 400), (1, None, 12, 0)]


def test_gap_does_not_count_where_a_better_register_was_read(migrated):
    store = Rows(migrated)
    unknown = {"evse": -1, "connector": None}
    whole, sparse = ([one("30T10:10", 0), one("30T10:50", 400)],
                     [one("30T08:00", 0, **unknown), one("30T12:00", 400, **unknown),
                      one("30T08:30", 0, 0, 0, layout=PHASES),
                      one("30T11:30", 100, 100, 200, layout=PHASES)])
    store.add(sparse)
    store.refresh()
    assert migrated.value("SELECT sum(wh) FROM energy_hourly") > 400 / 2
    store.add(whole)
    store.refresh()
    assert migrated.value("SELECT sum(wh) FROM energy_hourly") == 400
    assert changes(migrated) == 0


@pytest.mark.parametrize("seed", range(2))
def test_registers_that_may_be_the_same_never_count_twice(migrated, seed):
    """Whole and phases, with and without the EVSE: all of one meter."""
    rng = random.Random(seed)
    store = Rows(migrated)
    rows = []
    for layout, evse, density in ((WH, 1, 40), (PHASES, 1, 9), (WH, -1, 9), (PHASES, -1, 5)):
        for minute in rng.sample(range(30 * 60), density):
            wh = 30 * minute
            rows.append(("cs", EPOCH + datetime.timedelta(minutes=minute), layout, evse, None, None,
                         [wh] if layout == WH else [wh // 3] * 3))
    rng.shuffle(rows)
    while rows:
        store.add([rows.pop() for _ in range(min(len(rows), rng.randrange(1, 20)))])
        store.refresh()
        assert migrated.value("""SELECT coalesce(sum(wh), 0) <= 30 * 30 * 60 AND
            coalesce(max(sum), 0) <= 30 * 60
            FROM energy_hourly e JOIN (SELECT hour, sum(wh) FROM energy_hourly GROUP BY 1) h
            USING (hour)""")
    # The order does not matter.
    assert changes(migrated, check=False) == 0
    found = hourly(migrated)
    migrated.rows("TRUNCATE energy_hours")
    changes(migrated, check=False)
    assert hourly(migrated) == found


def start_of(store, transaction, evse, begin, end):
    """One of several sessions of the id."""
    key = str(evse)
    store.session.execute("SELECT ensure_partition('transactions', %s)", (at(begin),))
    store.session.execute("""INSERT INTO transaction_keys (charge_station_id, transaction_id,
        start_key, partition_time, begins_at) VALUES ('cs', %s, %s, %s, %s)""",
        (transaction, key, at(begin), at(begin)))
    store.session.execute("""INSERT INTO transactions (charge_station_id, transaction_id,
        start_key, partition_time, evse_id, first_event_at, last_event_at, stopped_at, flags,
        merge_state)
        VALUES ('cs', %s, %s, %s, %s, %s, %s, %s, 0, '')""",
        (transaction, key, at(begin), evse, at(begin), at(end), at(end)))


def test_of_several_sessions_of_an_id_the_one_of_that_time_names_the_evse(migrated):
    store = Rows(migrated)
    start_of(store, "7", 1, "10T10:00", "10T10:40")
    start_of(store, "7", 2, "30T10:00", "30T12:00")

    def of_transaction(time, wh):
        return ("cs", at(time), WH, -1, None, "7", [wh])

    store.add([of_transaction(*reading) for reading in (
        ("10T10:00", 0), ("10T10:40", 4), ("30T10:00", 100), ("30T10:40", 105))])
    store.refresh()
    assert hourly(migrated) == [(1, None, 10, 4), (2, None, 10, 5)]
    # Open at the same time: nobody knows.
    start_of(store, "7", 3, "30T10:20", "30T10:50")
    store.note({("cs", at("30T10:00"))})
    store.refresh()
    assert hourly(migrated) == [(1, None, 10, 4), (None, None, 10, 5)]


def test_evse_that_is_no_longer_known(migrated):
    store = Rows(migrated)
    start_of(store, "7", 1, "30T10:00", "30T12:00")
    store.add([("cs", at("30T10:00"), WH, -1, None, "7", [0]),
               ("cs", at("30T10:40"), WH, -1, None, "7", [4])])
    store.refresh()
    assert hourly(migrated) == [(1, None, 10, 4)]
    migrated.rows("UPDATE transactions SET evse_id = NULL")
    # As for a start whose answer turns out to be that of another one.
    store.note({("cs", at("29T10:00"))}, bits=1 << 25)
    store.refresh()
    assert hourly(migrated) == [(None, None, 10, 4)]
    migrated.rows("UPDATE transactions SET evse_id = 2")
    store.note({("cs", at("29T10:00"))}, bits=1 << 24)
    store.refresh()
    assert hourly(migrated) == [(2, None, 10, 4)]


def test_gap_is_spread_and_marked_until_readings_come_late(migrated):
    store = Rows(migrated)
    store.add([one("30T10:30", 0), one("30T13:30", 300)])
    store.refresh()
    every = """SELECT extract(hour FROM hour AT TIME ZONE 'UTC')::integer, wh, estimated, readings
        FROM energy_hourly ORDER BY hour"""
    assert migrated.rows(every) == [(10, 50, True, 1), (11, 100, True, 0), (12, 100, True, 0),
                                    (13, 50, True, 1)]
    store.add([one("30T11:00", 0), one("30T12:30", 0)])
    store.refresh()
    assert migrated.rows(every) == [(10, 0, False, 1), (11, 0, False, 1), (12, 150, False, 1),
                                    (13, 150, False, 1)]
    # More than 31 days: nobody knows when.
    later = at("30T13:30") + datetime.timedelta(days=40)
    store.add([("cs", later, WH, 1, 1, None, [10**6])])
    store.refresh()
    assert migrated.value("SELECT sum(wh) FROM energy_hourly") == 300


# ---- what happens to the meter values ----

def test_hours_stay_when_their_meter_values_are_dropped(migrated):
    rng = random.Random(7)
    store = Rows(migrated)
    meters = {("cs1", 1, None): Meter(rng, 72), ("cs2", 1, None): Meter(rng, 72)}
    kept, late = collections.defaultdict(list), []
    for register, meter in meters.items():
        for reading in meter.readings:
            # The first hours of the second day come when the first day is gone.
            of = late if at("31T00:00") <= reading[0] < at("31T05:00") else kept[register]
            of.append((register, reading) if of is late else reading)
    store.add(rows_of_registers(kept))
    store.refresh()
    check(migrated, kept)
    store.session.execute("DROP TABLE meter_values_2026_01_30")
    assert changes(migrated, check=False) == 0
    store.add([(station, time, WH, evse, 1, None, [wh])
               for (station, evse, _), (time, wh) in late])
    for register, reading in late:
        kept[register].append(reading)
    store.refresh()
    check(migrated, kept)
    # One that is late for a day that is gone: the hour knows better.
    hour, _ = collections.Counter(hour_of(time) for time, _ in kept["cs1", 1, None]
                                  if time < at("31T00:00")).most_common(1)[0]
    store.add([("cs1", hour + datetime.timedelta(seconds=7), WH, 1, 1, None, [0])])
    store.refresh()
    check(migrated, kept)


def test_station_that_fails_is_tried_later_and_the_others_do_not_wait(migrated):
    store = Rows(migrated)
    store.add([one(time, wh, station=f"cs{n}") for n in range(3)
               for time, wh in (("30T10:00", 0), ("30T10:30", 5))])
    store.session.execute("""ALTER TABLE energy_hours
        ADD CONSTRAINT fails CHECK (charge_station_id <> 'cs1')""")
    done = run_cli(migrated.writer_settings(), "energy", "refresh")
    assert done.returncode == 1 and "\n1 station-days failed" in done.stdout, done.stdout
    assert "computed 2 station-days: " in done.stdout
    assert [hourly(migrated, f"cs{n}") for n in range(3)] == [
        [(1, None, 10, 5)], [], [(1, None, 10, 5)]]
    assert migrated.rows("""SELECT charge_station_id, noted_at > now() FROM energy_pending""") == [
        ("cs1", True)]
    # What is pending differs, but not by mistake.
    assert changes(migrated) == 0
    store.session.execute("ALTER TABLE energy_hours DROP CONSTRAINT fails")
    store.refresh()
    assert hourly(migrated, "cs1") == [(1, None, 10, 5)]


def test_check_leaves_out_what_is_noted_or_pending(migrated):
    store = Rows(migrated)
    store.add([one("30T10:00", 0), one("30T10:30", 5)])
    assert changes(migrated) == 0
    store.session.execute("SELECT fold_station_changes()")
    assert changes(migrated) == 0
    store.session.execute("DELETE FROM energy_pending")
    assert changes(migrated) > 0
    store.note({("cs", at("30T10:00"))})
    assert run_cli(migrated.writer_settings(), "energy", "check").returncode == 0
    assert migrated.value("SELECT count(*) FROM station_changes") == 0


def test_refresh_waits_for_rows_that_others_hold(migrated):
    store = Rows(migrated)
    store.add([one("30T10:00", 0), one("30T10:30", 5), one("31T10:00", 5), one("31T10:30", 6)])
    store.session.execute("SELECT fold_station_changes()")
    holder = migrated.connect(autocommit=False)
    holder.execute("SELECT FROM energy_pending WHERE day = '2026-01-31T00:00Z' FOR UPDATE")
    assert store.session.execute("SELECT more FROM refresh_energy()").fetchone() == (False,)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        done = pool.submit(run_cli, migrated.writer_settings(), "energy", "refresh")
        rig.wait_until(lambda: store.session.execute("""SELECT count(*) FROM pg_locks
            WHERE NOT granted""").fetchone() == (1,), what="the refresh to wait")
        holder.rollback()
        assert done.result().stdout.startswith("computed 2 station-days: ")
    assert migrated.value("SELECT sum(wh) FROM energy_hourly") == 6


def test_refresh_ends_beside_batches_that_note_more(migrated):
    store = Rows(migrated)
    store.add([one("30T10:00", 0), one("30T10:30", 5), one("31T10:00", 5), one("31T10:30", 6)])
    store.session.execute("SELECT fold_station_changes()")
    migrated.rows("""CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO energy_pending VALUES (old.day, old.charge_station_id, old.hours,
        clock_timestamp()); RETURN NULL; END $$""")
    migrated.rows("""CREATE TRIGGER again AFTER DELETE ON energy_pending
        FOR EACH ROW EXECUTE FUNCTION again()""")
    refresh(migrated)
    assert migrated.value("SELECT sum(wh) FROM energy_hourly") == 6


def test_interrupted_in_the_middle(migrated):
    rng = random.Random(8)
    store = Rows(migrated)
    meters = {(f"cs{n}", 1, None): Meter(rng, 30).readings for n in range(12)}
    store.add(rows_of_registers(meters))
    store.session.execute("SELECT fold_station_changes()")
    for _ in range(3):
        store.session.execute("SELECT refresh_energy(stations_max => 2)")
        victim = migrated.connect(autocommit=False)
        assert victim.execute("SELECT stations FROM refresh_energy()").fetchone()[0]
        # Nobody else computes meanwhile, and nobody waits.
        assert store.session.execute("SELECT stations FROM refresh_energy()").fetchone() == (0,)
        store.session.execute("SELECT pg_terminate_backend(%s)", (victim.info.backend_pid,))
        with pytest.raises(psycopg.OperationalError):
            victim.execute("SELECT 1")
        rig.wait_until(lambda: store.session.execute("""SELECT count(*) FROM pg_locks
            WHERE locktype = 'advisory' AND objid = 0""").fetchone() == (0,), what="the lock")
    store.refresh()
    check(migrated, meters)


# ---- from messages ----

def meter_value(wh, time, **more):
    return {"timestamp": time, "sampledValue": [{"value": wh, **more}]}


def refresh(database, *arguments):
    done = run_cli(database.writer_settings(), "energy", *(arguments or ("refresh",)))
    assert done.returncode in (0, 1), done.stderr
    return done


def test_evse_of_the_transaction_also_if_it_is_learnt_later(running, migrated, publish):
    running({"energy.refresh": "10min"})

    def event(kind, number, time, wh, **more):
        publish.call("cs2", "TransactionEvent", {
            "eventType": kind, "timestamp": time, "triggerReason": "MeterValuePeriodic",
            "seqNo": number, "transactionInfo": {"transactionId": "T"},
            "meterValue": [meter_value(wh, time)], **more}, version="2.0.1", id=f"e{number}")

    event("Updated", 1, "2026-01-30T10:30:00Z", 1500)
    event("Ended", 2, "2026-01-30T11:30:00Z", 2500)
    publish.call("cs1", "StartTransaction", {"connectorId": 2, "idTag": "T", "meterStart": 0,
                                             "timestamp": "2026-01-30T10:00:00Z"}, id="s")
    publish.call("cs1", "StopTransaction", {
        "transactionId": 7, "meterStop": 900, "timestamp": "2026-01-30T10:50:00Z",
        "transactionData": [meter_value("0", "2026-01-30T10:00:00Z"),
                            meter_value("0.9", "2026-01-30T10:50:00Z", unit="kWh")]}, id="t")
    stored(migrated, 4)
    refresh(migrated)
    assert hourly(migrated, "cs2") == [(None, None, 10, 500), (None, None, 11, 500)]
    assert hourly(migrated, "cs1") == [(None, None, 10, 900)]
    event("Started", 0, "2026-01-30T10:00:00Z", 1000, evse={"id": 3, "connectorId": 2})
    publish.result("cs1", "StartTransaction", {"transactionId": 7,
                                               "idTagInfo": {"status": "Accepted"}}, id="s")
    stored(migrated, 6)
    refresh(migrated)
    assert hourly(migrated, "cs2") == [(3, None, 10, 1000), (3, None, 11, 500)]
    assert hourly(migrated, "cs1") == [(2, None, 10, 900)]
    assert refresh(migrated, "check").returncode == 0


def test_replay_archive_and_the_command(migrated, tmp_path):
    rng = random.Random(9)
    meters = {(f"cs{n}", 1, None): sorted(set(Meter(rng, 48).readings)) for n in range(3)}
    rows = [(time, station, str(wh)) for (station, *_), readings in meters.items()
            for time, wh in readings]
    rng.shuffle(rows)
    capture = tmp_path / "capture"
    capture.write_text("".join(
        f"{time.timestamp() + 1} 1 cs/in/ocpp1.6/{station} " + json.dumps([
            2, str(n), "MeterValues", {"connectorId": 1, "meterValue": [meter_value(
                wh, time.isoformat())]}]).encode().hex() + "\n"
        for n, (time, station, wh) in enumerate(rows)))
    settings = migrated.writer_settings()
    off = settings  # by default
    settings = {**settings, "energy.refresh": "10min"}
    for options in {}, {"energy.refresh": "0s"}:  # the second time all are repeats
        assert run_cli({**settings, **options}, "replay", capture).returncode == 0
    refresh(migrated)
    check(migrated, meters)
    assert refresh(migrated, "check").returncode == 0

    # Somebody has changed it.
    migrated.rows("""UPDATE energy_hours SET inside_wh = inside_wh + 1
        WHERE charge_station_id = 'cs1'""")
    done = refresh(migrated, "check", "--from", "2026-01-31", "--to", "2026-02-01")
    assert done.returncode == 1 and done.stdout.startswith("2026-01-31: "), done.stdout
    assert "2026-01-30" not in done.stdout
    refresh(migrated, "refresh", "--from", "2026-01")
    check(migrated, meters)
    assert refresh(migrated, "check").returncode == 0

    # Without the tables, from partition files.
    archived = run_cli(migrated.settings(), "partitions", "archive", "--older-than", "1d",
                       "--table", "meter_values", "--to", tmp_path, "--trust-clock")
    assert archived.returncode == 0, archived.stderr
    assert migrated.value("SELECT count(*) FROM meter_values") == 0
    check(migrated, meters)
    migrated.rows("TRUNCATE energy_hours")
    files = sorted(tmp_path.glob("*.copy.zst"))
    assert len(files) >= 2
    assert run_cli(off, "replay", files[0]).returncode == 0
    assert migrated.value("SELECT count(*) FROM energy_pending") == 0
    migrated.rows("TRUNCATE meter_values")
    assert run_cli(settings, "replay", *files).returncode == 0
    refresh(migrated)
    check(migrated, meters)


def test_the_service_computes_unless_it_is_off(running, migrated, publish):
    def send(station, times=2):
        for n in range(times):
            publish.call(station, "MeterValues", {"connectorId": 1, "meterValue": [meter_value(
                str(100 * n), f"2026-01-30T10:{n}0:00Z")]}, id=f"{station} {n}")

    p = running()
    send("off")
    stored(migrated, 2)
    p.stop()
    assert migrated.rows("SELECT metered FROM station_changes WHERE metered <> '{}'") == []
    p = running({"energy.refresh": "1ms"})
    send("on")
    stored(migrated, 4)
    p.stop()
    p = running({"energy.refresh": "1ms"})  # folds and computes when it starts
    rig.wait_until(lambda: hourly(migrated, "on") == [(1, None, 10, 100)],
                   what=lambda: rig.tail(p.log))
    assert hourly(migrated, "off") == []
    refresh(migrated, "refresh", "--from", "2026-01-30")
    assert hourly(migrated, "off") == [(1, None, 10, 100)]


def test_the_service_folds_however_much_is_pending(running, migrated, publish):
    migrated.rows("""CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO energy_pending SELECT old.*; RETURN NULL; END $$""")
    migrated.rows("""CREATE TRIGGER again AFTER DELETE ON energy_pending
        FOR EACH ROW EXECUTE FUNCTION again()""")
    migrated.rows("""INSERT INTO energy_pending
        VALUES ('2026-01-30T00:00Z', 'cs', 1, '2026-01-30T00:00Z')""")
    p = running({"energy.refresh": "1ms"})
    for n in range(2):
        publish.call("on", "Heartbeat", {}, id=f"h{n}")
        rig.wait_until(lambda n=n: migrated.value("""SELECT count(*) FROM station_activity
            WHERE charge_station_id = 'on' AND messages > %s""", n) == 1,
            what=lambda: rig.tail(p.log))
