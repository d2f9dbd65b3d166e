"""`ocpp-persister replay --csv`: meter values that exist only as a table."""

import gzip
import json
import os
import signal
import subprocess

import pytest
import rig
from conftest import BINARY, run_cli, stored
from test_replay import contents, empty, replay  # noqa: F401

MAP = "station=id,time=ts,evse=evse,value=value,measurand=measurand,unit='kWh'"
NAMES = "id,ts,evse,value,measurand\n"
ENERGY = "Energy.Active.Import.Register"


def values(database, columns="charge_station_id, event_time, evse_id, sampled::text"):
    return database.rows(f"SELECT {columns} FROM meter_values"
                         " ORDER BY charge_station_id, event_time, evse_id, digest")


def quarter_hours(station, count, evse=1, day=31):
    return [f"{station},2026-01-{day:02}T{i // 4:02}:{i % 4 * 15:02}:00Z,{evse},{1000 + i}.10,"
            f"{ENERGY}" for i in range(count)]


def test_backfill_is_exact_and_twice_is_nothing_new(migrated, tmp_path):
    table = tmp_path / "values.csv"
    table.write_text(NAMES + "\n".join([
        f"cs1,2026-01-31T10:00:00Z,1,1.10,{ENERGY}",
        "cs1,2026-01-31T10:00:00Z,1,16,Current.Import",
        f"cs1,1769854500,1,123456789012345678901234567.1000,{ENERGY}",
        f"cs1,2026-01-31T10:30:00Z,1,+1e3,{ENERGY}"]))
    first = replay(migrated, "--csv", MAP, table)
    assert (first["records"], first["stored"], first["unreadable"]) == (3, 3, 0)
    assert migrated.rows(
        "SELECT sampled::text, raw::text, layout::jsonb->0->>4, source::text, time_source::text,"
        " received_at = event_time, flags"
        " FROM meter_values JOIN meter_value_layouts USING (layout_id) ORDER BY event_time") == [
            ("{1.10,16}", None, "kWh", "M", "s", True, 0),
            ("{123456789012345678901234567.1000}", None, "kWh", "M", "s", True, 0),
            ("{1000}", '{"text": {"1": "+1e3"}}', "kWh", "M", "s", True, 0)]
    before = contents(migrated)
    again = replay(migrated, "--csv", MAP, table)
    assert (again["stored"], again["duplicate"]) == (0, 3)
    assert contents(migrated) == before
    # Nor if a packed file with another name has other values for the same instants.
    other = tmp_path / "other.csv.gz"
    with gzip.open(other, "wt") as f:
        f.write(table.read_text().replace("1.10", "1.11").replace("10:00:00Z", "11:00:00+01:00"))
    assert replay(migrated, "--csv", MAP, other)["duplicate"] == 3
    assert contents(migrated) == before


def test_row_that_says_all_of_a_message_is_that_message(running, migrated, publish, tmp_path):
    running()
    publish.call("cs1", "MeterValues", {"connectorId": 2, "transactionId": 7, "meterValue": [
        {"timestamp": "2026-01-31T10:00:00Z", "sampledValue": [
            {"value": "1.10", "measurand": ENERGY, "unit": "Wh", "location": "Outlet",
             "context": "Sample.Periodic", "phase": "L1"}]}]})
    stored(migrated, 1)
    table = tmp_path / "values.csv"
    table.write_text("t,e,x,v,m,u,l,c,p\n"
                     f"2026-01-31T10:00:00Z,2,7,1.10,{ENERGY},Wh,Outlet,Sample.Periodic,L1\n")
    full = ("station='cs1',time=t,evse=e,transaction=x,value=v,measurand=m,unit=u,location=l,"
            "context=c,phase=p")
    live = migrated.rows("SELECT digest FROM meter_values")
    assert replay(migrated, "--csv", full, table)["duplicate"] == 1
    migrated.rows("DELETE FROM meter_values")
    assert replay(migrated, "--csv", full, table)["stored"] == 1
    assert migrated.rows("SELECT digest FROM meter_values") == live


def test_what_is_missing_beside_live_data_is_stored_and_nothing_is_doubled(
        running, migrated, publish, tmp_path):
    """What stations said has more samples than the table: it counts, and stays as it is."""
    running()
    for i in range(0, 48, 2):
        publish.call("cs1", "MeterValues", {"connectorId": 1, "meterValue": [
            {"timestamp": f"2026-01-31T{i // 4:02}:{i % 4 * 15:02}:00Z", "sampledValue": [
                {"value": f"{1000 + i}.1", "unit": "kWh"}, {"value": "7", "measurand": "SoC"}]}]})
    stored(migrated, 24)
    live = values(migrated)
    table = tmp_path / "values.csv"
    table.write_text(NAMES + "\n".join(
        quarter_hours("cs1", 48) + quarter_hours("cs1", 48, evse=2) + quarter_hours("cs2", 48)))
    found = replay(migrated, "--csv", MAP, table)
    assert (found["stored"], found["duplicate"]) == (24 + 48 + 48, 24)
    after = values(migrated)
    assert len(after) == len(set(row[:3] for row in after)) == 3 * 48
    assert set(live) <= set(after)
    assert replay(migrated, "--csv", MAP, table)["stored"] == 0
    # The live stream goes on beside it, as if the table had not been.
    publish.call("cs1", "MeterValues", {"connectorId": 1, "meterValue": [
        {"timestamp": "2026-01-31T13:00:00Z", "sampledValue": [{"value": "1"}]}]})
    stored(migrated, 25)
    assert len(values(migrated)) == 3 * 48 + 1


def test_rows_of_one_instant_that_lie_apart_are_not_two(migrated, tmp_path):
    rows = quarter_hours("cs1", 96)
    for part in range(2):
        table = tmp_path / f"{part}.csv"
        table.write_text(NAMES + "\n".join(rows + [row.replace(".10", ".20") for row in rows]))
    # In one batch, and in several jobs at once.
    found = replay(migrated, "--jobs", 2, "--csv", MAP, tmp_path / "0.csv", tmp_path / "1.csv")
    assert (found["records"], found["stored"], found["duplicate"]) == (4 * 96, 96, 3 * 96)
    assert {row[3][-3:] for row in values(migrated)} == {"10}"}


def unreadable(found, event="unreadable"):
    return [line for line in found["stderr"].splitlines() if f"event={event} " in line]


def test_history_of_more_days_than_partitions_are_allowed_says_which_setting(migrated, tmp_path):
    table = tmp_path / "values.csv"
    table.write_text(NAMES + f"cs1,2012-01-31T10:00:00Z,1,1,{ENERGY}\n")
    done = run_cli({**migrated.settings(), "partitions.outside_max": "0"}, "replay", "--csv", MAP,
                   table)
    assert done.returncode == 1
    assert "partition_limit: 1" in done.stdout
    assert "partitions.outside_max" in done.stderr


def test_table_of_which_nothing_is_understood_is_given_up_early(migrated, tmp_path):
    table = tmp_path / "values.csv"
    with open(table, "w") as f:
        f.write(NAMES)
        for n in range(200000):
            f.write(f"cs1,2026-01-31 10:00:00,1,{n},{ENERGY}\n")
    found = replay(migrated, "--csv", MAP, table, code=1)
    assert (found["records"], found["unreadable"]) == (0, 1001)
    told = unreadable(found)
    assert len(told) == 11 and "has no zone" in told[0] and "line=1002" in told[-1]
    assert "the rest of it is left out" in told[-1]
    [told] = unreadable(found, "unreadable_in_all")
    assert "places=1000" in told and "has no zone" in told


def test_many_bad_rows_are_ten_examples_and_a_count(migrated, tmp_path):
    table = tmp_path / "values.csv"
    rows = quarter_hours("cs1", 96)
    bad = 3000 * ["cs1,2026-01-31 10:00:00,1,1,"] + 5 * ["cs1,2026-01-31T10:00:00Z,1,x,"]
    table.write_text(NAMES + "\n".join(rows[:1] + bad + rows[1:]))
    found = replay(migrated, "--csv", MAP, table, code=1)
    assert (found["records"], found["unreadable"]) == (96, 3005)
    done = run_cli({}, "replay", "--dry-run", "--csv", MAP, str(table))
    assert "3005 unreadable" in done.stdout
    for said in (found, {"stderr": done.stderr}):
        assert len(unreadable(said)) == 15
        [told] = unreadable(said, "unreadable_in_all")
        assert "places=3000" in told and "has no zone" in told


def test_wrong_column_is_said_with_those_that_there_are(migrated, tmp_path):
    table = tmp_path / "values.csv"
    table.write_text("charger;ts;kwh\ncs1;2026-01-31T10:00:00Z;1\n")
    found = replay(migrated, "--csv", "station=id,time=ts,value=kwh", table, code=1)
    [told] = unreadable(found)
    assert ('the first row names no column \\"id\\"; it has: charger, ts, kwh; the file is left out'
            in told)


def test_bad_rows_are_said_and_the_rest_is_used(migrated, tmp_path):
    table = tmp_path / "values.csv"
    table.write_bytes(b'\xef\xbb\xbf"ts";"id";"the ""kWh"""\r\n'
                      b'31.01.2026 10:00;cs1;1,5\r\n'
                      b'2026-01-31 10:00:00;cs1;1,5\r\n'
                      b'2026-01-31 10:15:00;"cs\r\n1";1,50\r\n'
                      b'2026-01-31 10:30:00;cs1;"1,5\r\n'
                      b'2026-01-31 10:45:00;cs1;1.000,5\r\n')
    found = replay(migrated, "--csv", 'station=id,time=ts,value=the "kWh",zone=+01:00,'
                   "decimal=comma", table, code=1)
    assert (found["records"], found["stored"], found["unreadable"]) == (2, 2, 3)
    for line, why in ((2, "its time is invalid"), (6, "a quote is not closed"),
                      (7, "its value has a point, though decimal=comma")):
        assert f'file={table} line={line} count=1 msg="{why}"' in found["stderr"]
    assert migrated.rows("SELECT charge_station_id, sampled::text, event_time ="
                         " '2026-01-31 09:00Z' FROM meter_values ORDER BY event_time") == [
        ("cs1", "{1.5}", True), ("cs\r\n1", "{1.50}", False)]
    no_header = tmp_path / "no header.csv"
    no_header.write_text("cs1,2026-01-31T10:00:00Z,1\n")
    found = replay(migrated, "--csv", MAP, no_header, code=1)
    assert found["records"] == 0 and "line=1" in found["stderr"]
    done = run_cli(migrated.settings(), "replay", "--csv", "station=id", table)
    assert done.returncode == 2 and "is not a map of columns" in done.stderr


def test_versions_times_and_what_is_asked_for(migrated, tmp_path):
    table = NAMES + "\n".join(quarter_hours("cs1", 8) + quarter_hours("cs2", 8, day=30))
    found = replay(migrated, "--csv", MAP + ",version=2.0.1", "--station", "cs2", "--from",
                   "2026-01-30T01:00:00Z", "--to", "2026-01-30T01:45:00Z", "-", input=table)
    assert (found["stored"], found["skipped"]) == (3, 13)
    assert migrated.rows("SELECT DISTINCT evse_id, connector_id FROM meter_values") == [(1, None)]
    done = run_cli({}, "replay", "--dry-run", "--csv", MAP, "-", input=table)
    assert done.returncode == 0 and "rows for meter_values: 16" in done.stdout


def test_killed_backfill_goes_on_where_it_was(migrated, empty, tmp_path):  # noqa: F811
    table = tmp_path / "values.csv"
    table.write_text(NAMES + "\n".join(
        row for station in range(60) for row in quarter_hours(f"cs{station}", 96)))
    settings = [f"--{key}={value}" for key, value in migrated.settings().items()]
    run = subprocess.Popen([BINARY, *settings, "--batch.messages_max=50", "replay", "--csv", MAP,
                            "--rate", "2000", str(table)], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
    rig.wait_until(lambda: migrated.value("SELECT coalesce(sum(seq), 0) FROM ingest_progress")
                   > 500, 60, "it gets somewhere")
    os.kill(run.pid, signal.SIGKILL)
    run.wait(rig.HANGS_S)
    last = replay(migrated, "--csv", MAP, table)
    assert last["resumed"] and last["records"] < 5760 and last["duplicate"] == 0
    whole = empty()
    assert replay(whole, "--csv", MAP, table)["stored"] == 5760
    assert contents(whole) == contents(migrated)


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_table_is_published_as_messages(broker, tmp_path, version):
    out = tmp_path / "published"
    with open(out, "wb") as f:
        sub = subprocess.Popen(["stdbuf", "-oL", "mosquitto_sub", "-p", str(broker.port), "-q",
                                "1", "-t", "cs/#", "-v", "-d"], stdout=f)
    try:
        rig.wait_until(lambda: b"Subscribed" in out.read_bytes(), 30, "mosquitto_sub subscribes")
        done = run_cli({}, "replay", "--csv", f"{MAP},version={version}", "--publish", broker.url,
                       "-", input=NAMES + "\n".join(quarter_hours("cs1", 1)))
        assert done.returncode == 0, done.stderr
        topic = f"cs/in/ocpp{version}/cs1 ".encode()
        rig.wait_until(lambda: topic in out.read_bytes(), 30, lambda: out.read_text())
    finally:
        sub.kill()
        sub.wait()
    [line] = [line for line in out.read_bytes().splitlines() if line.startswith(topic)]
    kind, _, action, request = json.loads(line[len(topic):])
    sample = {"value": "1000.10", "measurand": ENERGY, "unit": "kWh"}
    evse = {"connectorId": 1}
    if version != "1.6":
        sample = {"value": 1000.10, "measurand": ENERGY, "unitOfMeasure": {"unit": "kWh"}}
        evse = {"evseId": 1}
    assert (kind, action) == (2, "MeterValues")
    assert request == {**evse, "meterValue": [{"timestamp": "2026-01-31T00:00:00Z",
                                               "sampledValue": [sample]}]}
