"""Messages refused because something is wrong with the database, not with a row: they wait, none
becomes a dead letter, and they are stored once the database accepts them."""

import pytest
import rig
from test_pipeline import drained, totals
from test_refused_rows import LEAF, STATIONS, tell

REFUSED = [
    ("REVOKE INSERT ON meter_values, {leaf} FROM ocpp_writer",
     "GRANT INSERT ON meter_values, {leaf} TO ocpp_writer"),
    ("REVOKE INSERT ON {leaf} FROM ocpp_writer", "GRANT INSERT ON {leaf} TO ocpp_writer"),
    ("REVOKE INSERT, UPDATE ON connector_status FROM ocpp_writer",
     "GRANT INSERT, UPDATE ON connector_status TO ocpp_writer"),
    ("REVOKE UPDATE ON ingest_progress FROM ocpp_writer",
     "GRANT UPDATE ON ingest_progress TO ocpp_writer"),
    ("ALTER TABLE connector_status RENAME TO away", "ALTER TABLE away RENAME TO connector_status"),
    ("ALTER TABLE exchange_halves RENAME TO away", "ALTER TABLE away RENAME TO exchange_halves"),
    ("ALTER TABLE {leaf} ENABLE ROW LEVEL SECURITY",
     "ALTER TABLE {leaf} DISABLE ROW LEVEL SECURITY"),
] + [(f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          RAISE EXCEPTION 'nobody' USING ERRCODE = '{state}'; END $$;
          CREATE TRIGGER refuse BEFORE INSERT ON meter_values
          FOR EACH ROW EXECUTE FUNCTION refuse()""", "DROP TRIGGER refuse ON meter_values")
     for state in ("42501", "0A000", "55000", "XX000", "42P01")]
OUTAGES = [
    ("ALTER DATABASE {database} SET default_transaction_read_only = on",
     "ALTER DATABASE {database} RESET default_transaction_read_only"),
] + [(f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          RAISE EXCEPTION 'nobody' USING ERRCODE = '{state}'; END $$;
          CREATE TRIGGER refuse BEFORE INSERT ON meter_values
          FOR EACH ROW EXECUTE FUNCTION refuse()""", "DROP TRIGGER refuse ON meter_values")
     for state in ("25006", "28000", "53100", "55P03", "57014")]


@pytest.mark.parametrize("broken, fixed", OUTAGES)
def test_outage_of_the_server_sets_nothing_aside(
        running, migrated, publish, broken, fixed):
    p = running()
    sent = tell(publish, [0])
    drained(migrated, sent)
    with migrated.connect() as c:
        c.execute(broken.format(database=migrated.name))
        c.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                  " WHERE datname = current_database() AND pid <> pg_backend_pid()")
    sent += tell(publish, range(1, STATIONS))
    tries = 40  # more than anything that is set aside gets
    rig.wait_until(lambda: p.metric("ocpp_persister_batches_failed_total") > tries
                   or p.events("database_lost", reason="read_only"), what=lambda: rig.tail(p.log))
    with migrated.connect() as c:
        c.execute("SET default_transaction_read_only = off")
        assert c.execute("SELECT count(*) FROM dead_letters").fetchone() == (0,)
        c.execute(fixed.format(database=migrated.name))
        c.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                  " WHERE datname = current_database() AND pid <> pg_backend_pid()")
    drained(migrated, sent)
    assert migrated.rows("SELECT charge_station_id, reason, detail FROM dead_letters") == [], \
        rig.tail(p.log)
    assert totals(migrated) == (sent, sent, 0, 0)


@pytest.mark.parametrize("state, odd", [("55P03", "XX000"), ("42501", "42501")])
@pytest.mark.parametrize("refusals", [12, 13, 14])
def test_trouble_that_ends_at_any_moment_sets_nothing_aside(
        running, migrated, publish, state, odd, refusals):
    """Between a record and those that it is compared with, and with another error at its end, for
    which the patience was not used up."""
    p = running()
    sent = tell(publish, [0])
    drained(migrated, sent)
    with migrated.connect() as c:
        c.execute(f"""CREATE SEQUENCE refusals;
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = ocpp AS $$ DECLARE n bigint; BEGIN
                n := nextval('refusals');
                IF n < {refusals} THEN RAISE EXCEPTION 'away' USING ERRCODE = '{state}'; END IF;
                IF n = {refusals} THEN RAISE EXCEPTION 'odd' USING ERRCODE = '{odd}'; END IF;
                RETURN NEW; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON meter_values
            FOR EACH ROW EXECUTE FUNCTION refuse()""")
    sent += tell(publish, range(1, STATIONS))
    drained(migrated, sent)
    assert migrated.rows("SELECT charge_station_id, reason, detail FROM dead_letters") == [], \
        rig.tail(p.log)
    assert migrated.value("SELECT last_value FROM refusals") > refusals


@pytest.mark.parametrize("broken, fixed", REFUSED)
def test_what_is_refused_alike_waits_and_is_stored_when_it_may_be(
        running, migrated, publish, broken, fixed):
    p = running()
    sent = tell(publish, [0])
    drained(migrated, sent)
    with migrated.connect() as c:
        c.execute(broken.format(leaf=LEAF))
    sent += tell(publish, range(1, STATIONS))
    rig.wait_until(lambda: p.events("will_retry"), what=lambda: rig.tail(p.log))
    rig.wait_until(lambda: any(int(e["in_ms"]) > 5000 for e in p.events("will_retry")),
                   what=lambda: rig.tail(p.log))
    assert migrated.value("SELECT count(*) FROM dead_letters") == 0
    assert p.running
    with migrated.connect() as c:
        c.execute(fixed.format(leaf=LEAF))
    drained(migrated, sent)
    assert totals(migrated) == (sent, sent, 0, 0)
