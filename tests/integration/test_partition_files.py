"""`partitions archive`, and `replay` of what it wrote: nothing is lost, whatever happens."""

import datetime
import json
import os
import pty
import re
import subprocess
import threading
import time

import psycopg
import pytest
import rig
from conftest import BINARY, make_database, needs_failpoints, read_terminal, run_cli

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = (NOW - datetime.timedelta(days=100)).replace(hour=10, minute=0, second=0, microsecond=0)
TABLES = ("meter_values", "transaction_events", "authorizations", "ocpp_events", "transactions",
          "transaction_starts", "transaction_keys", "meter_value_layouts")


def at(seconds):
    return f"{DAY + datetime.timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def value(seconds, *values):
    return {"timestamp": at(seconds), "sampledValue": list(values)}


def exchange(seconds, number, action, request, answer):
    return [(seconds, "1.6", [2, f"{number}", action, request]),
            (seconds + 1, "1.6", [3, f"{number}", answer])]


def frames():
    """Everything that has a partition, from one station: ids used twice, text that cannot be
    stored as it is, values that are signed or not numbers."""
    accepted = {"status": "Accepted", "parentIdTag": "GROUP", "expiryDate": at(99999)}
    energy = {"value": "0.10000", "measurand": "Energy.Active.Import.Register", "unit": "kWh"}
    odd = [{"value": "warm", "measurand": "Temperature"}, {"value": "-1e-3", "phase": "L1"},
           {"format": "SignedData", "value": "a2b4"}]
    sent = exchange(0, 1, "BootNotification", {
        "chargePointVendor": "V\u0000", "chargePointModel": "ü 💡"}, {
        "status": "Accepted", "currentTime": at(0), "interval": 300})
    sent += exchange(2, 2, "Authorize", {"idTag": "ALICE"}, {"idTagInfo": accepted})
    for number, begin in ((10, 10), (20, 5000)):
        sent += exchange(begin, number, "StartTransaction", {
            "connectorId": 1, "idTag": "ALICE", "meterStart": begin, "timestamp": at(begin)}, {
            "transactionId": 7, "idTagInfo": accepted})
        sent += exchange(begin + 60, number + 1, "MeterValues", {
            "connectorId": 1, "transactionId": 7, "meterValue": [
                value(begin + 60, energy), value(begin + 61, *odd)]}, {})
        sent += exchange(begin + 120, number + 2, "StopTransaction", {
            "transactionId": 7, "meterStop": begin + 500, "timestamp": at(begin + 120),
            "reason": "Remote", "transactionData": [value(begin + 120, energy)]}, {})
    for number, kind in enumerate(("Started", "Updated", "Ended")):
        sent.append((200 + number, "2.0.1", [2, f"e{number}", "TransactionEvent", {
            "eventType": kind, "timestamp": at(200 + number), "seqNo": number,
            "triggerReason": "Authorized", "transactionInfo": {"transactionId": "T-1"},
            "cableMaxCurrent": 16.5, "offline": True, "evse": {"id": 2, "connectorId": 1},
            "meterValue": [value(200 + number, {"value": 1.25, "context": "Sample.Periodic"})]}]))
    return sent


def lines(stations=3):
    return "".join(f"{at(seconds)} cs{station} {version} {json.dumps(frame)}\n"
                   for station in range(stations) for seconds, version, frame in frames())


def replay(database, *arguments, code=0, **kwargs):
    done = run_cli(database.settings(), "replay", *map(str, arguments), **kwargs)
    assert done.returncode == code, done
    return done


def fill(database, stations=3):
    replay(database, "--lines", "{time} {station} {version} {frame}", "-", input=lines(stations))
    wanted = dict(database.rows(" UNION ALL ".join(
        f"SELECT '{table}', count(*) FROM {table}" for table in TABLES)))
    assert all(wanted.values()), wanted
    assert database.value("SELECT count(*) FROM transactions WHERE start_key <> ''") == 2 * stations


def contents(database, tables=TABLES):
    """{table: its rows with every column, sorted, and where each is}."""
    def rows(table):
        return database.rows(f"SELECT tableoid::regclass, t::text FROM {table} t ORDER BY t::text")

    return {table: rows(table) for table in tables}


@pytest.fixture
def archive(migrated, tmp_path):
    """archive(...): `partitions archive` to archive.folder, as a writer that owns nothing."""
    folder = tmp_path / "archive"
    folder.mkdir()

    def run(*arguments, older="30d", code=0, **kwargs):
        done = run_cli(migrated.writer_settings(), "partitions", "archive", "--older-than", older,
                       "--to", str(folder), *arguments, **kwargs)
        assert code is None or done.returncode == code, done
        return done

    run.folder = folder
    run.files = lambda: sorted(p.name for p in folder.iterdir())
    return run


def gone(database):
    """All is archived: nothing of it is left, not even keys once they are pruned. (That of an id
    which was used again stands for no row, and stays.)"""
    database.value("SELECT prune_transaction_keys(1000)")
    assert not any(contents(database, TABLES[:-2]).values())
    assert database.value("SELECT bool_and(split) FROM transaction_keys")
    assert database.value("SELECT count(*) FROM partition_list() WHERE state = 'retired'") == 0


def test_what_was_archived_comes_back_as_it_was(migrated, archive, postgres):
    fill(migrated)
    before = contents(migrated)
    would = archive("--dry-run").stdout
    assert contents(migrated) == before and archive.files() == []
    done = archive()
    parents = {line.split()[1].rsplit("_20", 1)[0] for line in done.stdout.splitlines()}
    assert parents == set(TABLES) - {"transaction_keys", "meter_value_layouts"}
    assert [line.split(" (")[0].split()[-1] for line in would.splitlines()] == [
        line.split(" (")[0].split()[-1] for line in done.stdout.splitlines()]
    assert all(name.endswith(".copy.zst") for name in archive.files())
    assert f"meter_values_{DAY:%Y_%m_%d}.copy.zst" in archive.files()
    gone(migrated)
    assert run_cli(migrated.settings(), "verify").returncode == 0
    for stored in (True, False):
        done = replay(migrated, archive.folder)
        rows = [line.split(": ")[1].split() for line in done.stdout.splitlines()]
        assert len(rows) == len(archive.files())
        assert all(row[0] == (row[3] if stored else "0") for row in rows), done.stdout
        assert contents(migrated) == before
    assert run_cli(migrated.settings(), "verify").returncode == 0
    # Nothing else is needed: also into a database that never saw any of it.
    other = make_database(postgres)
    run_cli(other.settings(), "migrate", "up")
    replay(other, archive.folder)
    found = contents(other)
    assert found == before
    # What it made goes on as if nothing had been: the same messages change nothing.
    replay(other, "--lines", "{time} {station} {version} {frame}", "-", input=lines())
    assert contents(other, ("transactions", "transaction_events")) == {
        table: before[table] for table in ("transactions", "transaction_events")}
    other.close()


def test_file_is_read_by_zstd_and_psql_alone(migrated, archive):
    fill(migrated, stations=1)
    before = contents(migrated, ("meter_values",))
    archive("--table", "meter_values")
    name, = archive.files()
    text = (archive.folder / name).read_bytes()[:4000].decode(errors="replace")
    head = [line.split("\t") for line in text[8:].split("xxh3")[0].splitlines()]
    assert head[0] == ["ocpp-persister partition 1"] and ["table", "meter_values"] in head
    columns = [line[1] for line in head if line[0] == "column"]
    assert ["column", "sampled", "numeric[]"] in head
    copied = subprocess.run(["zstd", "-q", "-dc", archive.folder / name], capture_output=True,
                            check=True).stdout
    session = migrated.connect()
    session.execute("SELECT ensure_partition('meter_values', %s)", (DAY,))
    with session.cursor().copy(f"COPY meter_values ({', '.join(columns)}) FROM STDIN "
                               "(FORMAT binary)") as copy:
        copy.write(copied)
    assert contents(migrated, ("meter_values",)) == before
    with open(archive.folder / name, "rb") as file:
        assert ": 0 of its " in replay(migrated, "-", stdin=file).stdout


def test_file_in_a_pipe_is_recognised_and_refused(migrated, archive):
    """It is read twice. Other input from a pipe is read as before."""
    fill(migrated)
    archive("--table", "meter_values")
    path = str(archive.folder / archive.files()[0])
    for way in ("-", "/dev/stdin", "/dev/fd/0"):
        with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
            done = replay(migrated, way, code=1, stdin=cat.stdout)
        assert f'"{way}" is a partition file in a pipe' in done.stderr, done
        assert "replay - < FILE" in done.stderr and done.stdout == ""
    with open(path, "rb") as file:
        assert ": 0 of its " not in replay(migrated, "/dev/stdin", stdin=file).stdout


def test_partition_without_rows_makes_no_file(migrated, archive):
    session = migrated.connect()
    session.execute("SELECT ensure_partition('meter_values', %s)", (DAY,))
    name = f"meter_values_{DAY:%Y_%m_%d}"
    done = archive("--table", "meter_values")
    assert done.stdout == f"dropped {name} (0 rows: no file)\n"
    assert archive.files() == []
    assert migrated.rows("SELECT name FROM partition_list() WHERE name LIKE %s", name + "%") == []


@needs_failpoints
def test_interrupted_anywhere_it_goes_on(migrated, archive):
    """Killed at each file operation in turn, of one table and then of the next. Keys that an
    archive will want are not pruned meanwhile."""
    fill(migrated, stations=1)
    before = contents(migrated)
    kills = 0
    while True:
        done = archive(code=None, env={**os.environ, "FAILPOINT": f"fs:{kills + 1}:kill"})
        migrated.value("SELECT prune_transaction_keys(1000)")
        if done.returncode == 0:
            break
        assert done.returncode == -9, done
        kills += 1
    assert kills > 10
    archive()
    gone(migrated)
    assert len(archive.files()) == len(set(archive.files())) == 6, archive.files()
    replay(migrated, archive.folder)
    assert contents(migrated) == before


@needs_failpoints
@pytest.mark.parametrize("fault", ["EIO", "short"])
def test_disk_that_fails_loses_nothing(migrated, archive, fault):
    fill(migrated, stations=1)
    before = contents(migrated)
    failures = 0
    while failures < 40:
        done = archive("--table", "meter_values", code=None, env={
            **os.environ, "FAILPOINT": f"fs:{failures + 1}:{fault}"})
        if done.returncode == 0:
            break
        assert done.returncode == 1 and "error: " in done.stderr, done
        failures += 1
    assert failures > 5
    replay(migrated, archive.folder)
    assert contents(migrated) == before


@needs_failpoints
def test_file_that_cannot_be_read_is_not_taken_for_another_kind(migrated, archive):
    """Nor replayed as if its lines were messages: each of the first reads fails in turn, including
    those that find out what it is."""
    fill(migrated, stations=1)
    archive("--table", "meter_values")
    path = str(archive.folder / archive.files()[0])
    for call in range(1, 5):
        done = replay(migrated, path, code=1, env={**os.environ, "FAILPOINT": f"fs:{call}:EIO"})
        assert 'error: could not ' in done.stderr and path in done.stderr, (call, done)
        assert "unreadable" not in done.stderr, (call, done)
    assert replay(migrated, path).returncode == 0


def test_file_that_is_there_is_never_replaced(migrated, archive):
    fill(migrated, stations=1)
    before = contents(migrated)
    name = f"meter_values_{DAY:%Y_%m_%d}"
    mine = archive.folder / f"{name}.copy.zst"
    mine.write_text("of somebody else")
    archive("--table", "meter_values")
    second = archive.folder / f"{name}-2.copy.zst"
    kept = second.read_bytes()
    replay(migrated, second)
    archive("--table", "meter_values")
    assert mine.read_text() == "of somebody else" and second.read_bytes() == kept
    # A late row makes another partition, and that another file.
    replay(migrated, "--lines", "{time} {station} {version} {frame}", "-", input=(
        f"{at(7000)} cs0 1.6 " + json.dumps([2, "x", "MeterValues", {
            "connectorId": 1, "meterValue": [value(7000, {"value": "1"})]}]) + "\n"))
    archive("--table", "meter_values")
    assert archive.files() == sorted([mine.name, second.name, f"{name}-3.copy.zst"])
    replay(migrated, second, archive.folder / f"{name}-3.copy.zst")
    assert len(contents(migrated)["meter_values"]) == len(before["meter_values"]) + 1


def test_rows_that_a_policy_hides_are_no_reason_to_drop_them(migrated, archive):
    fill(migrated, stations=1)
    before = contents(migrated, ("meter_values",))
    name = f"meter_values_{DAY:%Y_%m_%d}"
    admin = migrated.connect()
    admin.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
    done = archive("--table", "meter_values", code=4)
    assert "row-level security" in done.stderr and done.stdout == "", done
    retired = migrated.value("SELECT name FROM partition_list() WHERE state = 'retired'")
    admin.execute(f"ALTER TABLE {retired} DISABLE ROW LEVEL SECURITY")
    archive("--table", "meter_values")
    replay(migrated, archive.folder)
    assert contents(migrated, ("meter_values",)) == before


def test_pipe_with_the_name_of_a_file_is_not_waited_for(migrated, archive):
    fill(migrated, stations=1)
    name = f"meter_values_{DAY:%Y_%m_%d}"
    os.mkfifo(archive.folder / f"{name}.copy.zst")
    archive("--table", "meter_values")
    assert archive.files() == [f"{name}-2.copy.zst", f"{name}.copy.zst"]


def test_interrupted_before_the_drop_finds_its_file(migrated, archive):
    fill(migrated, stations=1)
    name = f"authorizations_{DAY:%Y_%m}"
    session = psycopg.connect(migrated.dsn(), autocommit=True)
    retired = session.execute("SELECT ocpp.retire_partition('authorizations', %s)",
                              (name,)).fetchone()[0]
    session.execute(f"CREATE TABLE public.copied AS TABLE ocpp.{retired}")
    first = archive("--table", "authorizations").stdout
    assert f"archived {retired} (1 rows, " in first and f" to {archive.folder}/{name}" in first
    # As it was before the drop.
    session.execute("SELECT ocpp.ensure_partition('authorizations', %s)", (DAY,))
    session.execute(f"INSERT INTO ocpp.{name} TABLE public.copied")
    again = archive("--table", "authorizations").stdout
    assert f"archived {name} (1 rows, " in again and f" was in {archive.folder}/{name}" in again
    assert archive.files() == [f"{name}.copy.zst"]
    session.close()


def test_drop_leaves_what_an_interrupted_archive_has_retired(migrated, archive):
    fill(migrated, stations=1)
    session = psycopg.connect(migrated.dsn(), autocommit=True)
    session.execute("SELECT ocpp.retire_partition('meter_values', %s)",
                    (f"meter_values_{DAY:%Y_%m_%d}",))
    session.close()
    drop = ["partitions", "drop", "--table", "meter_values", "--older-than"]
    assert run_cli(migrated.writer_settings(), *drop, "365d").stdout == ""
    assert run_cli(migrated.writer_settings(), *drop, "30d").stdout.startswith("dropped ")


def test_damaged_files_are_refused_whole_and_the_others_are_not(migrated, archive):
    fill(migrated, stations=1)
    before = contents(migrated)
    archive()
    gone(migrated)
    values = archive.folder / f"meter_values_{DAY:%Y_%m_%d}.copy.zst"
    whole = values.read_bytes()
    middle = len(whole) * 2 // 3
    for damaged, says in (
            (whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1:], "at byte "),
            (whole[:-1], "at byte "), (whole[:middle], "at byte "),
            (whole + b"\0", f"at byte {len(whole)}: there is more after its end")):
        values.write_bytes(damaged)
        done = replay(migrated, values, code=1)
        assert f'"{values}" is damaged {says}' in done.stderr, done.stderr
        assert contents(migrated)["meter_values"] == []
    for rest in (b"", whole[:3]):
        values.write_bytes(rest)
        done = replay(migrated, values, code=1)
        assert f'"{values}" is not a partition file' in done.stderr, done.stderr
    done = replay(migrated, archive.folder, code=1)
    assert done.stdout.count("restored ") == len(archive.files()) - 1
    after = contents(migrated)
    assert after.pop("meter_values") == [] and all(after[table] == before[table] for table in after)
    dry = replay(migrated, "--dry-run", archive.folder, code=1)
    assert dry.stdout.count("would restore ") == len(archive.files()) - 1
    values.write_bytes(whole)
    replay(migrated, archive.folder)
    assert contents(migrated) == before


def test_messages_beside_a_damaged_partition_file_are_named(migrated, archive, tmp_path):
    fill(migrated, stations=1)
    archive()
    values = archive.folder / f"meter_values_{DAY:%Y_%m_%d}.copy.zst"
    whole = values.read_bytes()
    values.write_bytes(whole[:-1])
    capture = tmp_path / "capture"
    capture.write_text('{"tst":"2026-02-01T12:00:00Z","topic":"cs/in/ocpp1.6/cs1","qos":1,'
                       '"payload":"[2,\\"1\\",\\"Heartbeat\\",{}]"}\n')
    done = replay(migrated, archive.folder, capture, code=1)
    assert "the files with messages (1) were not read" in done.stderr
    assert " records, " not in done.stdout
    # Their size counts alone, without that of partition files.
    values.write_bytes(whole)
    ours, theirs = pty.openpty()
    options = [f"--{key}={value}" for key, value in migrated.settings().items()]
    with subprocess.Popen([BINARY, *options, "replay", str(archive.folder), str(capture)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=theirs) as process:
        os.close(theirs)
        said = read_terminal(process, ours)
    assert process.returncode == 0
    assert re.findall(rb"(\d+)%", said)[-1:] == [b"100"], said


# What is done to the schema, and undone; what is said; what rows have in the column that was added.
CHANGES = [
    ("UPDATE schema_migrations SET version = version - 1",
     "UPDATE schema_migrations SET version = version + 1", 5, "`ocpp-persister migrate up`", None),
    ("UPDATE schema_migrations SET version = version + 1",
     "UPDATE schema_migrations SET version = version - 1", 5, "run the newer program", None),
    ("ALTER TABLE transactions ADD added integer NOT NULL", "ALTER TABLE transactions DROP added",
     1, 'it lacks column "added", which cannot be NULL in table "transactions"', None),
    ("ALTER TABLE transactions ADD added text", "ALTER TABLE transactions DROP added", 0, "",
     "NULL"),
    ("ALTER TABLE transactions ADD added integer NOT NULL DEFAULT 3",
     "ALTER TABLE transactions DROP added", 0, "", "3"),
    ("ALTER TABLE transactions DROP COLUMN seq_no_stop CASCADE", "", 1,
     'its column "seq_no_stop" is not in table "transactions"', None),
    ("ALTER TABLE transactions ADD seq_no_stop bigint", "", 1,
     'its column "seq_no_stop" is integer, and that of table "transactions" is bigint', None),
]


def test_file_of_another_schema(migrated, archive):
    fill(migrated, stations=1)
    rows = "SELECT transaction_id, started_at, meter_stop FROM transactions ORDER BY 1, 2"
    before = migrated.rows(rows)
    archive("--table", "transactions")
    for change, undo, code, says, added in CHANGES:
        migrated.rows(change)
        done = replay(migrated, archive.folder, code=code)
        assert says in done.stderr, change
        assert migrated.rows(rows) == (before if code == 0 else []), change
        if code == 0:
            assert migrated.value("SELECT count(*) FROM transactions "
                                  f"WHERE added IS DISTINCT FROM {added}") == 0
        migrated.rows("DELETE FROM transactions")
        if undo:
            migrated.rows(undo)


def test_transaction_that_was_made_anew_is_not_there_twice(migrated, archive):
    """A late event came after the archive. Its row stays; the file has the other one."""
    fill(migrated, stations=1)
    archive("--table", "transactions")
    migrated.value("SELECT prune_transaction_keys(1000)")
    late = json.dumps([2, "late", "TransactionEvent", {
        "eventType": "Updated", "timestamp": at(40 * 86400), "seqNo": 9, "triggerReason": "Trigger",
        "transactionInfo": {"transactionId": "T-1"}}])
    replay(migrated, "--lines", "{time} {station} {version} {frame}", "-",
           input=f"{at(40 * 86400)} cs0 2.0.1 {late}\n")
    anew = migrated.rows("SELECT t::text FROM transactions t")
    done = replay(migrated, archive.folder)
    assert "left out: 1 whose transaction has a row with another time" in done.stdout
    assert migrated.rows("SELECT t::text FROM transactions t WHERE transaction_id = 'T-1'") == anew
    assert migrated.value("SELECT count(*) FROM transactions WHERE transaction_id = '7'") == 2


def test_row_that_says_less_than_the_file_is_replaced(migrated, archive):
    """Messages were replayed in part after the archive: what they say is not doubled, and what else
    the file says is not lost. What contradicts the file stays, and is counted."""
    accepted = {"idTagInfo": {"status": "Accepted"}}
    sent = exchange(0, 1, "Authorize", {"idTag": "BOB"}, accepted)
    sent += exchange(10, 2, "StartTransaction", {
        "connectorId": 1, "idTag": "BOB", "meterStart": 0, "timestamp": at(10)}, {
        "transactionId": 8, **accepted})
    sent += exchange(600, 3, "StopTransaction", {
        "transactionId": 8, "meterStop": 5000, "timestamp": at(600)}, {})

    def store(messages):
        replay(migrated, "--lines", "{time} {station} {version} {frame}", "-", input="".join(
            f"{at(seconds)} cs {version} {json.dumps(frame)}\n"
            for seconds, version, frame in messages))

    def facts():
        return contents(migrated, TABLES[:4]), migrated.rows(
            "SELECT to_jsonb(t) - 'updated_at' FROM transactions t"), migrated.rows(
            "SELECT k::text FROM transaction_keys k")

    store(sent)
    before = facts()
    archive()
    migrated.value("SELECT prune_transaction_keys(1000)")
    assert not any(facts()[0].values()) and facts()[1:] == ([], [])
    store([sent[0], *sent[2:4]])
    assert migrated.rows("SELECT meter_stop FROM transactions") == [(None,)]
    assert migrated.rows("SELECT status FROM authorizations") == [(None,)]
    said = replay(migrated, archive.folder).stdout
    assert "left out" not in said and facts() == before, said
    assert f"transactions_{DAY:%Y_%m}.copy.zst: 1 of its 1 rows\n" in said, said
    assert ": 0 of its 1 rows; the others were already there" in replay(
        migrated, archive.folder).stdout
    assert facts() == before
    # What says something else is not overwritten, however little it says.
    migrated.rows("UPDATE transactions SET meter_start = 1, meter_stop = NULL")
    migrated.rows("UPDATE authorizations SET status = 'Blocked'")
    kept = facts()
    said = replay(migrated, archive.folder).stdout
    assert said.count("  left out: 1 whose row in the database says something else\n") == 2, said
    assert ": 0 of its 1 rows\n" in said and facts() == kept
    said = replay(migrated, "--json", archive.folder).stdout
    assert [(line["table"], line["left_out"]) for line in map(json.loads, said.splitlines())
            if line["left_out"]] == [("authorizations", 1), ("transactions", 1)]


def test_late_event_that_the_file_misses_is_kept(migrated, archive):
    """A row cannot be merged with that of a file: one that misses no event takes in whatever the
    table has of it, and one that misses some would undo what came late."""
    def events(transaction, numbers):
        return [f"{at(number)} cs 2.0.1 " + json.dumps([2, f"{transaction}{number}",
                "TransactionEvent", {
                    "eventType": "Updated" if number else "Started", "timestamp": at(number),
                    "seqNo": number, "triggerReason": "ChargingStateChanged", "evse": {"id": 1},
                    "transactionInfo": {
                        "transactionId": transaction,
                        "chargingState": "SuspendedEV" if number == 5 else "Charging"}}]) + "\n"
                for number in numbers]

    def store(*lines):
        replay(migrated, "--lines", "{time} {station} {version} {frame}", "-",
               input="".join(line for part in lines for line in part))

    def rows():
        return migrated.rows("SELECT transaction_id, seq_no_missing, charging_state "
                             "FROM transactions ORDER BY 1")

    store(events("whole", range(9)), events("gap", [0, 1, 2, 3, 4, 6, 7, 8]))
    assert rows() == [("gap", 1, "Charging"), ("whole", 0, "Charging")]
    archive()
    migrated.value("SELECT prune_transaction_keys(1000)")
    store(events("whole", [0, 5]), events("gap", [0, 5]))
    assert rows() == [("gap", 4, "SuspendedEV"), ("whole", 4, "SuspendedEV")]
    said = replay(migrated, archive.folder).stdout
    assert rows() == [("gap", 4, "SuspendedEV"), ("whole", 0, "Charging")], said
    assert said.count("  left out: 1 whose row in the database says something else\n") == 1, said
    # What the CSMS said later is not in the file, which stays true.
    migrated.rows("UPDATE transactions SET total_cost = 5 WHERE transaction_id = 'whole'")
    again = replay(migrated, archive.folder).stdout
    assert again.count("  left out: 1 whose row") == 1 and "left out: 2" not in again, again
    assert migrated.value("SELECT total_cost FROM transactions WHERE transaction_id = 'whole'") == 5


def test_restore_waits_for_no_partition_that_has_none_of_its_rows(migrated, archive):
    """A file of several days, which has rows of one."""
    day = DAY.replace(hour=0)
    days = [day + datetime.timedelta(days=number) for number in range(3)]
    admin, locker = migrated.connect(), migrated.connect(autocommit=False)
    admin.execute(f"CREATE TABLE days PARTITION OF meter_values "
                  f"FOR VALUES FROM ('{days[0]}') TO ('{days[2]}')")
    admin.execute("SELECT grant_partition('days', 'meter_values')")
    fill(migrated, stations=1)
    archive("--table", "meter_values")
    replay(migrated, archive.folder)
    admin.execute("SELECT ensure_partition('meter_values', %s)", (days[1],))
    locker.execute(f"LOCK TABLE meter_values_{days[1]:%Y_%m_%d}")
    said = replay(migrated, archive.folder, timeout=rig.STILL_S).stdout
    assert "; the others were already there" in said and "left out" not in said, said


WORDS = [
    (["partitions", "archive", "--to", "DIR"], 2, "archive needs --older-than"),
    (["partitions", "archive", "--older-than", "90d"], 2, "archive needs a folder: --to DIR"),
    (["partitions", "archive", "--older-than", "90d", "--to", "DIR/no"], 1,
     "could not open the folder"),
    (["replay", "--station", "cs0", "FILE"], 2, "is a partition file, which is restored whole"),
    (["replay", "--publish", "mqtt://127.0.0.1:1", "FILE"], 2, "is a partition file"),
    (["replay", "DIR/no.copy.zst"], 1, "could not open"),
]


def test_wrong_words_are_answered(migrated, archive):
    fill(migrated, stations=1)
    archive("--table", "authorizations")
    file = str(archive.folder / archive.files()[0])
    for arguments, code, says in WORDS:
        done = run_cli(migrated.settings(), *(
            argument.replace("DIR", str(archive.folder)).replace("FILE", file)
            for argument in arguments))
        assert done.returncode == code and says in done.stderr, done


def test_two_that_archive_wait_for_each_other(migrated, archive):
    fill(migrated, stations=1)
    session = psycopg.connect(migrated.dsn())
    session.execute("SELECT pg_advisory_lock(hashtext('ocpp-persister retention'), 0)")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(archive()))
    thread.start()
    rig.wait_until(lambda: migrated.value(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%try_advisory_lock%retention%'"
        " AND datname = current_database() AND pid <> pg_backend_pid()") == 1,
        rig.STILL_S, "the archive asks whether it may")
    assert archive.files() == []
    session.close()
    thread.join(rig.HANGS_S)
    assert "waiting: another process drops or archives partitions" in answers[0].stderr
    gone(migrated)


def longest_inserts(database, while_doing):
    """{"meter_values": s, "control": s}: how long inserts took at most while that was done."""
    worst, counts, ended = {}, {}, threading.Event()

    def write(name, sql):
        session = database.connect()
        worst[name] = counts[name] = 0
        while not ended.is_set():
            begun = time.monotonic()
            session.execute(sql, (counts[name],))
            worst[name] = max(worst[name], time.monotonic() - begun)
            counts[name] += 1

    threads = [threading.Thread(target=write, args=arguments) for arguments in (
        ("control", "INSERT INTO public.control VALUES (%s)"),
        ("meter_values", """INSERT INTO meter_values (charge_station_id, event_time, received_at,
            digest, layout_id, evse_id, flags, time_source, source, sampled)
            VALUES ('writer', now(), now(), %s, 0, 1, 0, 's', 'M', '{}')"""))]
    for thread in threads:
        thread.start()
    while_doing()
    ended.set()
    for thread in threads:
        thread.join(rig.HANGS_S)
    rows = database.value("SELECT count(*) FROM meter_values WHERE charge_station_id = 'writer'")
    assert rows == counts["meter_values"] > 0
    return worst


def test_writers_do_not_wait_for_an_archive(migrated, archive):
    """Rows go into the table all the time; for a while a reader has all of it. Waiting for the
    processor counts as waiting, too, so the best of three runs decides."""
    fill(migrated)
    admin, reader = migrated.connect(), migrated.connect(autocommit=False)
    admin.execute("SELECT ensure_partition('meter_values', now())")
    admin.execute("CREATE TABLE public.control (n int)")
    before = contents(migrated)
    failed = "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()"

    def archived():
        answers = []
        thread = threading.Thread(target=lambda: answers.append(archive()))
        tried = migrated.value(failed)
        thread.start()
        rig.wait_until(lambda: migrated.value(failed) >= tried + 3, rig.STILL_S, "three tries")
        reader.rollback()
        thread.join(rig.HANGS_S)
        assert answers[0].stdout.count("archived ") == 6

    for _ in range(3):
        reader.execute("SELECT count(*) FROM meter_values")
        worst = longest_inserts(migrated, archived)
        admin.execute("DELETE FROM meter_values WHERE charge_station_id = 'writer'")
        replay(migrated, archive.folder)
        assert contents(migrated) == before
        print(f"longest insert: {1000 * worst['meter_values']:.0f} ms beside the archive, "
              f"{1000 * worst['control']:.0f} ms into a table that nobody touches")
        if 1000 * (worst["meter_values"] - worst["control"]) <= 100:
            return
    assert False, "writers waited for longer than 100 ms, three times"
