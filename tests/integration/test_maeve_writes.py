"""Schema maeve: what may be written there, who may, how look-ups run, on and off."""

import glob
import json
import os
import re
import subprocess

import psycopg
import pytest
import rig
from conftest import ROOT, make_database, run_cli
from test_maeve import REGISTER, TABLES, TOKEN, at, sample

OK, CONFIG, SCHEMA = 0, 3, 5

UUID = "00000000-0000-0000-0000-0000%08x"


@pytest.fixture
def maeve(migrated, migrate):
    """A connection to the test's database with schema maeve up."""
    done = migrate("maeve", "up")
    assert done.returncode == OK, done.stderr
    return migrated.connect(search_path="maeve")


@pytest.fixture
def listed(migrated):
    """listed("token"): what the store says."""
    def run(entity):
        done = run_cli(migrated.settings(), "store", entity, "list", "--json")
        assert done.returncode == OK, done.stderr
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        for row in rows:
            assert row.pop("last_updated", entity == "transaction")
        return rows

    return run


# ---- writes ----

def test_token_is_updated_or_inserted_as_maeve_does_it(maeve, listed):
    values = {**TOKEN, "last_updated": at("10:00:00")}
    names = [name for name in values if name != "uid"]
    update = (f"UPDATE tokens SET {', '.join(f'{n} = %({n})s' for n in names)},"
              " updated_at = NOW() WHERE uid = %(uid)s RETURNING *")
    insert = (f"INSERT INTO tokens ({', '.join(values)})"
              f" VALUES ({', '.join(f'%({n})s' for n in values)}) RETURNING *")
    assert maeve.execute(update, values).fetchall() == []
    row = maeve.execute(insert, values).fetchone()
    assert row[0] > 0 and None not in row[-3:]
    later = {**values, "valid": False, "last_updated": at("11:00:00")}
    assert maeve.execute(update + ", valid", later).fetchone()[-1] is False
    # what was said before does not count, however late it comes
    assert maeve.execute(update + ", valid", values).fetchone()[-1] is False
    assert maeve.execute(insert + ", valid", values).fetchone()[-1] is False
    told = {k: v for k, v in TOKEN.items() if k != "last_updated"}
    assert listed("token") == [{**told, "valid": False}]
    # by hand, without a time: now
    maeve.execute("UPDATE tokens SET valid = true, visual_number = 'V' WHERE uid = 'ABC'")
    assert listed("token") == [{**told, "visual_number": "V"}]
    assert maeve.execute("DELETE FROM tokens WHERE uid = 'ABC'").rowcount == 1
    assert maeve.execute("DELETE FROM tokens WHERE uid = 'ABC'").rowcount == 0
    assert maeve.execute(insert, values).fetchall() == []  # it was deleted after that
    assert listed("token") == []


def test_delete_leaves_the_key_and_nothing_else(maeve, migrated):
    maeve.execute("INSERT INTO charge_stations (charge_station_id, security_profile,"
                  " base64_sha256_password) VALUES ('cs1', 2, 'secret')")
    maeve.execute("INSERT INTO ocpi_parties (role, country_code, party_id, url, token)"
                  " VALUES ('CPO', 'GB', 'TWK', 'http://a', 'secret')")
    maeve.execute("DELETE FROM charge_stations")
    maeve.execute("DELETE FROM ocpi_parties")
    assert migrated.rows("SELECT charge_station_id, security_profile, base64_sha256_password,"
                         " deleted FROM charge_stations") == [("cs1", 0, None, True)]
    assert migrated.rows("SELECT role, country_code, party_id, url, token, deleted"
                         " FROM ocpi_parties") == [("CPO", "GB", "TWK", "", "", True)]


def test_stations_certificates_triggers_partners_and_locations_are_written(maeve, listed):
    maeve.execute("INSERT INTO charge_stations (charge_station_id, security_profile,"
                  " base64_sha256_password) VALUES ('cs1', 1, '')")
    maeve.execute("INSERT INTO charge_station_runtime (charge_station_id, ocpp_version, vendor)"
                  " VALUES ('cs1', '1.6', 'V')")
    for _ in range(2):  # as there: all are deleted, then inserted
        maeve.execute("DELETE FROM charge_station_certificates WHERE charge_station_id = 'cs1'")
        for id, after in (("a", "0001-01-01"), ("b", "2026-01-31 10:00")):
            maeve.execute("INSERT INTO charge_station_certificates (charge_station_id,"
                          " certificate_id, certificate_type, certificate,"
                          " certificate_installation_status, send_after)"
                          " VALUES ('cs1', %s, 'EVCC', 'PEM', 'Pending', %s)", (id, after))
    maeve.execute("INSERT INTO charge_station_triggers (charge_station_id, message_type,"
                  " trigger_status, send_after)"
                  " VALUES ('cs1', 'BootNotification', 'Pending', '0001-01-01')")
    maeve.execute("UPDATE charge_station_triggers SET trigger_status = 'Rejected'")
    maeve.execute("INSERT INTO ocpi_registrations (token, status) VALUES ('T', 'pending')")
    maeve.execute("UPDATE ocpi_registrations SET status = 'registered' WHERE token = 'T'")
    maeve.execute("INSERT INTO locations (id, location_data) VALUES ('l', '{\"Id\": \"l\"}')")
    assert listed("charge-station") == [{"charge_station_id": "cs1", "security_profile": 1,
                                         "invalid_username_allowed": False}]
    assert listed("runtime") == [{"charge_station_id": "cs1", "ocpp_version": "1.6",
                                  "vendor": "V"}]
    certificate = {"charge_station_id": "cs1", "certificate_type": "EVCC", "certificate": "PEM",
                   "status": "Pending"}
    assert sorted(listed("install-certificate"), key=lambda row: row["certificate_id"]) == [
        {**certificate, "certificate_id": "a"},
        {**certificate, "certificate_id": "b", "send_after": "2026-01-31T10:00:00Z"}]
    assert listed("trigger") == [{"charge_station_id": "cs1", "status": "Rejected",
                                  "message_type": "BootNotification"}]
    assert listed("registration") == [{"token": "T", "status": "registered"}]
    assert listed("location") == [{"id": "l", "country_code": "XX", "party_id": "XXX",
                                   "location": {"Id": "l"}}]
    for table in ("charge_stations", "charge_station_runtime", "charge_station_triggers"):
        assert maeve.execute(f"DELETE FROM {table}").rowcount == 1, table
        assert maeve.execute(f"SELECT FROM {table}").fetchall() == []


def test_settings_are_merged_and_an_old_map_brings_no_old_value_back(maeve, listed):
    def setting(value):
        return {"Value": value, "Status": "Pending", "SendAfter": "0001-01-01T00:00:00Z"}

    write = ("INSERT INTO charge_station_settings (charge_station_id, settings)"
             " VALUES ('cs1', %s) RETURNING settings")
    update = "UPDATE charge_station_settings SET settings = %s WHERE charge_station_id = 'cs1'"
    first = {"A": setting("1"), "B": setting("1")}
    assert maeve.execute(write, (json.dumps(first),)).fetchone()[0] == first
    read = maeve.execute("SELECT settings FROM charge_station_settings").fetchone()[0]
    maeve.execute(update, (json.dumps({**read, "A": setting("2")}),))
    # B as it was read before C came and B changed, beside a C of our own
    merged = maeve.execute(write, (json.dumps({"C": setting("3")}),)).fetchone()[0]
    assert merged == {"A": setting("2"), "B": setting("1"), "C": setting("3")}
    assert [(row["key"], row["value"]) for row in listed("setting")] == [
        ("A", "2"), ("B", "1"), ("C", "3")]
    assert maeve.execute("DELETE FROM charge_station_settings").rowcount == 1
    assert listed("setting") == []
    assert maeve.execute(write, (json.dumps({"A": setting("4")}),)).fetchone()[0] == {
        "A": setting("4")}


def test_only_the_settings_that_change_are_said_anew(maeve, migrated):
    one = {"Value": "1", "Status": "Accepted", "SendAfter": "2026-01-31T12:00:00+02:00"}
    write = "INSERT INTO charge_station_settings (charge_station_id, settings) VALUES ('cs1', %s)"
    said = ("SELECT settings #>> '{A,LastUpdated}', settings #>> '{B,LastUpdated}'"
            " FROM charge_station_settings")
    maeve.execute(write, (json.dumps({"A": one, "B": one}),))
    before, = migrated.rows(said)
    maeve.execute(write, (json.dumps({"A": {**one, "SendAfter": "2026-01-31T10:00:00Z"},
                                      "B": {**one, "Value": "2"}}),))
    after, = migrated.rows(said)
    assert (after[0], after[1] > before[1]) == (before[0], True)


def test_certificate_is_found_by_the_digest_of_its_der_form_and_of_its_text(
        maeve, listed, tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x",
                    "-keyout", tmp_path / "key", "-out", tmp_path / "crt"], check=True,
                   capture_output=True)
    pem = (tmp_path / "crt").read_text()
    hashed = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=pem, check=True, text=True,
                            capture_output=True).stdout.split()[0]
    maeve.execute("INSERT INTO certificates (certificate_hash, certificate_type, certificate_data)"
                  " VALUES (%s, 'PEM', %s)", (hashed, pem))
    row, = listed("certificate")
    assert row["pem"] == pem
    der = row["certificate_hash"]
    done = run_cli(maeve_settings(maeve), "store", "certificate", "set", input=json.dumps(
        {"pem": pem}))
    assert done.returncode == OK
    assert [row["certificate_hash"] for row in listed("certificate")] == [der]
    for key in (hashed, der):
        assert maeve.execute("SELECT certificate_data FROM certificates WHERE certificate_hash"
                             " = %s", (key,)).fetchall() == [(pem,)]
    assert maeve.execute("DELETE FROM certificates WHERE certificate_hash = %s",
                         (hashed,)).rowcount == 1
    assert listed("certificate") == []
    with pytest.raises(psycopg.errors.InvalidTextRepresentation, match="holds no certificate"):
        maeve.execute("INSERT INTO certificates (certificate_hash, certificate_data)"
                      " VALUES ('x', 'nothing')")


def maeve_settings(connection):
    info = connection.info
    return {"storage.postgres.host": info.host, "storage.postgres.port": info.port,
            "storage.postgres.database": info.dbname, "storage.postgres.user": info.user,
            "storage.postgres.password": info.password, "storage.postgres.ssl_mode": "disable"}


def test_transaction_is_created_updated_and_ended_as_maeve_does_it(maeve, listed):
    id = UUID % 4711
    value = [sample(1500, "Transaction.Begin", REGISTER, "Wh", 1, "Outlet"), sample(2.5)]
    row = maeve.execute("INSERT INTO transactions (id, charge_station_id, token_uid, token_type,"
                        " meter_start, start_timestamp, offline) VALUES"
                        " (%s, 'cs1', 'TAG', 'ISO14443', 1500, '2026-01-31 10:00', true)"
                        " RETURNING id, meter_stop, updated_seq_no", (id,)).fetchone()
    assert row == (id, None, 0)
    add = ("INSERT INTO transaction_meter_values (transaction_id, timestamp, sampled_values)"
           " VALUES (%s, %s, %s)")
    maeve.execute(add, (id, "2026-01-31 10:30", json.dumps(value)))
    row = maeve.execute("UPDATE transactions SET meter_stop = 9000, stop_timestamp ="
                        " '2026-01-31 11:00', stopped_reason = 'Remote', updated_seq_no = 2,"
                        " updated_at = NOW() WHERE id = %s RETURNING id, token_uid, meter_start,"
                        " meter_stop, start_timestamp, stop_timestamp, stopped_reason,"
                        " updated_seq_no, offline", (id,)).fetchone()
    assert row == (id, "TAG", 1500, 9000, at("10:00:00"), at("11:00:00"), "Remote", 2, True)
    maeve.execute("UPDATE transactions SET last_cost = 1.25, updated_at = NOW()"
                  " WHERE id = %s AND charge_station_id = 'cs1'", (id,))
    values = maeve.execute("SELECT timestamp, sampled_values FROM transaction_meter_values"
                           " WHERE transaction_id = %s ORDER BY timestamp", (id,)).fetchall()
    assert values == [(at("10:30:00"), value)]
    row, = listed("transaction")
    assert (row["transaction_id"], row["total_cost"], row["meter_start"], row["id_token"]) == (
        "4711", "1.2500", "1500", "TAG")
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match='no transaction "none"'):
        maeve.execute(add, ("none", "2026-01-31 10:30", "[]"))
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        maeve.execute("UPDATE transactions SET id = 'other'")


def test_what_the_station_reports_takes_the_place_of_what_was_told(maeve, running, publish):
    running()
    for number in (1, 2):
        maeve.execute("INSERT INTO transactions (id, charge_station_id, token_uid, token_type,"
                      " meter_start, start_timestamp) VALUES"
                      " (%s, 'cs1', 'TAG', 'ISO14443', 0, now())", (UUID % number,))
    # as a program may have told the store itself
    maeve.execute("UPDATE ocpp.store_transactions SET transaction_id = %s"
                  " WHERE transaction_id = '1'", (UUID % 1,))
    publish.call("cs1", "StartTransaction", {"connectorId": 1, "idTag": "TAG", "meterStart": 1500,
                                             "timestamp": "2026-01-31T10:00:00Z"})
    publish.result("cs1", "StartTransaction", {"transactionId": 1,
                                               "idTagInfo": {"status": "Accepted"}})
    ids = "SELECT id, meter_start FROM transactions ORDER BY id"
    rig.wait_until(lambda: maeve.execute(ids).fetchall() == [(UUID % 1, 1500), (UUID % 2, 0)], 30,
                   lambda: str(maeve.execute(ids).fetchall()))


def test_keys_cannot_be_changed_and_what_stations_say_cannot_be_written(maeve):
    maeve.execute("INSERT INTO ocpi_registrations (token, status) VALUES ('T', 'pending')")
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="cannot be changed"):
        maeve.execute("UPDATE ocpi_registrations SET token = 'U'")
    for table in ("meter_values", "connector_status", "charge_station_status"):
        with pytest.raises((psycopg.errors.ObjectNotInPrerequisiteState,
                            psycopg.errors.FeatureNotSupported)):
            maeve.execute(f"INSERT INTO {table} (charge_station_id) VALUES ('cs1')")


def test_upsert_by_on_conflict_is_what_a_view_cannot_take(maeve):
    """PostgreSQL's limit: docs/maeve.md says so."""
    with pytest.raises(psycopg.errors.InvalidColumnReference, match="ON CONFLICT"):
        maeve.execute("INSERT INTO ocpi_registrations (token, status) VALUES ('T', 'pending')"
                      " ON CONFLICT (token) DO UPDATE SET status = EXCLUDED.status")


# ---- rights ----

def test_roles_have_the_rights_they_have_on_the_tables_behind(maeve, migrated):
    cluster = migrated.cluster
    with psycopg.connect(cluster.dsn(), autocommit=True) as admin:
        for role in ("ocpp_writer", "ocpp_reader", None):
            name = (role or "none") + "_of_maeve"
            admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'"
                          + (f" IN ROLE {role}" if role else ""))
    maeve.execute("GRANT USAGE ON SCHEMA maeve TO none_of_maeve")
    maeve.execute("GRANT SELECT, INSERT, UPDATE ON tokens TO none_of_maeve")

    def may(role, sql):
        try:
            with psycopg.connect(cluster.dsn(migrated.name, role + "_of_maeve", "secret"),
                                 options="-c search_path=maeve") as connection:
                connection.execute(sql)
            return True
        except psycopg.errors.InsufficientPrivilege:
            return False

    insert = ("INSERT INTO tokens (uid, type, country_code, party_id, contract_id, issuer,"
              " cache_mode, last_updated) VALUES ('A', '', '', '', '', '', '', now())")
    assert may("ocpp_writer", insert) and may("none", insert)
    assert not may("none", "SELECT FROM ocpp.tokens") and not may("ocpp_reader", insert)
    assert not may("none", "DELETE FROM tokens")
    for table in TABLES:
        secret = table in ("charge_stations", "ocpi_registrations", "ocpi_parties")
        assert may("ocpp_writer", f"SELECT * FROM {table}"), table
        assert may("ocpp_reader", f"SELECT * FROM {table}") is not secret, table
    for function in ("write_row('tokens', 'uid', '{}')", "write_settings()",
                     "write_transaction()", "write_transaction_values()"):
        assert not may("none", "CREATE TEMP VIEW mine AS SELECT 'x' AS uid; CREATE TRIGGER t"
                               " INSTEAD OF INSERT ON mine FOR EACH ROW EXECUTE FUNCTION "
                               + function)
    for table in ("charge_station_status", "connector_status", "log_status"):
        assert not may("ocpp_writer", f"DELETE FROM {table}"), table


# ---- speed ----

def plan(connection, sql, *parameters):
    """{(table, kind of node, index)} of the nodes that ran, as a prepared statement."""
    connection.execute("DEALLOCATE ALL")
    connection.execute("PREPARE q AS " + re.sub("%s", "${}", sql).format(
        *range(1, len(parameters) + 1)))
    connection.execute("SET plan_cache_mode = force_generic_plan")
    text = connection.execute(
        "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, FORMAT JSON) EXECUTE q "
        f"({', '.join(map(repr, parameters))})").fetchone()[0]
    found = set()

    def walk(node):
        if node.get("Actual Loops", 0) > 0 and "Relation Name" in node:
            found.add((node["Relation Name"], node["Node Type"], node.get("Index Name")))
        if node.get("Actual Loops", 0) > 0 and node["Node Type"] == "Bitmap Index Scan":
            found.add((None, node["Node Type"], node["Index Name"]))
        for child in node.get("Plans", []):
            walk(child)

    walk(text[0]["Plan"])
    return found


@pytest.fixture
def filled(maeve, migrated):
    """Two months of transactions with meter values, so that indexes are worth it."""
    rows = migrated.connect()
    for table, step in (("meter_values", "1 day"), ("transactions", "1 month")):
        rows.execute("SELECT ensure_partition(%s, d) FROM generate_series("
                     "timestamptz '2026-01-01Z', timestamptz '2026-02-28Z', %s::interval) d",
                     (table, step))
    rows.execute("""INSERT INTO tokens (uid, type, country_code, party_id, contract_id, issuer,
        valid, cache_mode, last_updated) SELECT 'T' || n, '', '', '', '', '', true, '', now()
        FROM generate_series(1, 20000) n""")
    rows.execute("""INSERT INTO transaction_keys SELECT 'cs' || n % 50, n::text,
        timestamptz '2026-01-01Z' + n * interval '5 minutes' FROM generate_series(1, 16000) n""")
    rows.execute("""INSERT INTO transactions (charge_station_id, transaction_id, partition_time,
        flags, ocpp_version, started_at, stopped_at, first_event_at, last_event_at, merge_state)
        SELECT charge_station_id, transaction_id, partition_time, 0,
            CASE WHEN transaction_id::int % 2 = 0 THEN '1.6' ELSE '2.0.1' END, partition_time,
            partition_time + interval '1 hour', partition_time,
            partition_time + interval '1 hour', ''
        FROM transaction_keys""")
    rows.execute("""INSERT INTO meter_values (charge_station_id, event_time, digest, received_at,
        layout_id, evse_id, flags, time_source, source, transaction_id, sampled, raw)
        SELECT charge_station_id, partition_time + interval '10 minutes', 1, now(), 0, 1, 0, 's',
            'M', transaction_id, '{1}', '{"samples": [{"value": "1"}]}' FROM transaction_keys""")
    rows.execute("ANALYZE")
    return maeve


def test_look_ups_by_key_use_the_keys_of_our_tables(filled):
    for sql, key, expected in (
            ("tokens WHERE uid", "T77", ("tokens", "Index Scan", "tokens_pkey")),
            ("charge_stations WHERE charge_station_id", "x",
             ("charge_stations", "Index Scan", "charge_stations_pkey")),
            ("charge_station_settings WHERE charge_station_id", "x",
             ("charge_station_settings", "Index Scan", "charge_station_settings_pkey")),
            ("locations WHERE id", "x", ("locations", "Index Scan", "locations_pkey"))):
        filled.execute("SET enable_seqscan = off")  # most of these are empty
        assert plan(filled, f"SELECT * FROM {sql} = %s", key) == {expected}
    filled.execute("RESET enable_seqscan")
    assert plan(filled, "SELECT * FROM tokens WHERE uid = %s", "T77") == {
        ("tokens", "Index Scan", "tokens_pkey")}


@pytest.mark.parametrize("id, index", [
    (UUID % 4710, "maeve_transaction_keys_name"), ("4711", "maeve_transaction_keys_id")])
def test_transaction_is_found_by_its_id_in_one_partition(filled, id, index):
    ran = plan(filled, "SELECT * FROM transactions WHERE id = %s", id)
    assert ("transaction_keys", "Index Scan", index) in ran
    assert {name for name, _, _ in ran if re.match(r"transactions_\d", name)} == {
        "transactions_2026_01"}
    assert not any(kind == "Seq Scan" and name != "store_transactions" for name, kind, _ in ran)


def test_meter_values_of_a_transaction_are_found_in_the_partitions_of_its_days(filled):
    ran = plan(filled, "SELECT * FROM transaction_meter_values WHERE transaction_id = %s"
                       " ORDER BY timestamp", UUID % 4710)
    days = {name for name, _, _ in ran if name.startswith("meter_values_")}
    assert days == {f"meter_values_2026_01_{day}" for day in (16, 17, 18)}
    assert not any(kind == "Seq Scan" and name.startswith("meter_values") for name, kind, _ in ran)


def test_meter_values_of_a_station_use_the_key(filled):
    filled.execute("SET enable_seqscan = off")  # a day has few rows here
    ran = plan(filled, "SELECT * FROM meter_values WHERE charge_station_id = %s AND evse_id = %s"
                       " ORDER BY timestamp DESC LIMIT 5", "cs7", 1)
    assert {index for _, _, index in ran if index} >= {"meter_values_2026_01_31_pkey"}


# ---- on and off ----

def objects(database, schemas):
    return database.rows("""
        SELECT c.oid::int, c.relnamespace::regnamespace::text, c.relname::text, c.relacl::text
        FROM pg_class c WHERE c.relnamespace = ANY (%s::regnamespace[])
        UNION ALL
        SELECT p.oid::int, p.pronamespace::regnamespace::text, p.proname::text, p.proacl::text
        FROM pg_proc p WHERE p.pronamespace = ANY (%s::regnamespace[])
        ORDER BY 1""", schemas, schemas)


def test_down_removes_all_of_it_and_leaves_the_rest_untouched(migrated, migrate):
    public = migrated.connect(search_path="public")
    for name in ("tokens", "transactions", "schema_migrations"):
        public.execute(f"CREATE TABLE {name} (id text)")
    before = objects(migrated, ["ocpp", "public"])
    assert migrate("maeve", "version").stdout == "0\n"
    for _ in range(2):
        assert migrate("maeve", "up").returncode == OK
        assert migrate("maeve", "up").returncode == OK
        # its indexes, with the part that one of them has in each partition
        assert [row for row in objects(migrated, ["ocpp", "public"])
                if not re.match(r"maeve_|ocpp_events_\w+_reservation_of_idx$", row[2])] == before
        done = migrate("maeve", "down")
        assert done.returncode == OK, done.stderr
        assert "schema maeve is at version 0" in done.stderr
        assert objects(migrated, ["ocpp", "public"]) == before
        assert {name for _, _, name, _ in objects(migrated, ["maeve"])} == {
            "schema_migrations", "schema_migrations_pkey"}
    assert migrate("maeve", "up", "1").returncode == OK
    made = glob.glob(os.path.join(ROOT, "migrations", "maeve", "*.up.sql"))
    assert migrate("maeve", "status").stdout.split()[::2] == \
        ["applied", *["pending"] * (len(made) - 1)]
    assert migrate("version").stdout != migrate("maeve", "version").stdout == "1\n"
    assert migrate("maeve", "down", "1").returncode == OK


def test_it_is_off_by_default(migrated):
    assert migrated.value("SELECT to_regnamespace('maeve') IS NULL")


def test_it_needs_the_tables_that_it_is_made_of_under_their_name(database, migrate):
    done = migrate("maeve", "up")
    assert done.returncode == SCHEMA
    assert "hint: `ocpp-persister migrate up` brings it up to date" in done.stderr
    done = migrate("maeve", "up", settings={"storage.postgres.schema": "other"})
    assert done.returncode == CONFIG
    assert "schema maeve is made of schema ocpp" in done.stderr
    assert database.value("SELECT to_regnamespace('maeve') IS NULL")


def test_migration_of_our_tables_that_views_are_in_the_way_of_says_what_to_do(maeve, migrate):
    done = migrate("down", "--all")
    assert done.returncode == SCHEMA
    assert "hint: views of schema maeve are in the way: `ocpp-persister migrate maeve down`" \
        in done.stderr
    assert migrate("maeve", "down").returncode == OK
    assert migrate("down", "--all").returncode == OK
    assert migrate("up").returncode == OK
    assert migrate("maeve", "up").returncode == OK


def test_golang_migrate_can_do_it_too(migrated, migrate):
    """What its driver does with search_path=maeve: its own table, the whole file as one query."""
    folder = os.path.join(ROOT, "migrations", "maeve")
    names = sorted({name.split(".")[0] for name in os.listdir(folder)})
    connection = migrated.connect(search_path="maeve")
    connection.execute("CREATE SCHEMA maeve")
    connection.execute("CREATE TABLE IF NOT EXISTS schema_migrations "
                       "(version bigint not null primary key, dirty boolean not null)")

    def run(name):
        with open(os.path.join(folder, name + ".sql")) as f:
            connection.execute(f.read())

    for version, name in enumerate(names[:2], 1):
        run(name + ".up")
        connection.execute("TRUNCATE schema_migrations")
        connection.execute("INSERT INTO schema_migrations VALUES (%s, false)", (version,))
    done = migrate("maeve", "up")
    assert [line.split()[1] for line in done.stderr.splitlines()[:-1]] == names[2:]
    for name in names[::-1]:
        run(name + ".down")
    assert {name for _, _, name, _ in objects(migrated, ["maeve"])} == {
        "schema_migrations", "schema_migrations_pkey"}


def test_maeves_own_tables_serve_where_we_have_none(maeve, postgres, migrated):
    """search_path = maeve, public: MaEVE's requests to stations stay in its own tables."""
    public = migrated.connect(search_path="public")
    public.execute("CREATE TABLE tokens (uid text)")
    public.execute("CREATE TABLE reset_request (charge_station_id text PRIMARY KEY, type text)")
    both = migrated.connect(search_path="maeve,public")
    both.execute("INSERT INTO reset_request VALUES ('cs1', 'Soft')")
    both.execute("INSERT INTO tokens (uid, type, country_code, party_id, contract_id, issuer,"
                 " cache_mode, last_updated) VALUES ('A', '', '', '', '', '', '', now())")
    assert public.execute("SELECT type FROM reset_request").fetchall() == [("Soft",)]
    assert public.execute("SELECT count(*) FROM tokens").fetchone() == (0,)
    assert both.execute("SELECT count(*) FROM tokens WHERE uid = 'A'").fetchone() == (1,)


def test_views_work_for_the_owner_of_a_database_without_roles(workspace):
    cluster = rig.Postgres(workspace, fast=True, name="no_roles").start()
    database = make_database(cluster, owner="plain", owner_rights="NOSUPERUSER NOCREATEROLE")
    for words in (("up",), ("maeve", "up"), ("maeve", "down"), ("maeve", "up")):
        done = run_cli(database.settings(), "migrate", *words)
        assert done.returncode == OK, done.stderr
    for table in TABLES:
        assert database.rows(f"SELECT * FROM maeve.{table}") == []
    cluster.stop()
