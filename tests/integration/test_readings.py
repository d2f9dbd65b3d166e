"""What a meter shows now, where its readings stop, and which stations are silent: as a reader."""

import datetime
import re
import time

import psycopg
import pytest
from test_history import plan_nodes

REGISTER = "Energy.Active.Import.Register"
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)

STATUS = """INSERT INTO charge_station_status (charge_station_id, last_heartbeat_at)
    VALUES (%s, %s)"""
ACTIVITY = """INSERT INTO station_activity (charge_station_id, first_message_at, last_message_at)
    VALUES (%s, %s, %s)"""
VALUE = """INSERT INTO meter_values (charge_station_id, event_time, received_at, digest, layout_id,
    evse_id, flags, time_source, source, transaction_id, sampled)
    VALUES (%s, %s, %s, %s, %s, %s, 0, 's', 'M', %s, %s)"""


def ago(**delta):
    return NOW - datetime.timedelta(**delta)


@pytest.fixture
def session(migrated):
    """The owner's, with partitions for what the tests store."""
    session = migrated.connect()
    for table in ("meter_values", "ocpp_events", "transaction_events", "authorizations",
                  "transactions"):
        for days in range(-1, 4):
            session.execute("SELECT ensure_partition(%s, %s)", (table, ago(days=days)))
    for layout, measurand, phase in ((1, [None, "Power.Active.Import"], [None, "L1"]),
                                     (2, ["Voltage"], ["L1"])):
        session.execute("""INSERT INTO meter_value_layouts (layout_id, measurand, phase, context,
            location, unit, multiplier, format, layout, first_charge_station_id)
            VALUES (%(id)s, %(m)s, %(p)s, %(n)s, %(n)s, %(n)s,
                array_fill(NULL::integer, ARRAY[cardinality(%(m)s::text[])]), %(n)s, '', 'cs')""",
                        {"id": layout, "m": measurand, "p": phase, "n": [None] * len(phase)})
    return session


@pytest.fixture
def reader(migrated, session):
    name = f"reader_of_{migrated.name}"
    session.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret' IN ROLE ocpp_reader")
    with psycopg.connect(migrated.cluster.dsn(migrated.name, name, "secret"),
                         autocommit=True) as connection:
        yield connection
    session.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def silent(reader, interval="1 hour"):
    return dict(reader.execute("SELECT charge_station_id, last_heard_at FROM"
                               " ocpp.silent_stations(%s)", (interval,)).fetchall())


CHANGES = """INSERT INTO station_changes (stations, charge_station_id, first_at, last_at, messages,
        transactions, clock_offset_us)
    VALUES (1, ARRAY[%(station)s], ARRAY[%(at)s], ARRAY[%(at)s], '{1}', '{0}', '{NULL}')"""


def test_stations_that_were_heard_are_not_silent(session, reader):
    for station, minutes in ("heard", 5), ("silent", 120), ("batched", 200), ("older", 70):
        session.execute(ACTIVITY, (station, ago(days=9), ago(minutes=minutes)))
    # What is not folded yet counts as well, of stations that are known and of others.
    for station, minutes in ("batched", 9), ("new", 8), ("new and silent", 90), ("older", 80):
        session.execute(CHANGES, {"station": station, "at": ago(minutes=minutes)})
    assert silent(reader) == {"silent": ago(minutes=120), "new and silent": ago(minutes=90),
                              "older": ago(minutes=70)}
    assert set(silent(reader, "95 minutes")) == {"silent"}
    assert set(silent(reader, "4 minutes")) == {"heard", "silent", "batched", "older", "new",
                                                "new and silent"}


NEWEST = """SELECT DISTINCT ON (charge_station_id, evse_id, connector_id, measurand, phase,
        location) charge_station_id, evse_id, measurand, phase, value, event_time
    FROM meter_samples WHERE event_time > now() - interval '1 day'
    ORDER BY charge_station_id, evse_id, connector_id, measurand, phase, location,
        event_time DESC, position, digest"""


def test_latest_readings_are_the_newest_samples(session, reader):
    for n, station in enumerate(("cs1", "cs2", "cs3")):
        session.execute(STATUS, (station, ago(minutes=1)))
        for minute in range(10):
            for evse in (1, 2):
                session.execute(VALUE, (station, ago(minutes=minute * (n + 1)), NOW, minute, 1,
                                        evse, "T", [1000 - minute, 7000 + minute]))
        session.execute(VALUE, (station, ago(minutes=50), NOW, 1, 2, 1, None, [230 + n]))
    session.execute(VALUE, ("cs3", ago(days=2), NOW, 1, 2, 2, None, [230]))
    # One that sends nothing but meter values.
    session.execute(ACTIVITY, ("cs4", ago(days=9), NOW))
    session.execute(VALUE, ("cs4", ago(minutes=50), NOW, 1, 2, 1, None, [230]))
    found = reader.execute("""SELECT charge_station_id, evse_id, measurand, phase, value,
        event_time FROM ocpp.latest_readings ORDER BY 1, 2, 3, 4""").fetchall()
    assert found == sorted(session.execute(NEWEST).fetchall(), key=lambda r: (*r[:3], r[3] or ""))
    assert len(found) == 16


def test_latest_readings_are_at_the_evse_of_their_transaction(session, reader):
    """2.x: an event of a transaction need not name its EVSE."""
    session.execute(STATUS, ("cs1", ago(minutes=1)))
    for evse, (name, wh) in enumerate([("TA", 100), ("TB", 9000)], 1):
        session.execute("""INSERT INTO transactions (charge_station_id, transaction_id,
            partition_time, flags, evse_id, connector_id, merge_state)
            VALUES ('cs1', %s, %s, 0, %s, 1, '')""", (name, ago(minutes=10), evse))
        session.execute("""INSERT INTO transaction_keys (charge_station_id, transaction_id,
            partition_time) VALUES ('cs1', %s, %s)""", (name, ago(minutes=10)))
        session.execute(VALUE, ("cs1", ago(minutes=10), NOW, wh, 1, evse, name, [wh, 0]))
        session.execute(VALUE, ("cs1", ago(minutes=5), NOW, wh + 1, 1, -1, name, [wh + 50, 7]))
    session.execute(VALUE, ("cs1", ago(minutes=4), NOW, 1, 1, -1, "unknown", [5, 5]))
    # With one time, the one that was received last counts, whatever its digest.
    for digest, received in (2, 2), (1, 1), (3, 3):
        session.execute(VALUE, ("cs1", ago(minutes=3), ago(seconds=received), digest, 2, 3, None,
                                [230 + received]))
    assert reader.execute("""SELECT evse_id, measurand, value, transaction_id
        FROM ocpp.latest_readings ORDER BY 1, 2""").fetchall() == [
        (-1, REGISTER, 5, "unknown"), (-1, "Power.Active.Import", 5, "unknown"),
        (1, REGISTER, 150, "TA"), (1, "Power.Active.Import", 7, "TA"),
        (2, REGISTER, 9050, "TB"), (2, "Power.Active.Import", 7, "TB"),
        (3, "Voltage", 231, None)]


def test_latest_readings_look_at_the_end_of_the_key_only(session, reader):
    """However many there are: of one station 50 rows, by the key."""
    session.execute("""INSERT INTO meter_values (charge_station_id, event_time, received_at, digest,
            layout_id, evse_id, flags, time_source, source, sampled)
        SELECT 'cs' || n % 200, now() - n * interval '0.3 s', now(), n, 1, 1, 0, 's', 'M',
            '{1000,7000}' FROM generate_series(1, 200000) n""")
    session.execute("INSERT INTO charge_station_status (charge_station_id)"
                    " SELECT 'cs' || n FROM generate_series(0, 199) n")
    session.execute("VACUUM ANALYZE")
    # The query of the function by itself: EXPLAIN shows no plan of what a function runs.
    [(body,)] = session.execute("SELECT pg_get_functiondef('newest_readings(text)'::regprocedure)")
    query = re.search(r"BEGIN ATOMIC\s(.*);\s*END", body, re.DOTALL)[1]
    query = re.sub(r"newest_readings\.station|\bstation\b", "'cs7'", query)
    [(plan,)] = session.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + query).fetchall()
    values = [n for n in plan_nodes(plan[0]["Plan"])
              if re.match("meter_values_[0-9]", n.get("Relation Name", ""))]
    # Only empty tables are read as a whole.
    assert all(n["Actual Rows"] == n.get("Rows Removed by Filter", 0) == 0
               for n in values if "Seq" in n["Node Type"]), values
    assert max(n["Actual Rows"] for n in values) == 50
    began = time.monotonic()
    assert len(reader.execute("SELECT * FROM ocpp.latest_readings").fetchall()) == 400
    print(f"of 200 stations: {time.monotonic() - began:.3f} s")


def test_gaps_are_longer_than_is_usual_in_their_session(session, reader):
    session.execute("""INSERT INTO transactions (charge_station_id, transaction_id, partition_time,
            flags, evse_id, started_at, stopped_at, merge_state)
        VALUES ('cs1', 'T', %(start)s, 0, 1, %(start)s, %(stop)s, ''),
            ('cs1', 'none', %(start)s, 0, 2, %(start)s, %(stop)s, '')""",
                    {"start": ago(hours=3), "stop": ago(minutes=10)})
    # Every five minutes, but for half an hour, and the last twenty minutes of the session.
    for minute in [*range(180, 90, -5), *range(60, 29, -5)]:
        session.execute(VALUE, ("cs1", ago(minutes=minute), NOW, minute, 2, 1, "T", [230]))
    assert reader.execute("""SELECT transaction_id, gap_from, gap_to, gap, usual
        FROM ocpp.meter_gaps ORDER BY gap_from""").fetchall() == [
        ("T", ago(minutes=95), ago(minutes=60), datetime.timedelta(minutes=35),
         datetime.timedelta(minutes=5)),
        ("T", ago(minutes=30), ago(minutes=10), datetime.timedelta(minutes=20),
         datetime.timedelta(minutes=5))]
