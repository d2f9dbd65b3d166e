"""`ocpp-persister migrate` on a real PostgreSQL."""

import os
import shutil
import subprocess
import zlib

import psycopg
import pytest
import rig
from conftest import BINARY, ROOT, make_database, next_line, run_cli

OK, USAGE, CONFIG, DATABASE, SCHEMA = 0, 2, 3, 4, 5

MIGRATIONS = sorted({name.split(".")[0] for name in os.listdir(os.path.join(ROOT, "migrations"))
                     if name.endswith(".sql")})
NEWEST = len(MIGRATIONS)
NEXT = f"{NEWEST + 1:06}"


def objects(database):
    """Everything in our schema, and the roles' rights on it, as comparable text."""
    return database.rows("""
        SELECT c.relkind::text, c.relname::text,
            array(SELECT a::text FROM unnest(c.relacl) a ORDER BY 1)
        FROM pg_class c WHERE c.relnamespace = 'ocpp'::regnamespace
        UNION ALL
        SELECT 'function', p.oid::regprocedure::text, p.proacl::text[]
        FROM pg_proc p WHERE p.pronamespace = 'ocpp'::regnamespace ORDER BY 1, 2""")


def versions(database):
    return database.rows("SELECT version, dirty FROM schema_migrations")


def write(folder, **files):
    """write(folder, **{"000001_a.up": "SQL"})"""
    os.makedirs(folder, exist_ok=True)
    for name, text in files.items():
        with open(os.path.join(folder, name + ".sql"), "w") as f:
            f.write(text)
    return str(folder)


def own_migrations(tmp_path, **more):
    folder = os.path.join(tmp_path, "migrations")
    shutil.copytree(os.path.join(ROOT, "migrations"), folder)
    return write(folder, **more)


def test_up_then_down_to_zero_then_up_again(database, migrate):
    done = migrate("up")
    assert done.returncode == OK, done.stderr
    assert done.stdout == ""
    assert [line.split()[1] for line in done.stderr.splitlines()[:-1]] == MIGRATIONS
    assert versions(database) == [(NEWEST, False)]
    first = objects(database)

    assert migrate("up").returncode == OK
    assert objects(database) == first

    assert migrate("down").returncode == USAGE
    assert versions(database) == [(NEWEST, False)]

    done = migrate("down", "--all")
    assert done.returncode == OK, done.stderr
    assert versions(database) == []  # no version 0: golang-migrate knows none
    assert {name for kind, name, _ in objects(database)} == {"schema_migrations",
                                                            "schema_migrations_pkey"}

    assert migrate("up").returncode == OK
    assert objects(database) == first


def test_the_version_table_is_golang_migrates(migrated):
    assert migrated.rows("""
        SELECT attname::text, format_type(atttypid, atttypmod), attnotnull
        FROM pg_attribute WHERE attrelid = 'schema_migrations'::regclass AND attnum > 0
        ORDER BY attnum""") == [("version", "bigint", True), ("dirty", "boolean", True)]
    assert migrated.value("SELECT pg_get_constraintdef(oid) FROM pg_constraint "
                          "WHERE conrelid = 'schema_migrations'::regclass AND contype <> 'n'") \
        == "PRIMARY KEY (version)"


def test_version_table_written_by_golang_migrate_is_continued(database, migrate):
    """What its driver does: its own table, TRUNCATE and INSERT, the whole file as one query."""
    with database.connect() as connection:
        connection.execute("CREATE SCHEMA ocpp")
        connection.execute("CREATE TABLE IF NOT EXISTS ocpp.schema_migrations "
                           "(version bigint not null primary key, dirty boolean not null)")
        for version, name in enumerate(MIGRATIONS[:3], 1):
            with open(os.path.join(ROOT, "migrations", name + ".up.sql")) as f:
                connection.execute(f.read())
            with connection.transaction():
                connection.execute("TRUNCATE ocpp.schema_migrations")
                connection.execute("INSERT INTO ocpp.schema_migrations VALUES (%s, false)",
                                   (version,))
    done = migrate("up")
    assert done.returncode == OK, done.stderr
    assert [line.split()[1] for line in done.stderr.splitlines()[:-1]] == MIGRATIONS[3:]
    assert versions(database) == [(NEWEST, False)]
    continued = objects(database)
    assert migrate("down", "--all").returncode == OK
    assert migrate("up").returncode == OK
    assert objects(database) == continued


def test_up_and_down_by_steps_and_goto(database, migrate):
    assert migrate("version").stdout == "0\n"
    assert migrate("up", "2").returncode == OK
    assert migrate("version").stdout == "2\n"
    assert migrate("goto", "4").returncode == OK
    assert migrate("version").stdout == "4\n"
    assert migrate("down", "1").returncode == OK
    assert migrate("goto", "1").returncode == OK
    assert migrate("version").stdout == "1\n"
    done = migrate("goto", "99")
    assert done.returncode == CONFIG
    assert "there is no migration 99" in done.stderr
    assert migrate("up", "100").returncode == OK
    assert migrate("version").stdout == f"{NEWEST}\n"
    assert migrate("down", "100").returncode == OK
    assert migrate("version").stdout == "0\n"


def test_status_lists_applied_and_pending(migrate):
    assert migrate("status").stdout == "".join(f"pending  {name}\n" for name in MIGRATIONS)
    assert migrate("up", "2").returncode == OK
    assert migrate("status").stdout == "".join(
        f"{'applied' if i < 2 else 'pending':8} {name}\n" for i, name in enumerate(MIGRATIONS))


def test_version_and_status_create_nothing(database, migrate):
    assert migrate("version").returncode == OK
    assert migrate("status").returncode == OK
    assert database.value("SELECT to_regnamespace('ocpp') IS NULL")


def test_wrong_arguments_show_the_usage(migrate):
    for arguments in ((), ("sideways",), ("up", "-1"), ("up", "x"), ("up", "1", "2"),
                      ("down", "0"), ("goto",), ("force",), ("force", "-1"), ("version", "1"),
                      ("status", "1"), ("create",), ("--path",)):
        done = migrate(*arguments)
        assert done.returncode == USAGE, arguments
        assert "usage: ocpp-persister migrate" in done.stderr
        assert done.stdout == ""


def test_create_makes_the_next_pair(tmp_path, migrate):
    folder = own_migrations(tmp_path)
    done = migrate("create", "add_things", "--path", "file://" + folder)
    assert done.returncode == OK, done.stderr
    number = f"{NEWEST + 1:06}"
    assert done.stdout == (f"{folder}/{number}_add_things.up.sql\n"
                           f"{folder}/{number}_add_things.down.sql\n")
    assert migrate("up", "--path", folder).returncode == OK
    assert migrate("version").stdout == f"{NEWEST + 1}\n"
    assert migrate("create", "no/slash", "--path", folder).returncode == CONFIG
    empty = str(tmp_path / "new")
    assert migrate("create", "first", "--path", empty).stdout.startswith(
        f"{empty}/000001_first.up.sql\n")


def test_failing_migration_leaves_the_version_and_names_file_and_line(database, migrate, tmp_path):
    cases = {
        # by PostgreSQL's position, which counts characters
        "SELECT 'ä',\n  'ö', nothing_like_it;": (2, 'column "nothing_like_it" does not exist'),
        # without position: the first line of the statement
        "CREATE TABLE\n  made (\n  a int);": (1, 'relation "made" already exists'),
        "INSERT INTO made VALUES (1);\n\n/* ; */ INSERT INTO made\nVALUES (1);":
            (3, "duplicate key value violates unique constraint"),
        "DO $$\nBEGIN\n  RAISE 'on purpose;';\nEND $$": (1, "on purpose;"),
        "SELECT 1;\nCOPY made FROM stdin;": (2, "COPY from or to the client"),
        "SELECT 1;\nCOMMIT;": (2, "may not begin or end transactions"),
        "SELECT 'never closed;\n": (1, "unterminated quoted string"),
    }
    for number, (sql, (line, message)) in enumerate(cases.items()):
        folder = own_migrations(tmp_path / str(number), **{
            f"{NEXT}_broken.up": "CREATE TABLE made (a int PRIMARY KEY);\n" + sql,
            f"{NEXT}_broken.down": ""})
        done = migrate("up", "--path", folder)
        assert done.returncode == SCHEMA, sql
        assert f"error: {folder}/{NEXT}_broken.up.sql:{line + 1}: " in done.stderr, done.stderr
        assert message in done.stderr
        assert "hint: " in done.stderr
        assert versions(database) == [(NEWEST, False)]
        assert database.value("SELECT to_regclass('made') IS NULL")
    assert migrate("up").returncode == OK


def test_failing_down_migration_leaves_everything(migrated, migrate, tmp_path):
    name = f"{MIGRATIONS[-1]}.down"
    folder = own_migrations(tmp_path, **{name: "DROP VIEW sessions CASCADE;\nDROP VIEW x;"})
    done = migrate("down", "3", "--path", folder)
    assert done.returncode == SCHEMA
    assert f'{name}.sql:2: view "x" does not exist' in done.stderr
    assert versions(migrated) == [(NEWEST, False)]
    assert migrated.value("SELECT to_regclass('sessions') IS NOT NULL")


def test_failing_first_migration_leaves_an_empty_version_table(database, migrate, tmp_path):
    folder = write(tmp_path / "m", **{"000001_a.up": "CREATE TABLE a ();\nnonsense"})
    done = migrate("up", "--path", folder)
    assert done.returncode == SCHEMA
    assert f'{folder}/000001_a.up.sql:2: syntax error at or near "nonsense"' in done.stderr
    assert versions(database) == []


def test_deferred_constraint_that_fails_at_commit_is_told(database, migrate, tmp_path):
    folder = write(tmp_path / "m", **{"000001_a.up": """
        CREATE TABLE a (x int UNIQUE DEFERRABLE INITIALLY DEFERRED);
        INSERT INTO a VALUES (1), (1);"""})
    done = migrate("up", "--path", folder)
    assert done.returncode != OK
    assert "000001_a.up.sql: could not commit: duplicate key" in done.stderr
    assert versions(database) == []
    assert database.value("SELECT to_regclass('a') IS NULL")


def test_no_transaction_runs_alone_and_may_end_dirty(database, migrate, tmp_path):
    folder = own_migrations(tmp_path, **{
        f"{NEXT}_index.up": "-- no-transaction\n"
                           "CREATE INDEX CONCURRENTLY by_time ON connector_status (event_time);\n"
                           "SELECT 1/0;\nCREATE TABLE never ();\n",
        f"{NEXT}_index.down": "-- no-transaction\nDROP INDEX CONCURRENTLY by_time;\n"})
    done = migrate("up", "--path", folder)
    assert done.returncode == SCHEMA
    assert f"{NEXT}_index.up.sql:3: division by zero" in done.stderr
    assert "hint: the schema is dirty now" in done.stderr
    assert versions(database) == [(NEWEST + 1, True)]
    assert database.value("SELECT to_regclass('ocpp.by_time') IS NOT NULL")
    assert database.value("SELECT to_regclass('ocpp.never') IS NULL")
    assert migrate("version").stdout == f"{NEWEST + 1} dirty\n"
    assert f"dirty    {NEXT}_index\n" in migrate("status", "--path", folder).stdout

    for refused in (("up",), ("down", "1"), ("goto", "1")):
        done = migrate(*refused, "--path", folder)
        assert done.returncode == SCHEMA
        assert f"the schema is dirty at version {NEWEST + 1}" in done.stderr
        assert "migrate force" in done.stderr
    assert versions(database) == [(NEWEST + 1, True)]

    assert migrate("force", str(NEWEST + 1), "--path", folder).returncode == OK
    assert versions(database) == [(NEWEST + 1, False)]
    assert migrate("down", "1", "--path", folder).returncode == OK
    assert database.value("SELECT to_regclass('ocpp.by_time') IS NULL")
    assert versions(database) == [(NEWEST, False)]


def test_no_transaction_going_down_from_the_first_uses_golang_migrates_sign(database, migrate,
                                                                            tmp_path):
    folder = write(tmp_path / "m", **{"000001_a.up": "SELECT 1",
                                      "000001_a.down": "-- no-transaction\nnonsense"})
    assert migrate("up", "--path", folder).returncode == OK
    assert migrate("down", "1", "--path", folder).returncode == SCHEMA
    assert versions(database) == [(-1, True)]
    assert migrate("version").stdout == "0 dirty\n"
    assert migrate("force", "0", "--path", folder).returncode == OK
    assert versions(database) == []


def test_force_says_what_is_true(database, migrate):
    assert migrate("force", "3").returncode == OK
    assert versions(database) == [(3, False)]
    assert migrate("force", "0").returncode == OK
    assert versions(database) == []
    assert migrate("force", "77").returncode == CONFIG


def test_a_newer_schema_is_refused_with_the_remedy(migrated, migrate):
    migrated.rows("UPDATE schema_migrations SET version = 99")
    for arguments in (("up",), ("down", "1"), ("goto", "2")):
        done = migrate(*arguments)
        assert done.returncode == SCHEMA
        assert "version 99, which is not among the migrations here" in done.stderr
        assert "hint: run the release of ocpp-persister that migrated it" in done.stderr
    assert "applied  000099 (not among the migrations here)\n" in migrate("status").stdout


def test_foreign_version_table_in_our_schema_is_refused(database, migrate):
    database.rows("CREATE SCHEMA ocpp")
    database.rows("CREATE TABLE ocpp.schema_migrations (version varchar NOT NULL)")
    database.rows("INSERT INTO ocpp.schema_migrations VALUES ('20260131')")
    for arguments in (("up",), ("down", "--all"), ("force", "1"), ("version",), ("status",)):
        done = migrate(*arguments)
        assert done.returncode == SCHEMA, arguments
        assert "belongs to another program: its columns are (version character varying)" \
            in done.stderr
        assert "hint: set storage.postgres.schema" in done.stderr
    assert database.rows("SELECT version FROM ocpp.schema_migrations") == [("20260131",)]


MAEVES_TABLES = ("tokens", "transactions", "meter_values", "connector_status",
                 "charge_station_status", "certificates", "locations", "schema_migrations")


def test_maeves_tables_in_public_stay_untouched(database, migrate):
    public = database.connect(search_path="public")
    for name in MAEVES_TABLES[:-1]:
        public.execute(f"CREATE TABLE {name} (id text PRIMARY KEY, what text)")
        public.execute(f"INSERT INTO {name} VALUES ('1', 'theirs')")
    public.execute("CREATE TABLE schema_migrations "
                   "(version bigint not null primary key, dirty boolean not null)")
    public.execute("INSERT INTO schema_migrations VALUES (30, true)")

    def theirs():
        return [public.execute(f"SELECT xmin::text, t::text FROM {name} t").fetchall()
                for name in MAEVES_TABLES] + public.execute(
            "SELECT oid::int, relacl::text FROM pg_class "
            "WHERE relnamespace = 'public'::regnamespace ORDER BY oid").fetchall()

    before = theirs()
    assert migrate("version").stdout == "0\n"
    for arguments in (("up",), ("down", "--all"), ("up",), ("force", str(NEWEST)), ("status",)):
        done = migrate(*arguments)
        assert done.returncode == OK, done.stderr
    assert theirs() == before
    assert versions(database) == [(NEWEST, False)]


def masked(database, schema):
    """{(view, masked view that it reads)}"""
    return set(database.rows("""
        SELECT v.relname::text, t.relname::text
        FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
        JOIN pg_class t ON t.oid = d.refobjid AND t.relname ~ '_masked$' AND t.oid <> v.oid
        JOIN pg_namespace n ON n.oid = v.relnamespace
        WHERE d.classid = 'pg_rewrite'::regclass AND n.nspname = %s""", schema))


def test_another_schema_by_setting_even_with_a_difficult_name(database, migrate):
    name = 'My "own"; schema'
    settings = {"storage.postgres.schema": name}
    assert migrate("up", settings=settings).returncode == OK
    assert migrate("version", settings=settings).stdout == f"{NEWEST}\n"
    assert migrate("version").stdout == "0\n"
    quoted = '"My ""own""; schema"'
    assert database.value(f"SELECT count(*) FROM {quoted}.schema_migrations") == 1
    assert database.value(f"SELECT {quoted}.ensure_partition('meter_values', '2026-01-31')")
    assert database.value(f"SELECT to_regclass('{quoted}.meter_values_2026_01_31') IS NOT NULL")
    assert migrate("up").returncode == OK
    assert masked(database, "ocpp") <= masked(database, name)
    done = migrate("down", "--all", settings=settings)
    assert done.returncode == OK, done.stderr


def test_two_at_once_both_succeed_and_apply_each_migration_once(database):
    settings = database.settings()
    options = [f"--{key}={value}" for key, value in settings.items()]
    both = [subprocess.Popen([BINARY, *options, "migrate", "up"], text=True,
                             stderr=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate(timeout=rig.HANGS_S)[1] for process in both]
    assert [process.returncode for process in both] == [OK, OK], said
    applied = [line.split()[1] for text in said for line in text.splitlines()
               if line.startswith("up ")]
    assert applied == MIGRATIONS
    assert versions(database) == [(NEWEST, False)]


def test_golang_migrates_lock_is_waited_for(database):
    """Its lock id is pinned by a unit test; both names of the database count."""
    options = [f"--{key}={value}" for key, value in database.settings().items()]
    for name in (database.name, "/" + database.name):
        holder = database.connect()
        holder.execute("SELECT pg_advisory_lock(%s)", (golang_migrate_lock_id(name),))
        process = subprocess.Popen([BINARY, *options, "migrate", "up", "1"], text=True,
                                   stderr=subprocess.PIPE)
        assert "is running, waiting" in next_line(process, process.stderr)
        assert process.poll() is None
        holder.close()
        assert process.wait(rig.HANGS_S) == OK
        process.stderr.close()


def golang_migrate_lock_id(database, schema="ocpp", table="schema_migrations"):
    return zlib.crc32("\0".join([schema, table, database]).encode()) * 1486364155 % 2**32


def test_run_waits_for_a_lock_that_keeps_a_migration(migrated, migrate, broker, persister):
    """A migration that fails for good ends `run`, and a person has to look."""
    assert migrate("goto", "39").returncode == 0
    migrated.rows(f"ALTER DATABASE {migrated.name} SET lock_timeout = '50ms'")
    somebody = migrated.connect(autocommit=False)
    somebody.execute("LOCK TABLE ocpp.tokens IN ACCESS EXCLUSIVE MODE")
    p = persister({**migrated.settings(), **broker.settings()}).start("--migrate")
    failed = p.wait_event("database_lost", reason="migration_failed")
    assert "000040_plain_comments.up.sql" in str(failed)
    somebody.rollback()
    p.wait_event("database_connected")
    assert p.stop() == 0


def test_stop_rolls_back_the_migration_under_way(migrated, migrate, broker, persister):
    assert migrate("goto", "39").returncode == 0
    somebody = migrated.connect(autocommit=False)
    somebody.execute("LOCK TABLE ocpp.tokens IN ACCESS EXCLUSIVE MODE")
    p = persister({**migrated.settings(), **broker.settings()}).start("--migrate")
    waiting = ("SELECT count(*) FROM pg_locks "
               "WHERE relation = 'ocpp.tokens'::regclass AND NOT granted")
    rig.wait_until(lambda: migrated.value(waiting) == 1)
    assert p.http("/healthz") == (200, "ok\n")
    assert p.stop() == 0
    assert not p.events("stop_cut_short") and not p.events("stopped_hard")
    assert migrated.value(waiting) == 0, "the statement was cancelled"
    somebody.rollback()
    assert migrated.value("SELECT version FROM ocpp.schema_migrations WHERE NOT dirty") == 39


def test_open_reader_of_the_version_holds_up_no_migration(migrated, migrate, tmp_path):
    """The reason for DELETE + INSERT where golang-migrate uses TRUNCATE."""
    folder = own_migrations(tmp_path, **{f"{NEXT}_more.up": "CREATE TABLE more ();"})
    reader = migrated.connect(autocommit=False)
    assert reader.execute("SELECT version FROM schema_migrations").fetchone() == (NEWEST,)
    assert migrate("up", "--path", folder, timeout=rig.HANGS_S).returncode == OK
    assert reader.execute("SELECT version FROM schema_migrations").fetchone() == (NEWEST + 1,)


def test_owner_of_the_database_without_createrole_is_enough(workspace):
    cluster = rig.Postgres(workspace, fast=True, name="no_roles").start()
    database = make_database(cluster, owner="plain", owner_rights="NOSUPERUSER NOCREATEROLE")
    done = run_cli(database.settings(), "migrate", "up")
    assert done.returncode == OK, done.stderr
    assert 'warning: role "ocpp_writer" is not there and may not be created here' in done.stderr
    assert database.value("SELECT ensure_partition('transactions', now())")
    assert run_cli(database.settings(), "migrate", "down", "--all").returncode == OK
    assert run_cli(database.settings(), "migrate", "up").returncode == OK
    cluster.stop()


def test_owner_with_createrole_makes_roles_that_fit_their_names(workspace):
    cluster = rig.Postgres(workspace, fast=True, name="roles").start()
    database = make_database(cluster, owner="creator", owner_rights="NOSUPERUSER CREATEROLE")
    done = run_cli(database.settings(), "migrate", "up")
    assert done.returncode == OK, done.stderr
    assert "warning" not in done.stderr
    with psycopg.connect(cluster.dsn(), autocommit=True) as admin:
        for role in ("writer", "reader"):
            admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret' IN ROLE ocpp_{role}")

    def tries(role, sql):
        try:
            with psycopg.connect(cluster.dsn(database.name, role, "secret")) as connection:
                connection.execute(sql)
            return True
        except psycopg.errors.InsufficientPrivilege:
            return False

    insert = """INSERT INTO ocpp.ocpp_events (charge_station_id, event_time, evse_id, digest,
        received_at, time_source, flags, ocpp_version, direction, kind, action)
        VALUES ('cs', '2026-01-31', -1, 0, now(), 's', 0, '1.6', 'in', 'call', 'Heartbeat')"""
    assert tries("writer", "SELECT version FROM ocpp.schema_migrations")
    assert tries("writer", "SELECT ocpp.ensure_partition('ocpp_events', '2026-01-31')")
    assert tries("writer", insert)
    assert tries("writer", "UPDATE ocpp.ocpp_events SET flags = 1")
    assert tries("reader", "SELECT action FROM ocpp.ocpp_events")
    assert tries("reader", "SELECT action FROM ocpp.ocpp_events_2026_01")
    for view in ("meter_samples", "meter_values_json", "sessions", "suspicious_sessions"):
        assert tries("reader", f"SELECT * FROM ocpp.{view}")
    assert not tries("reader", "SELECT ocpp.ensure_partition('ocpp_events', '2026-02-28')")
    assert not tries("reader", insert)
    assert not tries("reader", "DELETE FROM ocpp.ocpp_events")
    assert not tries("writer", "DROP TABLE ocpp.ocpp_events_2026_01")
    assert not tries("writer", "CREATE TABLE ocpp.mine ()")
    assert not tries("writer", "UPDATE ocpp.schema_migrations SET version = 1")
    assert run_cli(database.settings(), "migrate", "down", "--all").returncode == OK
    cluster.stop()


def test_schema_made_by_an_administrator_is_enough(postgres, database):
    """The right to create tables in one schema, and nothing else in the database."""
    with psycopg.connect(database.dsn(), autocommit=True) as admin:
        admin.execute("CREATE ROLE guest LOGIN PASSWORD 'secret'")
        admin.execute("CREATE SCHEMA ocpp AUTHORIZATION guest")
    settings = postgres.settings(database.name, "guest", "secret")
    done = run_cli(settings, "migrate", "up")
    assert done.returncode == OK, done.stderr
    assert run_cli(settings, "migrate", "down", "--all").returncode == OK


def test_folders_that_are_no_migrations_are_refused(migrate, tmp_path):
    cases = [
        ({}, "there are no migrations in"),
        ({"000001_a.up": "", "000001_b.up": ""}, "two migrations have the number 1"),
        ({"000001_a.down": ""}, "has a down file but no up file"),
        ({"a.up": ""}, "is not named like a migration"),
        ({"000000_a.up": ""}, "is not named like a migration"),
        ({"000001_a": ""}, "is not named like a migration"),
        ({"000001_a.up": "SELECT '\0'"}, "has a NUL byte"),
    ]
    for number, (files, message) in enumerate(cases):
        folder = write(tmp_path / str(number), **files)
        done = migrate("up", "--path", folder)
        assert done.returncode == CONFIG, done.stderr
        assert message in done.stderr
    done = migrate("up", "--path", str(tmp_path / "not there"))
    assert done.returncode == CONFIG
    assert "could not open the folder of migrations" in done.stderr
    folder = write(tmp_path / "lonely", **{"000001_a.up": ""})
    assert migrate("up", "--path", folder).returncode == OK
    done = migrate("down", "1", "--path", folder)
    assert done.returncode == CONFIG
    assert 'migration "000001_a" has no down file' in done.stderr


def test_folder_as_url_with_other_files_beside(database, migrate, tmp_path):
    folder = write(tmp_path / "m", **{"20260131120000_late.up": "CREATE TABLE late ()",
                                      "7_early.up": "CREATE TABLE early ()"})
    with open(os.path.join(folder, "README.md"), "w") as f:
        f.write("not a migration")
    assert migrate("up", "--path", "file://" + folder).returncode == OK
    assert versions(database) == [(20260131120000, False)]
    assert migrate("status", "--path", folder).stdout == ("applied  7_early\n"
                                                          "applied  20260131120000_late\n")


def test_folder_by_setting_is_a_copy_of_ours(database, migrate, tmp_path):
    folder = str(tmp_path / "m")
    shutil.copytree(os.path.join(ROOT, "migrations"), folder)
    write(tmp_path / "m", **{f"{NEWEST + 1:06}_more.up": "CREATE TABLE more ()"})
    settings = {"storage.postgres.migrations_path": "file://" + folder}
    assert migrate("up", settings=settings).returncode == OK
    assert versions(database) == [(NEWEST + 1, False)]


@pytest.mark.parametrize("there", [True, False])
def test_maeves_migrations_path_is_left_alone(database, migrate, tmp_path, there):
    """MaEVE's block pasted as it is names a folder with its own migrations."""
    folder = str(tmp_path / "theirs")
    if there:
        write(tmp_path / "theirs", **{"000001_create_tokens_table.up": "CREATE TABLE theirs ()",
                                      "000001_create_tokens_table.down": "DROP TABLE theirs"})
    settings = {"storage.postgres.migrations_path": "file://" + folder}
    done = migrate("up", settings=settings)
    assert done.returncode == OK, done.stderr
    assert "migrations_path_ignored" in done.stderr and folder in done.stderr
    assert versions(database) == [(NEWEST, False)]
    assert database.value("SELECT to_regclass('ocpp.theirs') IS NULL"
                          " AND to_regclass('public.theirs') IS NULL")


def test_server_that_is_not_there_is_another_exit_code(database):
    settings = {**database.settings(port=rig.free_port())}
    done = run_cli(settings, "migrate", "up")
    assert done.returncode == DATABASE
    assert "error: " in done.stderr
