"""`ocpp-persister sessions`: reports that add up, as a role that can only read."""

import csv
import io
import itertools
import json
import os
import pty
import re
import subprocess
from collections import Counter, defaultdict
from decimal import Decimal
from fcntl import ioctl
from struct import pack
from termios import TIOCSWINSZ

import psycopg
import pytest
import rig
from conftest import BINARY, ROOT, make_database, read_terminal, run_cli
from test_terminal import HOSTILE, harmless

# What spreadsheets would run, and what they would not.
FORMULAS = ["=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "a;=1+1", 'a","=1+1', "a|  =1",
            "a\t=1+1", "=HYPERLINK(\"http://x\"\"\",\"y\")"]
PLAIN = ["a=b", "AB-12", "-5", "+44", "x@y", "Gr\u00fc\u00dfe, 1"]

# Station, token, start, end (None = in progress), meters.
SESSIONS = [
    ("cs1", "ALICE", "2026-01-31T22:30:00Z", "2026-01-31T23:30:00Z", 1000, 3500),
    ("cs1", "alice", "2026-01-31T23:30:00Z", "2026-02-01T00:30:30Z", 3500, 4000),
    ("cs2", "BOB", "2026-02-10T10:00:00Z", "2026-02-11T12:00:00Z", 0, 70000),
    ("cs2", "BOB", "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z", 70000, 71000),
    ("cs1", "Alice", "2026-03-31T21:59:59Z", "2026-03-31T22:10:00Z", 4000, 4100),
    ("cs1", "ALICE", "2026-03-31T22:00:00Z", "2026-03-31T22:20:00Z", 4100, 4300),
    ("cs3", "CAROL", "2026-04-02T08:00:00Z", None, 10, None),
    ("cs3", "CAROL", "2026-04-03T08:00:00Z", "2026-04-03T07:00:00Z", 500, 400),
    # The meter was replaced.
    ("cs6", "ERIN", "2026-06-01T08:00:00Z", "2026-06-01T09:00:00Z", 5000000, 12000),
    ("cs6", "ERIN", "2026-06-02T08:00:00Z", "2026-06-02T09:00:00Z", 12000, 32000),
]


def send(world, number, session):
    station, token, begin, end, first, last = session
    id = world.call(station, "StartTransaction", {
        "connectorId": 1, "idTag": token, "meterStart": first, "timestamp": begin})
    world.result(station, "StartTransaction",
                 {"transactionId": number, "idTagInfo": {"status": "Accepted"}}, id)
    if end:
        world.call(station, "StopTransaction", {
            "transactionId": number, "meterStop": last, "timestamp": end})


@pytest.fixture(scope="module")
def fleet(world):
    """The world with sessions in it, and a role that may read them."""
    numbers = itertools.count(1)
    for session in SESSIONS:
        send(world, next(numbers), session)
    for text in FORMULAS + PLAIN + [HOSTILE]:
        send(world, next(numbers), ("cs4", text, "2026-05-01T10:00:00Z", "2026-05-01T11:00:00Z",
                                    0, 1))
    world.event("cs5", "Started", "T1", 0, evse={"id": 1}, idToken={"idToken": "DAVE",
                                                                    "type": "ISO14443"})
    world.event("cs5", "Ended", "T1", 1, at="10:40:00Z")
    world.call("cs5", "CostUpdated", {"totalCost": 12.75, "transactionId": "T1"}, "2.0.1", "out")
    world.rows("SELECT 1")
    with psycopg.connect(world.database.dsn(), autocommit=True) as admin:
        admin.execute("CREATE ROLE reports LOGIN PASSWORD 'secret' IN ROLE ocpp_reader")
        admin.execute(f"REVOKE TEMPORARY ON DATABASE {world.database.name} FROM PUBLIC")
    return world


@pytest.fixture(scope="module")
def report(fleet):
    """report("--by", "month"): the command, as that role."""
    database = fleet.database
    settings = database.cluster.settings(database.name, "reports", "secret")

    def run(*arguments, code=0, **kwargs):
        done = run_cli(settings, "sessions", *arguments, **kwargs)
        assert done.returncode == code, done
        return done

    run.settings = settings
    return run


def objects(report, *arguments):
    return [json.loads(line, parse_float=Decimal, parse_int=Decimal)
            for line in report("--json", *arguments).stdout.splitlines()]


def test_each_session_is_that_of_the_view(fleet, report):
    found = objects(report)
    assert [(r["charge_station_id"], r["transaction_id"], r["id_token"], r["energy_wh"],
             r["duration_s"], r["total_cost"], r["incomplete"]) for r in found] == fleet.rows("""
        SELECT charge_station_id, transaction_id, id_token, energy_wh,
            extract(epoch FROM duration), total_cost, incomplete
        FROM sessions ORDER BY partition_time, charge_station_id, transaction_id, start_key""")
    assert len(found) == len(SESSIONS) + len(FORMULAS) + len(PLAIN) + 2
    [dave] = [r for r in found if r["id_token"] == "DAVE"]
    assert (dave["total_cost"], dave["duration_s"]) == (Decimal("12.75"), 2400)
    [first] = objects(report, "--station", "cs1", "--to", "2026-01-31T23:00Z")
    assert (first["started_at"], first["energy_wh"]) == ("2026-01-31T22:30:00+00:00", 2500)


def test_months_are_those_of_the_zone(report):
    def months(*zone):
        return {r["month"]: r["sessions"] for r in objects(report, "--by", "month", *zone)
                if r["month"] < "2026-05"}

    # 22:30 and 23:30 in winter, 21:59:59 and 22:00 in summer: around midnight in Berlin.
    assert months() == {"2026-01": 3, "2026-02": 1, "2026-03": 3, "2026-04": 2}
    assert months("--zone", "Europe/Berlin") == {
        "2026-01": 2, "2026-02": 2, "2026-03": 2, "2026-04": 3}
    assert months("--zone", "+01:00") == {"2026-01": 2, "2026-02": 2, "2026-03": 3, "2026-04": 2}
    assert months("--zone", "-05:30") == {"2026-01": 3, "2026-02": 1, "2026-03": 3, "2026-04": 2}


def test_period_is_one_of_the_zone_too(report):
    def in_period(*arguments):
        return [r["id_token"] for r in objects(report, *arguments)]

    berlin = ("--zone", "Europe/Berlin")
    assert in_period("--from", "2026-03", "--to", "2026-04", *berlin) == ["BOB", "Alice"]
    assert in_period("--from", "2026-04-01", "--to", "2026-04-02", *berlin) == ["ALICE"]
    assert in_period("--from", "2026-04-01T00:00+02:00", "--to", "2026-04-02") == ["ALICE"]
    # An hour that Berlin does not have.
    assert in_period("--from", "2026-03-29T02:30", "--to", "2026-03-30", *berlin) == []
    [bob] = objects(report, "--from", "2026-03-29", "--to", "2026-03-30", *berlin)
    assert (bob["started_at"], bob["stopped_at"]) == (
        "2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00")


@pytest.mark.parametrize("by", ["month", "token", "station", "month,station",
                                "token,month,station"])
@pytest.mark.parametrize("which", [[], ["--station", "cs1"], ["--token", "aLiCe"],
                                   ["--from", "2026-02", "--to", "2026-04"], ["--suspicious"]])
def test_sums_are_those_of_the_sessions(report, by, which):
    each, sums = objects(report, *which), objects(report, "--by", by, *which)
    names = {"month": "month", "token": "id_token", "station": "charge_station_id"}

    def key(row, part):
        return {"month": lambda: (row.get("month") or row["started_at"][:7]),
                "token": lambda: row["id_token"].lower(),
                "station": lambda: row["charge_station_id"]}[part]()

    wanted = defaultdict(Counter)
    for row in each:
        group = wanted[tuple(key(row, part) for part in by.split(","))]
        group["sessions"] += 1
        for name, absent, below_0 in (("duration_s", "without_duration", "stop_before_start"),
                                      ("energy_wh", "without_energy", "backwards"),
                                      ("total_cost", "without_cost", None)):
            group[absent] += row[name] is None
            if row[name] is None:
                continue
            if row[name] >= 0:
                group[name] += row[name]
            else:
                group[below_0] += 1
    found = {tuple(key(row, part) for part in by.split(",")): row for row in sums}
    assert len(found) == len(sums) and set(found) == set(wanted) and found
    for group, row in found.items():
        assert {n: v or 0 for n, v in row.items() if n not in names.values()} == {
            n: wanted[group][n] for n in row if n not in names.values()}, group


def test_sums_leave_out_what_a_meter_or_a_clock_that_was_set_back_gives(report):
    [june] = objects(report, "--by", "month", "--station", "cs6")
    assert (june["sessions"], june["energy_wh"], june["backwards"], june["without_energy"],
            june["duration_s"], june["stop_before_start"]) == (2, 20000, 1, 0, 7200, 0)
    [april] = objects(report, "--by", "month", "--station", "cs3")
    assert (april["energy_wh"], april["backwards"], april["without_energy"],
            april["duration_s"], april["stop_before_start"]) == (None, 1, 1, None, 1)
    for by in ([], ["--by", "month"]):
        *_, total = report("--station", "cs6", *by).stdout.splitlines()
        assert total == "total: sessions 2, duration 02:00:00, energy_wh 20000, backwards 1"


def test_flags_are_in_the_last_column(report):
    head, first, second, *_ = report("--station", "cs6").stdout.splitlines()
    at = head.index("flags")
    assert (head[at:], first[at:], second[at:]) == ("flags", "meter_backwards", "")


def test_table_ends_in_a_total_that_is_the_databases(fleet, report):
    [(sessions, energy, duration, cost, without, meters, clocks)] = fleet.rows("""
        SELECT count(*), sum(energy_wh) FILTER (WHERE energy_wh >= 0),
            make_interval(secs => extract(epoch FROM sum(duration) FILTER (WHERE
            duration >= '0 s'))::float8)::text, sum(total_cost), count(*) - count(energy_wh),
            sum((energy_wh < 0)::int), sum((duration < '0 s')::int)
        FROM sessions""")
    assert (meters, clocks) == (2, 1)
    total = (f"total: sessions {sessions}, duration {duration}, energy_wh {energy}, "
             f"total_cost {cost}, without_energy {without}, backwards {meters}, "
             f"stop_before_start {clocks}")
    for by in ([], ["--by", "month"], ["--by", "station,token"]):
        lines = report(*by).stdout.splitlines()
        assert lines[-1] == total and lines[-2] == ""
    assert report("--station", "none").stdout.splitlines() == [lines for lines in report(
        "--station", "none").stdout.splitlines() if lines.startswith("started_at")]


def test_suspicious_ones_come_with_their_reasons(fleet, report):
    found = objects(report, "--suspicious", "--station", "cs3")
    assert [(r["transaction_id"], r["reasons"]) for r in found] == fleet.rows("""
        SELECT transaction_id, reasons FROM suspicious_sessions
        WHERE charge_station_id = 'cs3' ORDER BY partition_time""")
    assert len(found) == 2
    assert "the end is before the start" in report("--suspicious", "--station", "cs3").stdout


# ---- forms ----


def cells(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_is_what_rfc_4180_says(fleet, report):
    # As bytes: line ends are part of it.
    options = [f"--{key}={value}" for key, value in report.settings.items()]
    done = subprocess.run([BINARY, *options, "sessions", "--csv"], capture_output=True)
    text = done.stdout.decode()
    assert done.returncode == 0 and text.endswith("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    rows, as_json = cells(text), objects(report)
    assert list(rows[0]) == list(as_json[0])
    for row, other in zip(rows, as_json, strict=True):
        for name, value in other.items():
            if name in ("id_token", "incomplete", "flags", "complete"):
                continue
            wanted = "" if value is None else format(value, "f") if isinstance(
                value, Decimal) else value
            assert row[name] == wanted, name
        assert row["complete"] == str(other["complete"]).lower()
        assert row["incomplete"] == "; ".join(other["incomplete"])
    # Header and all even if there is nothing.
    assert report("--csv", "--station", "none").stdout.count("\n") == 1


def test_spreadsheets_find_no_formula(report):
    text = report("--csv", "--station", "cs4").stdout
    tokens = {row["transaction_id"]: row["id_token"] for row in cells(text)}
    as_sent = {r["transaction_id"]: r["id_token"] for r in objects(report, "--station", "cs4")}
    assert sorted(as_sent.values()) == sorted(FORMULAS + PLAIN + [HOSTILE])
    for id, sent in as_sent.items():
        if sent in PLAIN:
            assert tokens[id] == sent
        elif sent in FORMULAS:
            assert tokens[id].replace("'", "") == sent.replace("\t", r"\x09").replace("'", "")
    # However the spreadsheet splits lines: no cell begins with what starts a formula.
    for separator in ",;|\t":
        for row in csv.reader(io.StringIO(text), delimiter=separator):
            for cell in row:
                begins = cell.lstrip(" \"")[:1]
                number = cell.lstrip("+-").replace(".", "").isdigit()
                assert begins not in ("=", "+", "-", "@") or number, (separator, cell)


@pytest.mark.parametrize("form", [[], ["--csv"], ["--json"], ["--by", "token"]])
def test_text_of_stations_is_text_on_a_terminal(report, form):
    options = [f"--{key}={value}" for key, value in report.settings.items()]
    done = subprocess.run([BINARY, *options, "sessions", *form], capture_output=True)
    shown = harmless(done.stdout.replace(b"\r\n", b"\n"))
    assert "owned" in shown and "\x1b" not in shown


def on_terminal(settings, columns, *arguments):
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, pack("HHHH", 24, columns, 0, 0))
    options = [f"--{key}={value}" for key, value in settings.items()]
    process = subprocess.Popen([BINARY, *options, *arguments], stdin=subprocess.DEVNULL,
                               stdout=theirs)
    os.close(theirs)
    said = read_terminal(process, ours)
    assert process.wait(rig.HANGS_S) == 0
    return said.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [132, 100])
def test_table_fits_the_terminal(report, columns):
    for arguments in ([], ["--suspicious"], ["--by", "month,station,token"]):
        lines = on_terminal(report.settings, columns, "sessions", *arguments).splitlines()
        table = lines[:lines.index("")]
        assert len(table) > 5 and max(map(len, table)) <= columns, table
    whole = report().stdout.splitlines()
    assert any("no end" in line for line in whole) and max(map(len, whole)) > columns


# ---- limits and errors ----


def peak_kib(settings, *arguments):
    options = [f"--{key}={value}" for key, value in settings.items()]
    # What a build with ASan has freed is memory, too: it keeps little of it.
    asan = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
    process = subprocess.Popen([BINARY, *options, *arguments], stdout=subprocess.DEVNULL,
                               env={**os.environ, "ASAN_OPTIONS": asan})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss


def test_a_period_reads_its_months_only(fleet):
    with open(os.path.join(ROOT, "consumer", "cli", "sql", "sessions.sql")) as f:
        text = f.read()
    for number, value in enumerate(("'2026-02-01Z'", "'2026-03-01Z'", *["NULL"] * 3), 1):
        text = text.replace(f"${number}", value)
    plan = "\n".join(line for (line,) in fleet.rows("EXPLAIN " + text))
    assert set(re.findall(r"transactions_(20\d\d_\d\d|undated)", plan)) == {"2026_02"}, plan


def test_memory_does_not_grow_with_the_sessions(workspace, postgres):
    database = make_database(postgres)
    assert run_cli(database.settings(), "migrate", "up").returncode == 0
    database.rows("SELECT ensure_partition('transactions', '2026-01-15')")
    few, many = 1000, 30000

    def fill(begin, end):
        database.rows("""
            INSERT INTO transactions (charge_station_id, transaction_id, partition_time, flags,
                id_token, started_at, stopped_at, meter_start, meter_stop, merge_state)
            SELECT 'cs' || n %% 1000, n::text, at, 0, 'TOKEN' || n, at, at + interval '1 hour', n,
                n + 1000, '' FROM generate_series(%s::int, %s) n,
                LATERAL (SELECT '2026-01-01'::timestamptz + n * interval '20 s' AS at) t""",
                      begin, end)

    forms = ([], ["--csv"], ["--json"], ["--by", "token"])
    fill(1, few)
    before = [peak_kib(database.settings(), "sessions", *form) for form in forms]
    fill(few + 1, many)
    after = [peak_kib(database.settings(), "sessions", *form) for form in forms]
    assert all(a < b + 4096 for a, b in zip(after, before, strict=True)), (before, after)


@pytest.mark.parametrize("arguments, says", [
    (["--from", "yesterday"], '--from "yesterday" is not a time'), (["--to"], "--to needs a value"),
    (["--from", "2026-11", "--to", "2026-10"], '--from "2026-11" is not before --to "2026-10"'),
    (["--from", "2026-13"], "is not a time"), (["--zone", "Mars/Olympus"], "is not a time zone"),
    (["--by", "year"], "--by"), (["--by", "month,month"], "--by"), (["--station"], "--station"),
    (["--csv", "--json"], "--json"), (["--frob"], "--frob"), (["cs1"], "cs1")])
def test_wrong_arguments_are_named(report, arguments, says):
    done = report(*arguments, code=2)
    assert says in done.stderr and done.stdout == "", done


def test_exit_codes_say_what_is_missing(workspace, postgres, report):
    empty = make_database(postgres)
    done = run_cli(empty.settings(), "sessions")
    assert done.returncode == 5 and "migrate up" in done.stderr, done
    nobody = {**report.settings, "storage.postgres.password": "wrong",
              "storage.postgres.port": str(rig.free_port())}
    assert run_cli(nobody, "sessions").returncode == 4
    with open("/dev/full", "w") as full:
        options = [f"--{key}={value}" for key, value in report.settings.items()]
        done = subprocess.run([BINARY, *options, "sessions"], stdout=full, stderr=subprocess.PIPE,
                              text=True)
    assert done.returncode == 1 and "could not write the report" in done.stderr, done
