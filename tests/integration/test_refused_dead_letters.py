"""Table dead_letters accepts nothing: what should be set aside waits, with everything after it; the
program reports what it waits for, and continues by itself once the table accepts rows again."""

import pytest
import rig
from test_pipeline import drained, totals
from test_refused_rows import TIME, tell

BROKEN = b"no JSON"  # becomes a dead letter
SHORT = {"storage.postgres.timeout": "1s"}
TRIGGER = """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    {body}; RETURN NEW; END $$;
    CREATE {kind} TRIGGER refuse {time} INSERT OR UPDATE ON dead_letters {deferred}
    FOR EACH ROW EXECUTE FUNCTION refuse()"""
DROP = "DROP TRIGGER refuse ON dead_letters"


def raises(state):
    return TRIGGER.format(body=f"RAISE EXCEPTION 'nobody' USING ERRCODE = '{state}'", kind="",
                          time="BEFORE", deferred=""), DROP


def at_commit(body):
    return TRIGGER.format(body=body, kind="CONSTRAINT", time="AFTER",
                          deferred="DEFERRABLE INITIALLY DEFERRED"), DROP


REFUSED = {state: raises(state) for state in (
    "P0001", "42501", "23505", "53100", "57P01", "OC002")}
REFUSED["policy"] = ("ALTER TABLE dead_letters ENABLE ROW LEVEL SECURITY",
                     "ALTER TABLE dead_letters DISABLE ROW LEVEL SECURITY")
REFUSED["check"] = ("ALTER TABLE dead_letters ADD CONSTRAINT none CHECK (false) NOT VALID",
                    "ALTER TABLE dead_letters DROP CONSTRAINT none")
REFUSED["at COMMIT"] = at_commit("RAISE EXCEPTION 'nobody'")
REFUSED["connection"] = at_commit("PERFORM pg_terminate_backend(pg_backend_pid())")
REFUSED["slow"] = (TRIGGER.format(body="PERFORM pg_sleep(3600)", kind="", time="BEFORE",
                                  deferred=""), DROP)


def is_named(p):
    return [e for e in p.lines() if e.get("reason") == "dead_letters_refused"]


@pytest.mark.parametrize("name", REFUSED)
def test_table_that_takes_no_dead_letter_is_named_and_waited_for(running, migrated, publish, name):
    broken, fixed = REFUSED[name]
    p = running(SHORT)
    sent = tell(publish, [0])
    drained(migrated, sent)
    with migrated.connect() as c:
        c.execute(broken)
    publish.raw("cs/in/ocpp1.6/cs001", BROKEN)
    sent += tell(publish, range(2, 5)) + 1
    rig.wait_until(lambda: is_named(p), what=lambda: rig.tail(p.log))
    said = is_named(p)[0]
    assert said["event"] in ("batch_failed", "database_lost") and said["heals"] == "by_a_person"
    assert "dead_letters" in said["msg"] and "dead_letters" in said["hint"]
    if name in ("P0001", "42501", "at COMMIT"):
        assert "nobody" in said["msg"]
    # While it makes another attempt it is ready, so this has to be waited for.
    rig.wait_until(lambda: p.http("/readyz") == (
        503, "the database refuses a batch: dead_letters_refused\n"),
        what=lambda: p.http("/readyz"))
    assert migrated.value("SELECT count(*) FROM dead_letters") == 0
    assert migrated.value("SELECT count(*) FROM dead_letters_beyond") == 0
    with migrated.connect() as c:
        c.execute(fixed)
    drained(migrated, sent)
    assert totals(migrated) == (sent, sent - 1, 0, 1)
    rig.wait_until(lambda: p.http("/readyz") == (200, "ready\n"), what=lambda: p.http("/readyz"))


def test_message_that_is_refused_and_cannot_be_set_aside_waits(running, migrated, publish):
    with migrated.connect() as c:
        c.execute(raises("P0001")[0])
        c.execute("""CREATE FUNCTION one() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.charge_station_id = 'bad' THEN RAISE EXCEPTION 'not this one'; END IF;
            RETURN NEW; END $$;
            CREATE TRIGGER one BEFORE INSERT ON meter_values FOR EACH ROW EXECUTE FUNCTION one()""")
    p = running(SHORT)
    publish.call("bad", "MeterValues", {"connectorId": 1, "meterValue": [
        {"timestamp": TIME, "sampledValue": [{"value": "1"}]}]})
    sent = tell(publish, [0]) + 1
    rig.wait_until(lambda: is_named(p), what=lambda: rig.tail(p.log))
    with migrated.connect() as c:
        c.execute(DROP)
    drained(migrated, sent)
    assert totals(migrated) == (sent, sent - 1, 0, 1)


def test_trouble_that_passes_is_no_fault_of_the_table(running, migrated, publish):
    """Somebody locks it for themselves, and is done after a while."""
    with migrated.connect() as c:
        c.execute(f"ALTER DATABASE {migrated.name} SET lock_timeout = '200ms'")
    p = running()
    holder = migrated.connect(autocommit=False)
    holder.execute("LOCK TABLE dead_letters IN ACCESS EXCLUSIVE MODE")
    publish.raw("cs/in/ocpp1.6/cs001", BROKEN)
    tries = 12
    rig.wait_until(lambda: p.metric("ocpp_persister_batches_failed_total") > tries,
                   what=lambda: rig.tail(p.log))
    assert p.events("batch_failed", reason="locked") and not is_named(p), rig.tail(p.log)
    holder.rollback()
    drained(migrated, 1)
    assert totals(migrated) == (1, 0, 0, 1)
