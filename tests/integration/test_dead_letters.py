"""Messages set aside: listed, shown, requeued, discarded."""

import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import rig
from conftest import BINARY, needs_failpoints, run_cli, stored
from test_reports import peak_kib

GOOD = (b'{"type":2,"action":"MeterValues","id":"1","request":{"connectorId":1,"meterValue":'
        b'[{"timestamp":"2026-01-31T10:00:00Z","sampledValue":[{"value":"%d"}]}]}}')


@pytest.fixture
def letters(running, migrated, publish):
    """dead-letters with these words; three are there, of two kinds."""
    p = running()
    publish.raw("cs/in/ocpp1.6/cs001", b"\xdd\xff\xff\xff\xff")
    publish.raw("cs/in/ocpp1.6/cs001", b'{"type":2,"action":"\xff')
    publish.raw("cs/in/ocpp1.6/cs002", b"no JSON")
    stored(migrated, 3)

    def command(*words, **kwargs):
        return run_cli(p.settings, "dead-letters", *words, **kwargs)

    return command


def set_aside(database, count):
    """Letters of good messages, as an older version may have left them."""
    database.rows("""
        INSERT INTO ocpp.dead_letters (topic_digest, topic, payload_digest, reason, payload_bytes,
            payload, count, first_received_at, last_received_at, spool, seq, message_index)
        SELECT 1, 'cs/in/ocpp1.6/cs003', n, 'not_understood', 1, convert_to(replace(%s, '%%d',
            n::text), 'UTF8'), 1, '2026-02-01', '2026-02-01', gen_random_uuid(), n, 0
        FROM generate_series(1, %s) n""", GOOD.decode(), count)


def test_list_and_show_say_what_is_known(letters):
    listed = letters("list").stdout.splitlines()
    assert len(listed) == 3 and sum("cs001" in line for line in listed) == 2
    assert len(letters("list", "--station", "cs002").stdout.splitlines()) == 1
    identity = letters("list", "--station", "cs002").stdout.split()[0]
    shown = letters("show", identity)
    assert shown.returncode == 0
    fields = dict(line.split(None, 1) for line in shown.stdout.splitlines() if line)
    assert fields["topic"] == "cs/in/ocpp1.6/cs002" and fields["payload"] == "no JSON"
    assert fields["count"] == "1" and "neither JSON nor msgpack" in fields["detail"]
    assert "error_offset" in letters("show", "--station", "cs001").stdout
    assert letters("show", "0" * 16).returncode == 1


def test_what_is_not_understood_still_comes_back(letters, migrated):
    before = migrated.rows("SELECT topic, payload, reason FROM dead_letters ORDER BY 1, 2, 3")
    done = letters("requeue", "--all")
    assert done.stdout == ("requeued 3: stored 0, duplicate 0, dead-lettered again 3, skipped 0\n"
                           ), done.stderr
    assert migrated.rows("SELECT topic, payload, reason FROM dead_letters"
                         " ORDER BY 1, 2, 3") == before


def test_what_is_understood_now_is_stored_with_its_time(letters, migrated):
    set_aside(migrated, 120)
    done = letters("requeue", "--reason", "not_understood")
    assert "requeued 120: stored 120, " in done.stdout, done.stderr
    assert migrated.rows("SELECT count(*), min(received_at) = '2026-02-01', sum(sampled[1])"
                         " FROM meter_values WHERE charge_station_id = 'cs003'") == [
        (120, True, 120 * 121 // 2)]
    assert migrated.value("SELECT count(*) FROM dead_letters") == 3
    # Once more, as after an interruption: they are known.
    set_aside(migrated, 120)
    assert "stored 0, duplicate 120" in letters("requeue", "--reason", "not_understood").stdout


def test_what_was_not_kept_as_a_whole_cannot_be_requeued(letters, migrated):
    migrated.rows("UPDATE dead_letters SET payload = NULL WHERE charge_station_id = 'cs002'")
    cut = letters("list", "--station", "cs002").stdout.split()[0]
    done = letters("requeue", cut)
    assert done.returncode == 1 and f"{cut} cannot be requeued" in done.stderr, done
    assert done.stdout.startswith("requeued 0: ")
    # Whoever does not choose by id only wants what can be stored.
    done = letters("requeue", "--all")
    assert done.returncode == 0 and "1 of them cannot be requeued" in done.stderr, done
    assert done.stdout.startswith("requeued 2: ")


@needs_failpoints
@pytest.mark.parametrize("call", [3, 10, 17, 24, 31])
def test_requeue_interrupted_loses_nothing(letters, migrated, call):
    set_aside(migrated, 60)
    killed = letters("requeue", "--reason", "not_understood",
                     env={**os.environ, "FAILPOINT": f"fs:{call}:kill"})
    assert killed.returncode == -signal.SIGKILL
    done = letters("requeue", "--reason", "not_understood")
    assert done.returncode == 0, done.stderr
    assert migrated.rows("SELECT count(*), sum(sampled[1]) FROM meter_values") == [
        (60, 60 * 61 // 2)]
    assert migrated.value("SELECT count(*) FROM dead_letters") == 3


def test_requeue_ends_by_a_signal_as_process_1_after_its_messages_are_stored(running, migrated):
    """The kernel ignores signals that process 1 does not handle, as it does not by default."""
    if os.geteuid() != 0:
        pytest.skip("only root may make a process namespace")
    p = running()
    set_aside(migrated, 1)
    migrated.rows("""CREATE FUNCTION public.wait() RETURNS event_trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF current_query() ~ 'TABLE settled' THEN
                PERFORM pg_advisory_xact_lock(4711);
            END IF;
        END $$""")
    migrated.rows("CREATE EVENT TRIGGER wait ON ddl_command_start EXECUTE FUNCTION public.wait()")
    holder = migrated.connect(autocommit=False)
    holder.execute("SELECT pg_advisory_xact_lock(4711)")
    options = [f"--{key}={value}" for key, value in p.settings.items()]
    run = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", BINARY, *options,
                            "dead-letters", "requeue", "--all"], stdout=subprocess.DEVNULL)
    try:
        rig.wait_until(lambda: migrated.value(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 "
            "AND NOT granted") == 1, what="all is stored, and it waits")
        with open(f"/proc/{run.pid}/task/{run.pid}/children") as f:
            os.kill(int(f.read()), signal.SIGTERM)
        assert run.wait(rig.STILL_S) == 128 + signal.SIGTERM
    finally:
        run.kill()
        run.wait()
        holder.rollback()
    assert migrated.value("SELECT count(*) FROM meter_values") == 1


def test_requeue_goes_on_where_somebody_else_removed_the_next_ones(letters, migrated):
    """They are taken in groups of 50: it waits for the first, and the second is gone."""
    set_aside(migrated, 120)
    other = migrated.connect(autocommit=False)
    other.execute("SELECT FROM ocpp.dead_letters WHERE payload_digest = 1 FOR UPDATE")
    with ThreadPoolExecutor() as pool:
        requeue = pool.submit(letters, "requeue", "--reason", "not_understood")
        try:
            rig.wait_until(lambda: migrated.value(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted")
                == 1, what="the requeue that waits")
            other.execute("DELETE FROM ocpp.dead_letters WHERE payload_digest BETWEEN 51 AND 100")
            other.commit()
        finally:
            other.rollback()  # or the pool would wait for ever for the requeue
        done = requeue.result()
    assert done.stdout.startswith("requeued 70: stored 70, "), done
    assert "50 of 120 were removed meanwhile\n" in done.stderr
    assert migrated.value("SELECT count(*) FROM dead_letters") == 3


def test_memory_does_not_grow_with_the_letters(migrated, tmp_path):
    settings = {**migrated.settings(), "spool.dir": str(tmp_path / "spool")}

    def set_aside_large(begin, end):
        migrated.rows("""
            INSERT INTO ocpp.dead_letters (topic_digest, topic, payload_digest, reason,
                payload_bytes, payload, count, first_received_at, last_received_at, spool, seq,
                message_index)
            SELECT 1, 'cs/in/ocpp1.6/cs003', n, 'not_understood', 1000000,
                convert_to(n || repeat(' no JSON', 125000), 'UTF8'), 1, '2026-02-01', '2026-02-01',
                gen_random_uuid(), n, 0
            FROM generate_series(%s::int, %s) n""", begin, end)

    words = (["list"], ["show", "--all"], ["requeue", "--all"])
    set_aside_large(1, 10)
    before = [peak_kib(settings, "dead-letters", *w) for w in words]
    set_aside_large(11, 60)
    after = [peak_kib(settings, "dead-letters", *w) for w in words]
    assert all(a < b + (16 << 10) for a, b in zip(after, before, strict=True)), (before, after)


def test_discard_removes_what_was_chosen(letters, migrated):
    assert letters("discard").returncode == 2  # nothing was said
    assert letters("discard", "--station", "cs001").stdout == "discarded 2\n"
    assert migrated.rows("SELECT charge_station_id FROM dead_letters") == [("cs002",)]


def test_what_there_is_not_is_said(letters):
    unknown = "0123456789abcdef"
    known = letters("list", "--station", "cs002").stdout.split()[0]
    for word in ("show", "list", "requeue", "discard"):
        done = letters(word, unknown)
        assert done.returncode == 1 and f"there is no dead letter {unknown}\n" in done.stderr
    done = letters("show", unknown, known)
    assert done.returncode == 1 and unknown in done.stderr and known in done.stdout
    done = letters("list", "--reason", "nope")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "no dead letter matches\n"
    assert letters("discard", "--all").returncode == 0
    assert letters("list").stderr == "there are no dead letters\n"


def test_without_a_schema_the_exit_code_says_so(database, tmp_path):
    capture = tmp_path / "capture"
    capture.write_text('{"tst":"2026-02-01T12:00:00Z","topic":"cs/in/ocpp1.6/cs1","qos":1,'
                       '"payload":"[2,\\"1\\",\\"Heartbeat\\",{}]"}\n')
    settings = {**database.settings(), "spool.dir": str(tmp_path / "spool")}
    for words in (["verify"], ["dead-letters", "list"],
                  ["dead-letters", "show", "--all"], ["dead-letters", "requeue", "--all"],
                  ["dead-letters", "discard", "--all"], ["replay", str(capture)]):
        done = run_cli(settings, *words)
        assert done.returncode == 5, (words, done.stderr)
        assert "migrate up" in done.stderr
    done = run_cli(settings, "broker", "end-session", "gone")
    assert done.returncode == 5 and "--force" in done.stderr, done
