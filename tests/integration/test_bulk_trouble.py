"""What gets in the way of tables that are loaded before they are partitions."""

import json
import signal
import threading

import psycopg
import pytest
import rig
from conftest import next_line, run_cli
from test_bulk import Replay, days, lines_of, nothing_waits, outcome, run_bulk, settings
from test_replay import contents, empty  # noqa: F401

DAY = "meter_values_2026_03_01"
LOADING = DAY + "_loading"
NOON = "2026-03-01T12:00:00Z"
BASE = 1772359200  # 2026-03-01T10:00:00Z


@pytest.fixture
def session():
    """session(database): a connection of its own, in our schema."""
    made = []

    def make(database):
        made.append(psycopg.connect(database.dsn(), autocommit=True,
                                    options="-c search_path=ocpp -c lock_timeout=20s"))
        return made[-1]

    yield make
    for connection in made:
        connection.close()


@pytest.fixture
def nothing(tmp_path):
    path = tmp_path / "nothing.jsonl"
    path.write_text("")
    return path


def insert(session, first, count):
    """Rows into the table that is loaded, as COPY puts them there."""
    session.execute(f"""
        INSERT INTO {LOADING} (charge_station_id, event_time, evse_id, digest, received_at,
            layout_id, flags, time_source, source, sampled)
        SELECT 'cs' || n, '{NOON}', 1, n, now(), 1, 0, 's', 'm', '{{1}}'
        FROM generate_series({first}, {first + count - 1}) n""")


def step(session, table=LOADING):
    return session.execute("SELECT state FROM finish_loading(%s)", [table]).fetchone()[0]


def finish(session):
    while (state := step(session)) in ("indexed", "moving"):
        pass
    return state


def load(session, at=NOON):
    return session.execute("SELECT load_partition('meter_values', %s)", [at]).fetchone()[0]


def end(session):
    session.execute("SELECT end_loading(%s)", [LOADING])


def until_said(running, words):
    while words not in (line := next_line(running.process, running.process.stderr)):
        assert line, f"it never said \"{words}\""


def frame(received, payload, station="cs001"):
    return f"{received} 1 cs/in/ocpp1.6/{station} {json.dumps(payload).encode().hex()}\n"


def value_at(second, day=1, value="5"):
    return [2, str(second), "MeterValues", {"connectorId": 1, "meterValue": [{
        "timestamp": f"2026-03-{day:02}T10:{second // 60:02}:{second % 60:02}Z",
        "sampledValue": [{"value": value}]}]}]


def test_values_without_a_time_are_compared_as_ever(empty, tmp_path):
    """Copies of them are not found by their key."""
    timeless = [2, "77", "MeterValues", {
        "connectorId": 1, "meterValue": [{"sampledValue": [{"value": "5"}]}]}]
    others = [frame(BASE + i, value_at(i)) for i in range(300)]
    plain, bulk = empty(), empty()
    capture = tmp_path / "capture"
    capture.write_text("".join([*others[:100], frame(BASE, timeless), *others[100:],
                                frame(BASE + 301, timeless)]))
    without, found = run_bulk(plain, "--no-bulk", capture), run_bulk(bulk, capture)
    assert outcome(found) == outcome(without)
    assert (found["stored"], found["duplicate"]) == (301, 1)
    assert found["loaded_rows"] > 50  # until the day was needed immediately
    assert contents(bulk)["meter_values"] == contents(plain)["meter_values"]
    assert nothing_waits(bulk)


def test_key_longer_than_an_index_takes_is_a_dead_letter_and_holds_nobody_up(empty, tmp_path):
    station = "".join(chr(0x4e00 + i * 7919 % 20000) for i in range(2000))
    capture = tmp_path / "capture"
    capture.write_text("".join([frame(BASE, value_at(0), station),
                                *(frame(BASE + i, value_at(i, 2)) for i in range(300))]))
    plain, bulk = empty(), empty()
    without, found = run_bulk(plain, "--no-bulk", capture), run_bulk(bulk, capture)
    assert outcome(found) == outcome(without)
    assert (found["stored"], found["dead_lettered"]) == (300, 1)
    assert found["loaded_rows"] == 300
    assert bulk.value("SELECT count(*) FROM meter_values") == 300


def test_one_table_that_cannot_be_attached_does_not_hold_up_the_others(
        migrated, session, nothing):
    one = session(migrated)
    load(one)
    end(one)
    load(one, "2026-03-02")
    one.execute("SELECT end_loading('meter_values_2026_03_02_loading')")
    one.execute(f"CREATE TABLE {DAY} ()")
    found = run_bulk(migrated, nothing, code=1)
    assert found["loaded_partitions"] == 1
    assert "meter_values_2026_03_02" in days(migrated)
    one.execute(f"DROP TABLE {DAY}")
    assert run_bulk(migrated, nothing)["loaded_partitions"] == 1
    assert nothing_waits(migrated)


def test_table_whose_partition_came_and_went_is_moved_from_its_beginning(migrated, session):
    one = session(migrated)
    load(one)
    insert(one, 1, 60000)
    end(one)
    one.execute("SELECT ensure_partition('meter_values', %s)", [NOON])
    assert step(one) == "moving"
    one.execute(f"DROP TABLE {DAY}")
    one.execute(f"TRUNCATE {LOADING}")
    assert load(one)
    insert(one, 1, 30000)
    end(one)
    one.execute("SELECT ensure_partition('meter_values', %s)", [NOON])
    assert finish(one) == "moved"
    assert one.execute("SELECT count(*) FROM meter_values").fetchone() == (30000,)


def test_table_that_was_dropped_is_made_again(migrated, session):
    one = session(migrated)
    load(one)
    one.execute(f"DROP TABLE {LOADING}")
    assert load(one)
    insert(one, 1, 10)
    end(one)
    assert finish(one) == "attached"
    assert one.execute("SELECT count(*) FROM meter_values").fetchone() == (10,)


@pytest.mark.parametrize("addition", [
    "CREATE INDEX ON meter_values (transaction_id)",
    """CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
       CREATE TRIGGER told BEFORE INSERT ON meter_values FOR EACH ROW EXECUTE FUNCTION tell()"""])
def test_what_an_operator_has_added_is_not_missed(migrated, session, addition):
    one = session(migrated)
    one.execute(addition)
    assert not load(one)
    assert days(migrated) == [DAY] and nothing_waits(migrated)


def test_csv_leaves_out_what_rows_are_about_to_bring(empty, tmp_path, session):
    capture, table = tmp_path / "capture", tmp_path / "values.csv"
    capture.write_text("".join(frame(BASE + i, value_at(i)) for i in range(600)))
    table.write_text("id,t,v,c\n" + "".join(
        f"cs001,2026-03-01T10:00:{i:02}Z,{i + 70},1\n" for i in range(49)))
    csv = ("--csv", "station=id,time=t,value=v,evse=c,unit='Wh'", table)
    bulk = empty()
    running = Replay(bulk, capture, rate=300)
    running.until_loading(100)
    running.kill()
    found = run_bulk(bulk, *csv)
    assert (found["stored"], found["duplicate"]) == (0, 49)
    assert run_bulk(bulk, capture)["resumed"]
    assert bulk.value("SELECT count(*) FROM meter_values") == 600
    # And while it looks for what is missing, nobody loads.
    other = empty()
    one = session(other)
    one.execute("SELECT forbid_loading()")
    assert run_bulk(other, capture)["loaded_rows"] == 0
    one.close()
    # Nor does it begin while somebody loads.
    one = session(other)
    assert load(one, "2026-03-02T10:00:00Z")
    waits = Replay(other, *csv)
    until_said(waits, "rows of another replay wait")
    assert other.value("SELECT count(*) FROM meter_values") == 600
    one.execute("SELECT end_loading('meter_values_2026_03_02_loading')")
    assert step(session(other), "meter_values_2026_03_02_loading") == "indexed"
    assert step(session(other), "meter_values_2026_03_02_loading") == "attached"
    assert waits.end()["duplicate"] == 49


def test_writer_may_not_say_what_is_dropped(migrated, session):
    one = session(migrated)
    if one.execute("SELECT FROM pg_roles WHERE rolname = 'ocpp_writer'").fetchone() is None:
        pytest.skip("role ocpp_writer is not there")
    one.execute("SET ROLE ocpp_writer")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        one.execute("""INSERT INTO loading_partitions (table_name, parent, lower_bound)
            VALUES ('schema_migrations', 'meter_values', '-infinity')""")
    assert load(one)
    insert(one, 1, 3)
    end(one)
    assert finish(one) == "attached"


def test_step_of_another_session_is_waited_for(migrated, session, nothing):
    """A server process keeps working after the replay that asked for the step is dead."""
    one, two = session(migrated), session(migrated)
    load(one)
    insert(one, 1, 10)
    end(one)
    two.execute(f"SELECT pg_advisory_lock(loading_lock_class(), hashtext('{LOADING}'))")
    assert step(one) == "stepping"
    running = Replay(migrated, nothing)
    until_said(running, "waits_to_attach")
    two.execute("SELECT pg_advisory_unlock_all()")
    assert running.end()["loaded_partitions"] == 1
    assert migrated.value("SELECT count(*) FROM meter_values") == 10


def test_another_replay_that_fills_a_table_is_told_of(migrated, session, nothing):
    one = session(migrated)
    load(one)
    found = run_bulk(migrated, nothing)
    assert (found["waiting_partitions"], found["loaded_partitions"]) == (1, 0)


def test_live_writer_does_not_wait_for_who_reads_a_loaded_table(migrated, session):
    reader, one, live = session(migrated), session(migrated), session(migrated)
    load(one)
    insert(one, 1, 10)
    end(one)
    assert step(one) == "indexed"
    reader.execute("BEGIN")
    reader.execute(f"SELECT count(*) FROM {LOADING}")  # as pg_dump does
    states = []
    thread = threading.Thread(target=lambda: states.append(finish(one)))
    thread.start()
    rig.wait_until(lambda: migrated.value(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation IS NOT NULL") == 1,
        20, "the step waits")
    live.execute("SET lock_timeout = '500ms'")
    live.execute("SELECT ensure_partition('meter_values', %s)", [NOON])
    reader.execute("COMMIT")
    thread.join(rig.HANGS_S)
    assert states == ["moved"]
    assert migrated.value("SELECT count(*) FROM meter_values") == 10


def test_steps_take_longer_than_statements_may(migrated, session, nothing):
    one = session(migrated)
    load(one)
    insert(one, 1, 300000)
    insert(one, 1, 100000)
    end(one)
    name = migrated.value("SELECT current_database()")
    one.execute(f"ALTER DATABASE {name} SET statement_timeout = '150ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        finish(session(migrated))
    found = run_bulk(migrated, nothing)
    assert found["loaded_partitions"] == 1
    one.execute("SET statement_timeout = 0")
    assert one.execute("SELECT count(*) FROM meter_values").fetchone() == (300000,)


def test_day_that_is_loaded_stays_admitted(empty, tmp_path):
    """partitions.outside_max: also for the process that goes on with it."""
    def at(i):
        return [2, str(i), "MeterValues", {"connectorId": 1, "meterValue": [{
            "timestamp": f"2020-03-{1 + i // 150:02}T10:{i % 150 // 60:02}:{i % 60:02}Z",
            "sampledValue": [{"value": str(i)}]}]}]

    capture = tmp_path / "capture"
    capture.write_text("".join(frame(BASE + i, at(i)) for i in range(600)))
    few = {"partitions.outside_max": 2, "partitions.ahead_days": 0}
    plain, bulk = empty(), empty()
    counts = []
    for database, option in ((plain, ["--no-bulk"]), (bulk, [])):
        running = Replay(database, *option, capture, rate=300, more=few)
        rig.wait_until(lambda: database.value(
            "SELECT coalesce(sum(seq), 0) FROM ingest_progress") > 190, 60, "it stores")
        running.kill()
        done = run_cli(settings(database, **few), "replay", "--json", *option, str(capture))
        assert done.returncode == 1 and "partitions.outside_max" in done.stderr
        counts.append([database.value(f"SELECT count(*) FROM {table}")
                       for table in ("meter_values", "dead_letters")])
    assert counts[0] == counts[1] == [300, 300]


def test_signal_ends_a_replay_that_waits_to_attach(migrated, session, nothing):
    one = session(migrated)
    load(one)
    end(one)
    one.execute(f"SELECT pg_advisory_lock(loading_lock_class(), hashtext('{LOADING}'))")
    running = Replay(migrated, nothing)
    until_said(running, "waits_to_attach")
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(rig.HANGS_S) != 0


def test_duplicates_of_an_earlier_replay_are_its_own(empty, tmp_path, session):
    bulk = empty()
    one = session(bulk)
    load(one)
    insert(one, 1, 50)
    insert(one, 1, 50)
    end(one)
    capture = tmp_path / "capture"
    capture.write_text("".join(frame(BASE + i, value_at(i, 2)) for i in range(599)))
    found = run_bulk(bulk, capture)
    assert (found["stored"], found["duplicate"]) == (599, 0)
    assert bulk.value("SELECT count(*) FROM meter_values") == 649


def test_progress_is_kept_until_all_is_visible(empty, tmp_path, session):
    bulk = empty()
    capture = tmp_path / "capture"
    capture.write_text("".join(frame(BASE + i, value_at(i)) for i in range(300)))
    one = session(bulk)
    # Slow enough to be still running, however long the look and CREATE TABLE take.
    running = Replay(bulk, capture, rate=20)
    running.until_loading(80)
    one.execute(f"CREATE TABLE {DAY} ()")
    out, err = running.process.communicate(timeout=rig.HANGS_S)
    assert running.process.returncode == 1 and "is where it belongs" in err
    assert json.loads(out)["stored"] == 300
    one.execute(f"DROP TABLE {DAY}")
    again = run_bulk(bulk, capture)
    assert again["resumed"] and again["records"] == 0
    assert bulk.value("SELECT count(*) FROM meter_values") == 300
    assert bulk.value("SELECT count(*) FROM ingest_progress") == 0


def test_table_that_is_dropped_while_it_is_filled_is_made_again(empty, tmp_path, session):
    """Its rows went with it; those that come later are stored, and the other day is not touched."""
    bulk = empty()
    capture = tmp_path / "capture"
    capture.write_text("".join(frame(BASE + i, value_at(i, 1 + i % 2)) for i in range(400)))
    one = session(bulk)
    running = Replay(bulk, capture, rate=40)
    running.until_loading(80)
    one.execute(f"DROP TABLE {LOADING}")
    out, err = running.process.communicate(timeout=rig.HANGS_S)
    assert running.process.returncode == 0, err
    assert err.count("event=database_connected") == 1, err  # and no new connection hid it
    found = json.loads(out)
    assert (found["stored"], found["loaded_partitions"]) == (400, 2)
    stored = dict(bulk.rows("SELECT event_time::date::text, count(*) FROM meter_values GROUP BY 1"))
    assert stored["2026-03-02"] == 200 and 0 < stored["2026-03-01"] < 200
    assert bulk.value("SELECT max(event_time) = '2026-03-01T10:06:38Z' FROM meter_values "
                      "WHERE event_time < '2026-03-02'")
    assert nothing_waits(bulk)
