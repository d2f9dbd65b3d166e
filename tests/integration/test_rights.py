"""What the roles ocpp_writer and ocpp_reader may do, and that nothing gives them more."""

import itertools
import pathlib

import psycopg
import pytest
from conftest import ROOT, run_cli, stored

OURS = "SELECT oid FROM pg_namespace WHERE nspname IN ('ocpp', 'maeve')"
NOON = "2026-03-01 12:00Z"


@pytest.fixture
def login(migrated):
    """login("writer"): a session of a new role in ocpp_writer, which may make what it likes in
    public, and temporary tables."""
    made = []

    def connect(kind):
        name = f"{kind}_of_{migrated.name}"
        admin = migrated.connect(search_path="ocpp")
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret' IN ROLE ocpp_{kind}")
        admin.execute(f"GRANT CREATE ON SCHEMA public TO {name}")
        made.append(name)
        session = psycopg.connect(migrated.cluster.dsn(migrated.name, name, "secret"),
                                  autocommit=True)
        migrated._connections.append(session)
        return session

    yield connect
    migrated.close()
    with psycopg.connect(migrated.dsn(), autocommit=True) as admin:
        for name in made:
            admin.execute(f"DROP OWNED BY {name} CASCADE")
            admin.execute(f"DROP ROLE {name}")


def attempt(session, sql, *parameters):
    """True if it was allowed; whatever else goes wrong is not the point."""
    try:
        session.execute(sql, parameters or None)
        return True
    except psycopg.errors.InsufficientPrivilege:
        return False
    except psycopg.Error:
        return None


# Counts how often it runs with the rights of another. A sequence, since what is done with such
# rights need not end with the transaction either (COPY TO PROGRAM). It says it is immutable, which
# an index asks for, and is not.
SPIES = """
    CREATE FUNCTION public.note() RETURNS void LANGUAGE sql VOLATILE AS
        $$ SELECT nextval(CASE WHEN current_user = session_user THEN 'public.ran'
            ELSE 'public.escaped' END::regclass) $$;
    CREATE FUNCTION public.spy(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
        $$ BEGIN PERFORM public.note(); RETURN t; END $$;
    CREATE FUNCTION public.spy_row() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM public.note(); RETURN coalesce(NEW, OLD); END $$"""


def plant(session, names):
    """Temporary objects with these names, which run a spy whenever they can."""
    session.execute(SPIES)
    for name in names:
        # A table with what LIKE INCLUDING ALL copies, and triggers and a row for what reads it.
        attempt(session, f"""CREATE TEMP TABLE "{name}" (
            charge_station_id text NOT NULL DEFAULT 'cs', event_time timestamptz DEFAULT now(),
            evse_id integer DEFAULT 1, digest bigint DEFAULT 1, received_at timestamptz,
            follows boolean, table_name text DEFAULT '{name}',
            time_column text DEFAULT 'event_time', step text DEFAULT 'day',
            parent text DEFAULT '{name}', lower_bound timestamptz,
            indexed boolean DEFAULT true, blocks_moved bigint DEFAULT 0)""")
        attempt(session, f'INSERT INTO "{name}" DEFAULT VALUES')
        attempt(session, 'CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON '
                         f'pg_temp."{name}" '
                         "FOR EACH ROW EXECUTE FUNCTION public.spy_row()")
        attempt(session, f'CREATE INDEX ON pg_temp."{name}" (public.spy(\'x\'))')
        attempt(session, f'ALTER TABLE pg_temp."{name}" ADD CHECK (public.spy(\'x\') IS NOT NULL)')


def functions(admin):
    """Every function that runs with its owner's rights: (its name, types of its arguments)."""
    return admin.execute(f"""
        SELECT p.oid::regproc::text, p.proargtypes::regtype[]::text[],
            p.prorettype = 'trigger'::regtype
        FROM pg_proc p WHERE p.prosecdef AND p.pronamespace IN ({OURS}) ORDER BY 1""").fetchall()


def read_tables(admin):
    """Every table whose name stands in the source of such a function, or of one of ours that it
    calls."""
    return [name for name, in admin.execute(f"""
        WITH RECURSIVE used AS (
            SELECT p.oid, p.prosrc FROM pg_proc p WHERE p.prosecdef AND p.pronamespace IN ({OURS})
            UNION
            SELECT p.oid, p.prosrc FROM used u, pg_proc p
            WHERE p.pronamespace IN ({OURS}) AND u.prosrc ~ ('\\m' || p.proname || '\\(')
        )
        SELECT DISTINCT c.oid::regclass::text FROM used u, pg_class c
        WHERE c.relnamespace IN ({OURS}) AND c.relkind IN ('r', 'p')
          AND u.prosrc ~ ('\\m' || c.relname || '\\M') ORDER BY 1""")]


def call_all(session, admin, names):
    """Each of the functions, with each of these names wherever it takes a text."""
    for name, types, is_trigger in functions(admin):
        if is_trigger:
            continue
        choices = [names if t == "text" else [NOON] if t.startswith("timestamp") else [None]
                   for t in types]
        for values in itertools.product(*choices):
            marks = ", ".join(f"%s::{t}" for t in types)
            attempt(session, f"SELECT {name}({marks})", *values)
    for view, in admin.execute(f"""SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger t
            JOIN pg_proc p ON p.oid = t.tgfoid WHERE p.prosecdef"""):
        attempt(session, f"INSERT INTO {view} DEFAULT VALUES")
        columns = admin.execute("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass "
                                "AND attnum > 0 ORDER BY attnum LIMIT 3", (view,)).fetchall()
        for column, in columns:
            attempt(session, f"INSERT INTO {view} ({column}) VALUES ('1')")
            attempt(session, f"UPDATE {view} SET {column} = {column}")
        attempt(session, f"DELETE FROM {view}")


def count(admin, name):
    return admin.execute("SELECT CASE WHEN is_called THEN last_value ELSE 0 END "
                         f"FROM public.{name}").fetchone()[0]


def test_writer_cannot_run_code_with_the_rights_of_the_owner(migrated, migrate, login):
    """By no function that has its owner's rights, and through no table that one reads."""
    assert migrate("maeve", "up").returncode == 0
    admin, writer = migrated.connect(search_path=""), login("writer")
    for name in ("ran", "escaped"):
        admin.execute(f"CREATE SEQUENCE public.{name}")
        admin.execute(f"GRANT USAGE ON SEQUENCE public.{name} TO PUBLIC")
    tables = read_tables(admin)
    assert "ocpp.partitioned_tables" in tables and "ocpp.loading_partitions" in tables
    assert {"ocpp.ensure_partition", "ocpp.finish_loading", "ocpp.retire_partition",
            "ocpp.drop_retired", "maeve.write_row"} <= {name for name, *_ in functions(admin)}

    names = ["planted", "meter_values_2026_03_01_loading", "planted_loading",
             "meter_values_2026_03_01_retired_1",
             *{name.split(".")[1] for name in tables}]
    plant(writer, names)
    assert count(admin, "ran") > len(names)
    # What it would have to write somewhere for that.
    for table in tables:
        attempt(writer, f"INSERT INTO {table} SELECT * FROM (VALUES "
                        f"('planted', 'event_time', 'day')) v")
        attempt(writer, f"INSERT INTO {table} (table_name, parent, lower_bound, indexed) VALUES "
                        f"('planted_loading', 'planted', '{NOON}', true)")
        attempt(writer, f"UPDATE {table} SET table_name = 'planted'")
    call_all(writer, admin, names)
    assert count(admin, "escaped") == 0

    # And where it is written already: by an older version, under which writers could, or since a
    # table that is waited for was dropped by hand.
    admin.execute("INSERT INTO ocpp.partitioned_tables VALUES ('planted', 'event_time', 'day')")
    for name, parent, indexed in (("planted_loading", "planted", True),
                                  ("meter_values_2026_03_01_loading", "meter_values", False)):
        admin.execute("INSERT INTO ocpp.loading_partitions (table_name, parent, lower_bound, "
                      "indexed) VALUES (%s, %s, '2026-03-01', %s)", (name, parent, indexed))
    call_all(writer, admin, names)
    assert count(admin, "escaped") == 0
    assert not attempt(writer, "ALTER ROLE current_user SUPERUSER")


def test_writer_may_only_read_what_names_other_tables(migrated, login):
    writer, admin = login("writer"), migrated.connect()
    for table in ("partitioned_tables", "loading_partitions", "schema_migrations"):
        assert attempt(writer, f"SELECT * FROM ocpp.{table}")
        for sql in ("INSERT INTO ocpp.{} SELECT * FROM ocpp.{}", "DELETE FROM ocpp.{}",
                    "TRUNCATE ocpp.{}",
                    "CREATE TRIGGER t BEFORE INSERT ON ocpp.{} EXECUTE FUNCTION no()"):
            assert attempt(writer, sql.format(table, table)) is False, (sql, table)
    assert admin.execute("SELECT * FROM rights_problems()").fetchall() == []


def test_functions_with_the_rights_of_their_owner_find_names_in_no_schema_of_others(
        migrated, migrate):
    """Every one, also one that is added later."""
    assert migrate("maeve", "up").returncode == 0
    for name, settings in migrated.rows(f"""SELECT p.oid::regprocedure::text, p.proconfig
            FROM pg_proc p WHERE p.prosecdef AND p.pronamespace IN ({OURS})"""):
        assert "search_path=pg_catalog, pg_temp" in settings, name


# Their names are looked up where they are called, which only our own sessions do, whose search_path
# is ours; transaction_values names every table with its schema.
LOOKED_UP = {"backfill_stations", "grant_table", "merged_setting", "setting_after",
             "transaction_values"}


def test_functions_that_others_call_find_names_in_no_schema_of_others(migrated, migrate):
    """Whoever reads a view runs the functions in it, with a search_path of their own."""
    assert migrate("maeve", "up").returncode == 0
    found = {name for name, in migrated.rows(f"""SELECT p.proname FROM pg_proc p
        WHERE p.pronamespace IN ({OURS}) AND p.prosqlbody IS NULL
          AND NOT coalesce(p.proconfig::text ~ 'search_path=', false)""")}
    assert found == LOOKED_UP
    assert not migrated.rows(f"""SELECT DISTINCT p.proname FROM pg_depend d
        JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
        JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
        WHERE p.pronamespace IN ({OURS}) AND p.proname = ANY(%s)""", list(LOOKED_UP))


# Before pg_catalog in the search_path: what a query would find if it did not say where to look.
SHADOWS = """
    CREATE SEQUENCE public.found;
    CREATE FUNCTION public.shadow() RETURNS void LANGUAGE sql AS
        $$ SELECT nextval('public.found') $$;
    CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE plpgsql AS
        $$ BEGIN PERFORM public.shadow(); RETURN pg_catalog.lower($1); END $$;
    CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE plpgsql AS
        $$ BEGIN PERFORM public.shadow(); RETURN pg_catalog.now(); END $$;
    CREATE FUNCTION public.jsonb_typeof(jsonb) RETURNS text LANGUAGE plpgsql AS
        $$ BEGIN PERFORM public.shadow(); RETURN pg_catalog.jsonb_typeof($1); END $$;
    CREATE FUNCTION public.same(text, text) RETURNS boolean LANGUAGE plpgsql AS
        $$ BEGIN PERFORM public.shadow(); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
    CREATE FUNCTION public.same(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS
        $$ BEGIN PERFORM public.shadow(); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
    CREATE FUNCTION public.member(jsonb, text) RETURNS text LANGUAGE plpgsql AS
        $$ BEGIN PERFORM public.shadow(); RETURN $1 OPERATOR(pg_catalog.->>) $2; END $$;
    CREATE OPERATOR public.= (FUNCTION = public.same, LEFTARG = text, RIGHTARG = text);
    CREATE OPERATOR public.= (FUNCTION = public.same, LEFTARG = bigint, RIGHTARG = bigint);
    CREATE OPERATOR public.->> (FUNCTION = public.member, LEFTARG = jsonb, RIGHTARG = text);
    CREATE DOMAIN public.text AS pg_catalog.varchar"""


def test_what_shadows_ours_is_never_found(persister, migrated, migrate, broker, publish):
    """Tables, functions, operators and types of others, in a search_path that the administrator
    gave to everybody: neither the program nor a view finds one."""
    admin = migrated.connect(search_path="")
    for name, in admin.execute("""SELECT proname FROM pg_proc WHERE pronargs = 1 AND
            pronamespace = 'ocpp'::regnamespace AND proargtypes[0] = 'text'::regtype""").fetchall():
        admin.execute(f"""CREATE FUNCTION public."{name}"(pg_catalog.text) RETURNS void
            LANGUAGE plpgsql AS $$ BEGIN PERFORM public.shadow(); END $$""")
    for name, in admin.execute("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND"
                               " relnamespace = 'ocpp'::regnamespace").fetchall():
        admin.execute(f'CREATE TABLE public."{name}" (shadow int)')
    admin.execute(SHADOWS)
    admin.execute("GRANT USAGE ON SEQUENCE public.found TO PUBLIC")
    admin.execute(f"ALTER DATABASE {migrated.name} SET search_path = public, pg_catalog, ocpp")

    p = persister({**migrated.writer_settings(), **broker.settings()}).start()
    p.wait_event("broker_connected")
    p.wait_event("database_connected")
    publish.call("cs1", "StartTransaction", {"connectorId": 1, "idTag": "T", "meterStart": 1,
                                             "timestamp": "2026-03-01T12:00:00Z"})
    publish.result("cs1", "StartTransaction", {"transactionId": 7,
                                               "idTagInfo": {"status": "Accepted"}})
    publish.call("cs1", "MeterValues", {"connectorId": 1, "transactionId": 7, "meterValue": [
        {"timestamp": "2026-03-01T12:01:00Z", "sampledValue": [{"value": "5"}]}]}, id="2")
    stored(migrated, 3)
    assert p.stop() == 0
    for command in (("maeve", "up"), ("status",), ("roles",)):
        done = migrate(*command)
        assert done.returncode == 0, done.stderr
    for command in ("verify", "sessions"):
        done = run_cli({**migrated.settings(), "spool.dir": p.settings["spool.dir"]}, command)
        assert done.returncode == 0, done
    reader = migrated.connect(search_path="public,pg_catalog,ocpp")
    for view, in admin.execute(f"""SELECT oid::regclass::text FROM pg_class
            WHERE relkind = 'v' AND relnamespace IN ({OURS})""").fetchall():
        reader.execute(f"SELECT * FROM {view}")
    assert count(admin, "found") == 0
    reader.execute("SELECT lower('A'::pg_catalog.text)")
    assert count(admin, "found") == 1  # the trap is one


def test_table_of_somebody_else_is_not_taken_for_ours(migrated, login):
    """Somebody who may create tables in our schema, which nobody should be allowed to."""
    admin, writer = migrated.connect(), login("writer")
    name = writer.info.user
    admin.execute(f"GRANT CREATE ON SCHEMA ocpp TO {name}")
    writer.execute("CREATE TABLE ocpp.planted (LIKE ocpp.meter_values) PARTITION BY RANGE "
                   "(event_time)")
    admin.execute("INSERT INTO partitioned_tables VALUES ('planted', 'event_time', 'day')")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no table that a migration"):
        writer.execute("SELECT ocpp.ensure_partition('planted', now())")
    problems = admin.execute("SELECT * FROM rights_problems()").fetchall()
    assert any(f"{name} may create objects in schema ocpp" == problem for problem, _ in problems)
    assert any(f"REVOKE CREATE ON SCHEMA ocpp FROM {name};" in remedy for _, remedy in problems)


def test_migrate_names_rights_that_it_cannot_take_back(migrated, migrate):
    """Given by somebody else, who holds them with the right to pass them on."""
    admin = migrated.connect()
    name = f"other_{migrated.name}"
    admin.execute(f"CREATE ROLE {name}")
    try:
        admin.execute(f"GRANT INSERT ON partitioned_tables TO {name}")
        for command in (("status",), ("up",)):
            done = migrate(*command)
            assert done.returncode == 0
            assert f"{name} may insert ocpp.partitioned_tables" in done.stderr
            assert f"REVOKE INSERT ON ocpp.partitioned_tables FROM {name};" in done.stderr
        admin.execute(f"REVOKE INSERT ON partitioned_tables FROM {name}")
        assert "REVOKE" not in migrate("status").stderr
    finally:
        admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_what_was_registered_before_is_removed_by_the_migration(database, migrate):
    before = next(pathlib.Path(ROOT, "migrations").glob("*_rights.up.sql")).name[:6]
    assert migrate("up", str(int(before) - 1)).returncode == 0
    admin = database.connect()
    admin.execute("INSERT INTO partitioned_tables VALUES ('planted', 'event_time', 'day')")
    done = migrate("up")
    assert done.returncode == 0, done.stderr
    assert '"planted", which no migration made; the row is removed' in done.stderr
    assert ("planted",) not in database.rows("SELECT table_name FROM partitioned_tables")


# ---- what the persister needs ----


@pytest.mark.parametrize("given", [
    [],  # nothing at all
    ["ocpp_writer"],  # as docs/database.md has it, but for TEMPORARY
    ["USAGE ON SCHEMA ocpp", "SELECT ON ALL TABLES IN SCHEMA ocpp"],
    ["ocpp_writer", "TEMPORARY ON DATABASE {database}"],  # and one table is taken from all writers
])
def test_rights_that_are_missing_are_named_with_the_grants(persister, migrated, broker, publish,
                                                           given):
    admin = migrated.connect()
    name = f"low_of_{migrated.name}"
    admin.execute(f"REVOKE ALL ON DATABASE {migrated.name} FROM PUBLIC")
    admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    admin.execute(f"GRANT CONNECT ON DATABASE {migrated.name} TO {name}")
    for right in given:
        admin.execute(f"GRANT {right.format(database=migrated.name)} TO {name}")
    if len(given) == 2 and given[0] == "ocpp_writer":
        admin.execute("REVOKE UPDATE ON tokens FROM ocpp_writer")
        admin.execute("REVOKE EXECUTE ON FUNCTION ensure_partition FROM ocpp_writer")
        missing = ["UPDATE on ocpp.tokens", "EXECUTE on ocpp.ensure_partition"]
    elif given == ["ocpp_writer"]:
        missing = ["TEMPORARY on database"]
    else:
        missing = ["TEMPORARY on database", "INSERT on ocpp.secret_keys" if given
                   else "USAGE on schema ocpp", " more"]
    p = persister({**migrated.cluster.settings(migrated.name, name, "secret"),
                   **broker.settings()}).start()
    lost = p.wait_event("database_lost")
    assert lost["heals"] == "by_a_person"
    for what in missing:
        assert what in lost["msg"]
    p.wait_event("broker_connected")  # it has subscribed
    publish.call("cs1", "Heartbeat", {})
    roles, _, grants = lost["hint"].rpartition("or: ")
    # One command gives a role what it should have had; that we are in it is for GRANT alone.
    assert ("migrate roles" in roles) == (given[:1] == ["ocpp_writer"] and len(given) == 2)
    grants = grants.removesuffix("; or is storage.postgres.user the wrong role?")
    for statement in grants.split("; "):
        assert statement.startswith("GRANT ")
        admin.execute(statement)
    p.wait_event("database_connected", timeout=120)  # by itself
    stored(migrated, 1, timeout=120)
    p.stop()
    admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_what_a_batch_needs_is_named_before_it_fails(persister, migrated, broker):
    """Where functions are not everybody's, and a table that only some batches read is withheld."""
    admin = migrated.connect()
    settings = migrated.writer_settings()
    admin.execute("REVOKE EXECUTE ON FUNCTION partition_of FROM PUBLIC")
    admin.execute("REVOKE ALL ON transaction_costs FROM ocpp_writer")
    p = persister({**settings, **broker.settings()}).start()
    lost = p.wait_event("database_lost")
    assert "ocpp.transaction_costs" in lost["msg"] and "ocpp.partition_of" in lost["msg"]
    assert lost["hint"].startswith("`ocpp-persister migrate roles`, as the owner, or: GRANT ")
    for statement in lost["hint"].partition("or: ")[2].split("; "):
        assert statement.startswith("GRANT ")
        admin.execute(statement)
    p.stop()
    p.start().wait_event("database_connected")
