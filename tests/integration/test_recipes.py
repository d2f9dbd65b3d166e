"""The recipes of CONTRIBUTING.md for a table and for an entity of the store, followed to the letter
in a copy of the source: they need exactly the files that they name."""

import json
import os
import re
import shutil
import subprocess

import pytest
from conftest import ROOT, make_database

TABLE, ENTITY = "station_vendors", "depot"

STATE = """
TABLE(station_vendors, NONE, STATE)
    COLUMN(station_vendors, charge_station_id, TEXT)
    COLUMN(station_vendors, event_time, TIME)
    COLUMN(station_vendors, evse_id, INT4)
    COLUMN(station_vendors, digest, INT8)
    COMMON(station_vendors, received_at, TIME)
    COLUMN(station_vendors, vendor, TEXT)
END(station_vendors)
"""

STATE_UP = """
CREATE TABLE station_vendors (
    charge_station_id text COLLATE "C" PRIMARY KEY,
    vendor text NOT NULL,
    received_at timestamptz NOT NULL,
    digest bigint NOT NULL
);
SELECT grant_table('station_vendors');
"""

STATE_SQL = """
INSERT INTO station_vendors AS t (charge_station_id, vendor, received_at, digest)
SELECT DISTINCT ON (x.charge_station_id) x.charge_station_id, x.vendor, x.received_at, x.digest
FROM {unnest:station_vendors}
ORDER BY x.charge_station_id, x.received_at DESC, x.digest DESC
ON CONFLICT (charge_station_id) DO UPDATE
SET vendor = excluded.vendor, received_at = excluded.received_at, digest = excluded.digest
WHERE (excluded.received_at, excluded.digest) > (t.received_at, t.digest)
"""

STATE_SCHEMA = """
message DataTransfer 1.6 call

row ocpp_events

row station_vendors
    vendor  vendorId  string(255)  required
"""

ENTITY_UP = """
CREATE TABLE depots (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    last_updated timestamptz NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    flags integer,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
SELECT grant_table('depots');
CREATE OR REPLACE FUNCTION store_tables() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['tokens', 'charge_stations', 'charge_station_settings',
        'charge_station_runtime', 'charge_station_certificates', 'charge_station_triggers',
        'certificates', 'ocpi_registrations', 'ocpi_parties', 'locations', 'depots']
$$;
"""


def recipe(name):
    """The files that a recipe names, as they are named there."""
    with open(os.path.join(ROOT, "CONTRIBUTING.md")) as f:
        text = f.read()
    found = re.search(rf"^\*\*Add {name}\*\*.*?\n(- .*?)\n\n", text, re.MULTILINE | re.DOTALL)
    files = []
    for item in re.split(r"^- ", found[1], flags=re.MULTILINE):
        files += re.findall(r"`([^`]*)`", item.split(":")[0])
    assert files
    return files


class Copy:
    """A copy of the source, and what was added to it."""

    def __init__(self, folder):
        self.root = folder / "source"
        shutil.copytree(ROOT, self.root, ignore=shutil.ignore_patterns(
            "build", ".git", "__pycache__", ".cache"))
        self.touched = set()

    def migration(self, name, up, down):
        taken = [int(n[:6]) for n in os.listdir(self.root / "migrations") if n[:6].isdigit()]
        for direction, sql in ("up", up), ("down", down):
            file = f"{max(taken) + 1:06}_{name}.{direction}.sql"
            (self.root / "migrations" / file).write_text(sql)
            self.touched.add(f"migrations/NNNNNN_{name}.{direction}.sql")

    def add(self, path, text):
        assert not os.path.exists(self.root / path), path
        (self.root / path).write_text(text)
        self.touched.add(path)

    def insert(self, path, before, text):
        old = (self.root / path).read_text()
        assert old.count(before) == 1, (path, before)
        (self.root / path).write_text(old.replace(before, text + before))
        self.touched.add(path)

    def followed(self, files):
        assert self.touched == set(files)
        self.touched = set()

    def build(self):
        folder = self.root / "build"
        for command in (["cmake", "-S", self.root, "-B", folder, "-G", "Ninja",
                         "-DCMAKE_BUILD_TYPE=", "-DCMAKE_C_FLAGS=-O0"],
                        ["cmake", "--build", folder, "--target", "ocpp-persister"]):
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True)
            assert done.returncode == 0, done.stdout[-4000:]
        return folder / "ocpp-persister"


def add_table(copy):
    copy.migration(TABLE, STATE_UP, "DROP TABLE station_vendors;\n")
    copy.insert("consumer/rows/tables.def", "TABLE(meter_value_layouts, ", STATE)
    copy.add(f"consumer/copy/sql/{TABLE}.sql", STATE_SQL)
    copy.add("schemas/1.6-DataTransfer.schema", STATE_SCHEMA)
    copy.followed(name.replace("TABLE", TABLE).replace("VERSION-ACTION", "1.6-DataTransfer")
                  for name in recipe("a table"))


def add_entity(copy):
    copy.migration("depots", ENTITY_UP, "DROP TABLE depots;\n")
    copy.insert("consumer/store/entities.def", "ENTITY(location)", "".join(
        f"{line}\n" for line in (
            "ENTITY(depot)", "FIELD(depot, TEXT, id, NOT_NULL)",
            "FIELD(depot, TEXT, name, NOT_NULL)", "FIELD(depot, TIME, last_updated, FILLED)",
            "ENTITY_END(depot)")))
    copy.insert("consumer/store/kinds.def", "KIND(location,",
                'KIND(depot, "depot", depots, 1, 1)\n')
    copy.insert("consumer/store/queries.def", "QUERY(install_certificate_delete", "".join(
        f"QUERY(depot_{what})\n" for what in (
            "delete, ONE, gone, nothing, PRIMARY", "list, ONE, page, depot, REPLICA",
            "lookup, ONE, id, depot, PRIMARY", "set, ROWS, depot, nothing, PRIMARY")))
    for what in "set", "lookup", "list", "delete":
        like = (copy.root / f"consumer/store/sql/registration_{what}.sql").read_text()
        # Its fields are like those of a registration: token is id, status is name.
        copy.add(f"consumer/store/sql/depot_{what}.sql", like.replace(
            "ocpi_registrations", "depots").replace("token", "id").replace("status", "name"))
    copy.followed(name.replace("TABLE", "depots").replace("ENTITY", ENTITY)
                  for name in recipe("an entity of the store"))


@pytest.fixture
def run(postgres, tmp_path):
    """run(*arguments) of the program with both, on a database of its own."""
    copy = Copy(tmp_path)
    add_table(copy)
    add_entity(copy)
    binary = copy.build()
    database = make_database(postgres)
    options = [f"--{key}={value}" for key, value in database.settings().items()]

    def run(*arguments, input=None):
        done = subprocess.run([binary, *options, *map(str, arguments)], input=input, text=True,
                              capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run.database = database
    return run


def test_recipes_lead_to_a_table_and_an_entity_that_work(run, tmp_path):
    run("migrate", "up")
    export = tmp_path / "export"
    vendors = [("cs001", 1, "early"), ("cs001", 3, "late"), ("cs001", 2, "between"),
               ("cs002", 1, "only")]
    export.write_text("".join(
        json.dumps({"tst": f"2026-01-31T10:00:{n:02}Z", "topic": f"cs/in/ocpp1.6/{station}",
                    "qos": 1, "payload": json.dumps([2, str(n), "DataTransfer",
                                                     {"vendorId": vendor}])}) + "\n"
        for station, n, vendor in vendors))
    run("replay", export)
    assert run.database.rows("SELECT charge_station_id, vendor FROM station_vendors"
                             " ORDER BY 1") == [("cs001", "late"), ("cs002", "only")]

    run("store", "check")
    run("store", "depot", "set", "id=d1", "name=north")
    run("store", "depot", "set", "id=d2", "name=south")
    assert json.loads(run("store", "--json", "depot", "get", "d1"))["name"] == "north"
    run("store", "depot", "delete", "d1")
    assert [json.loads(line)["id"] for line in
            run("store", "--json", "depot", "list").splitlines()] == ["d2"]
    # Deleted before: what is older does not bring it back.
    run("store", "depot", "set", "id=d1", "name=old", "last_updated=2020-01-01T00:00:00Z")
    assert run.database.value("SELECT count(*) FROM depots WHERE NOT deleted") == 1
    run("migrate", "down", "2")
    assert run.database.value("SELECT to_regclass('ocpp.depots')") is None
