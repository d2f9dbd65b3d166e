"""`migrate roles`; and what commands report to a role without rights."""

import re

import psycopg
import pytest
import rig
from conftest import make_database, run_cli

MARCH = "SELECT ocpp.ensure_partition(t, '2026-03-01') FROM unnest(ARRAY['meter_values', " \
        "'transactions', 'ocpp_events']) t"
NOTHING = "ocpp_writer and ocpp_reader have their rights: nothing to change"


def rights(database):
    """What the two roles were given, as (object, role, right). What migrations grant on views of
    ocpp besides SELECT has no meaning, as nothing can be written through them."""
    return {(name, role, privilege) for name, role, privilege in database.rows("""
        SELECT s.name, a.grantee::regrole::text, a.privilege_type FROM (
            SELECT n.nspname::text AS name, n.nspacl AS acl, 'n' AS kind FROM pg_namespace n
            UNION ALL
            SELECT n.nspname || '.' || c.relname, c.relacl, n.nspname || c.relkind::text
            FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            UNION ALL
            SELECT n.nspname || '.' || c.relname || '.' || t.attname, t.attacl, 'a'
            FROM pg_attribute t
            JOIN pg_class c ON c.oid = t.attrelid
            JOIN pg_namespace n ON n.oid = c.relnamespace
            UNION ALL
            SELECT p.oid::regprocedure::text, p.proacl, 'f' FROM pg_proc p
        ) s, aclexplode(s.acl) a
        WHERE a.grantee IN ('ocpp_writer'::regrole, 'ocpp_reader'::regrole)
          AND (s.kind <> 'ocppv' OR a.privilege_type = 'SELECT')""")}


def execute(database, *statements):
    with psycopg.connect(database.dsn(), autocommit=True,
                         options="-c search_path=ocpp") as connection:
        for sql in statements:
            connection.execute(sql)


def take_all(database):
    execute(database, *(f"REVOKE {what} FROM ocpp_writer, ocpp_reader"
                        for schema in ("ocpp", "maeve") for what in (
                            f"ALL ON SCHEMA {schema}", f"ALL ON ALL TABLES IN SCHEMA {schema}",
                            f"ALL ON ALL FUNCTIONS IN SCHEMA {schema}")))


def test_roles_made_after_the_migrations_get_what_these_would_have_given(workspace):
    cluster = rig.Postgres(workspace, fast=True, name="roles").start()
    late = make_database(cluster, owner="boss")
    for arguments in (["up"], ["maeve", "up"]):
        assert run_cli(late.settings(), "migrate", *arguments).returncode == 0
    # Not ours to open, whoever made it.
    execute(late, MARCH, "CREATE TABLE ocpp.notes (n text)", "CREATE VIEW ocpp.raw AS "
            "SELECT payload_raw FROM ocpp.meter_values")
    done = run_cli(late.settings(), "migrate", "roles")
    assert done.returncode == 4, done
    assert "could not create role ocpp_writer: permission denied" in done.stderr
    made = re.findall(r"CREATE ROLE \w+", done.stderr)
    with psycopg.connect(cluster.dsn(), autocommit=True) as admin:
        for sql in made:
            admin.execute(sql)

    early = make_database(cluster)
    for arguments in (["up"], ["maeve", "up"]):
        assert run_cli(early.settings(), "migrate", *arguments).returncode == 0
    execute(early, MARCH)
    wanted = rights(early)
    assert ("ocpp.meter_values_2026_03_01", "ocpp_writer", "INSERT") in wanted
    assert ("ocpp.meter_values_2026_03_01.layout_id", "ocpp_reader", "SELECT") in wanted
    # So the list in roles.sql is that of the migrations: nothing more,
    done = run_cli(early.settings(), "migrate", "roles")
    assert (done.returncode, done.stderr) == (0, NOTHING + "\n")

    # and nothing less.
    assert rights(late) == set()
    done = run_cli(late.settings(), "migrate", "roles")
    assert done.returncode == 0, done
    assert re.search(r"^GRANT SELECT, INSERT, UPDATE, DELETE ON ocpp\.meter_values, "
                     r"ocpp\.meter_values_2026_03_01, .* TO ocpp_writer;$", done.stderr, re.M)
    assert rights(late) == wanted
    assert run_cli(late.settings(), "migrate", "roles").stderr == NOTHING + "\n"
    cluster.stop()


def test_rights_that_were_lost_come_back(migrated, migrate):
    assert migrate("maeve", "up").returncode == 0
    execute(migrated, MARCH)
    before = rights(migrated)
    execute(migrated, "REVOKE INSERT ON meter_values_2026_03_01 FROM ocpp_writer",
            "REVOKE SELECT (layout_id) ON meter_values_2026_03_01 FROM ocpp_reader",
            "REVOKE EXECUTE ON FUNCTION ensure_partition FROM ocpp_writer",
            "REVOKE UPDATE ON maeve.transactions FROM ocpp_writer")
    done = migrate("roles")
    assert done.returncode == 0, done
    said = done.stderr.splitlines()
    assert "GRANT INSERT ON ocpp.meter_values_2026_03_01 TO ocpp_writer;" in said
    assert "GRANT UPDATE ON maeve.transactions TO ocpp_writer;" in said
    assert len(said) == 4 and all(line.startswith("GRANT ") for line in said), said
    assert rights(migrated) == before
    take_all(migrated)
    assert migrate("roles").returncode == 0
    assert rights(migrated) == before


def test_table_that_inherits_from_ours_is_somebody_elses(migrated, migrate):
    """It is not a partition: neither its rights nor its rows are ours."""
    execute(migrated, "CREATE TABLE of_mine () INHERITS (tokens)")
    assert migrate("roles").stderr == NOTHING + "\n"
    done = run_cli(migrated.writer_settings(), "forget", "ALICE", "--dry-run")
    assert done.returncode == 0, done


def test_role_that_may_not_give_them_is_told_what_the_owner_has_to_run(migrated, migrate):
    settings = migrated.writer_settings()
    execute(migrated, MARCH)
    before = rights(migrated)
    execute(migrated, "REVOKE INSERT, UPDATE ON meter_values_2026_03_01, tokens FROM ocpp_writer",
            "REVOKE ALL ON sessions FROM ocpp_reader")
    lacking = rights(migrated)
    done = run_cli(settings, "migrate", "roles")
    assert done.returncode == 4, done
    assert 'role "persister" may not grant the missing rights' in done.stderr
    assert '-- as role "postgres":' in done.stderr and "nothing was changed" in done.stderr
    assert rights(migrated) == lacking
    execute(migrated, *re.findall("^GRANT .*$", done.stderr, re.M))
    assert rights(migrated) == before
    assert run_cli(settings, "migrate", "roles").stderr == NOTHING + "\n"


def test_readers_that_may_read_secrets_are_named(migrated, migrate):
    before = rights(migrated)
    execute(migrated, "GRANT SELECT ON ALL TABLES IN SCHEMA ocpp TO ocpp_reader")
    done = migrate("roles")
    assert done.returncode == 0, done
    assert re.search(r"^warning: ocpp_reader may read columns of (ocpp\.)?dead_letters that can "
                     r"hold secrets: .*payload", done.stderr, re.M)
    execute(migrated, *re.findall("^hint: (REVOKE .*); then run this again$", done.stderr, re.M))
    assert migrate("roles").returncode == 0
    assert rights(migrated) == before


def test_roles_of_schema_maeve_come_with_the_others(migrate):
    done = migrate("maeve", "roles")
    assert done.returncode == 2, done
    assert '"migrate roles" grants the rights on schema maeve' in done.stderr


COMMANDS = {
    "verify": ["verify"],
    "dead letters": ["dead-letters", "list"],
    "requeue": ["dead-letters", "requeue", "--all"],
    "sessions": ["sessions"],
    "history": ["history", "cs1"],
    "partitions": ["partitions", "list"],
    "replay": ["replay", "{file}"],
    "store": ["store", "token", "list"],
    "migrate": ["migrate", "up"],
    "roles": ["migrate", "roles"],
}


@pytest.mark.parametrize("which", COMMANDS)
def test_no_rights_are_told_from_no_schema(migrated, tmp_path, which):
    (tmp_path / "file").write_text("")
    arguments = [word.format(file=tmp_path / "file") for word in COMMANDS[which]]
    settings = {**migrated.writer_settings(), "spool.dir": tmp_path / "spool"}
    execute(migrated, "REVOKE USAGE ON SCHEMA ocpp FROM ocpp_writer")
    done = run_cli(settings, *arguments)
    assert done.returncode == 4, done
    assert 'role "persister" may not use schema "ocpp": it lacks USAGE' in done.stderr
    assert "hint: `ocpp-persister migrate roles`, as the owner" in done.stderr
    assert "migrate up" not in done.stderr
    execute(migrated, "DROP SCHEMA ocpp CASCADE")
    done = run_cli(settings, *arguments)
    if which == "migrate":
        assert done.returncode == 4 and "could not create schema" in done.stderr, done
    else:
        assert done.returncode == 5 and "migrate up" in done.stderr, done


# What is done to the schema, what is said, the remedy.
SCHEMAS = {
    "older": ("UPDATE schema_migrations SET version = version - 1",
              "the database is at version", "`ocpp-persister migrate up` brings it there"),
    "newer": ("UPDATE schema_migrations SET version = version + 1",
              "this program knows", "run the newer program"),
    "half": ("UPDATE schema_migrations SET dirty = true",
             "was begun and not finished", "migrate force"),
    "none": ("DROP SCHEMA ocpp CASCADE",
             'the database has no schema "ocpp"', "`ocpp-persister migrate up` creates it"),
}


@pytest.mark.parametrize("which", SCHEMAS)
def test_each_command_names_a_schema_that_is_not_its_own(migrated, tmp_path, which):
    (tmp_path / "file").write_text("")
    change, says, remedy = SCHEMAS[which]
    execute(migrated, change)
    settings = {**migrated.settings(), "spool.dir": tmp_path / "spool"}
    for arguments in [*[COMMANDS[name] for name in COMMANDS if COMMANDS[name][0] != "migrate"],
                      ["dead-letters", "show", "--all"], ["dead-letters", "requeue", "--all"],
                      ["dead-letters", "discard", "--all"], ["signatures", "check"],
                      ["energy", "refresh"],
                      ["store", "check"], ["store", "export"],
                      ["partitions", "ensure"], ["partitions", "drop", "--older-than", "90d"],
                      ["forget", "nobody", "--dry-run"], ["broker", "end-session", "gone"]]:
        done = run_cli(settings, *[word.format(file=tmp_path / "file") for word in arguments])
        assert done.returncode == 5, (arguments, done)
        assert says in done.stderr and remedy in done.stderr, (arguments, done)


@pytest.mark.parametrize("which", ["no schema", "schema of somebody else", "role in no group"])
def test_hints_to_who_may_not_migrate_are_enough(database, migrate, which):
    name = f"new_of_{database.name}"
    execute(database, f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    settings = database.cluster.settings(database.name, name, "secret")
    if which != "no schema":
        execute(database, "CREATE SCHEMA ocpp")
    if which == "schema of somebody else":
        execute(database, f"GRANT USAGE ON SCHEMA ocpp TO {name}")
    asked = 0
    while (done := run_cli(settings, "migrate", "up")).returncode == 4 and asked < 2:
        hint = re.search("^hint: (.*)$", done.stderr, re.M)[1]
        # The first of the remedies that the hint names.
        execute(database, re.search("(GRANT (?:CREATE|USAGE).*?)(;|$)", hint)[1])
        asked += 1
    assert done.returncode == 0 and asked == (2 if which == "role in no group" else 1), done
    execute(database, f"DROP OWNED BY {name} CASCADE", f"DROP ROLE {name}")
