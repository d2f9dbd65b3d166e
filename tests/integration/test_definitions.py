"""What is compiled into the program about tables and flags, against the migrated database."""

import os
import re
import sys

from conftest import ROOT

sys.path.insert(0, os.path.join(ROOT, "tests", "lint"))
import words  # noqa: E402

TYPES = {"TEXT": "text", "TIME": "timestamp with time zone", "INT4": "integer", "INT8": "bigint",
         "CHAR": '"char"', "BOOL": "boolean", "NUMERIC": "numeric", "NUMERICS": "numeric[]",
         "JSONB": "jsonb", "BYTEA": "bytea"}

# Parameters of a statement that merges them into another table, or puts them into its arrays.
NOT_TABLES = {"answer_names", "exchange_pairs", "exchange_runs", "reported_costs",
              "reported_flags", "resent_events", "session_keys", "split_ids", "station_answers",
              "station_boots", "station_changes", "station_firmware", "station_heartbeats",
              "station_hours",
              "station_operations"}

# Columns of parameters that go into columns of other names.
GOES_INTO = {("dead_letters", "received_at"): "first_received_at"}


def definitions(name, macro):
    """The arguments of every use of a macro in a .def file."""
    with open(os.path.join(ROOT, "consumer", "rows", name)) as f:
        text = f.read()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    found = [tuple(re.split(r",\s*", arguments))
             for arguments in re.findall(rf"^\s*(?:{macro})\((.*)\)$", text, re.MULTILINE)]
    assert found
    return found


def columns(database):
    return {(table, column): kind for table, column, kind in database.rows("""
        SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'ocpp'::regnamespace AND c.relkind IN ('r', 'p')
          AND a.attnum > 0 AND NOT a.attisdropped""")}


def test_every_column_of_the_program_is_in_the_database(migrated):
    there = columns(migrated)
    wanted = {(table, column): TYPES[kind]
              for table, column, kind in definitions("tables.def", "COLUMN|COMMON")
              if table not in NOT_TABLES}
    assert {(table, column): there.get((table, GOES_INTO.get((table, column), column)))
            for table, column in wanted} == wanted


def test_tables_of_the_program_are_partitioned_as_it_believes(migrated):
    partitioned = {name for (name,) in migrated.rows(
        "SELECT relname::text FROM pg_class WHERE relkind = 'p'"
        " AND relnamespace = 'ocpp'::regnamespace")}
    assert {name for name, step, _ in definitions("tables.def", "TABLE")
            if step != "NONE"} == partitioned


def test_facts_of_a_transaction_are_columns_on_both_sides(migrated):
    there = columns(migrated)
    for column, _, source in definitions("transaction.def", "FACT"):
        kind = there.get(("transactions", column))
        assert kind is not None, column
        if source != "NONE":
            assert there.get(("transaction_events", source)) == kind, source


def test_flags_of_the_program_have_their_names_in_the_database(migrated):
    flags = [(int(bit), name) for bit, name, *_ in definitions("flags.def", "FLAG")]
    assert migrated.rows("SELECT n, flag_names(1 << n) FROM generate_series(0, 30) n"
                         " WHERE flag_names(1 << n) <> '{}' ORDER BY n") == [
        (bit, [name]) for bit, name in sorted(flags)]


def test_flags_mean_the_same_in_words(migrated):
    text = open(os.path.join(ROOT, "consumer", "rows", "flags.def")).read()
    flags = {int(bit): meaning for bit, meaning in
             re.findall(r'^FLAG\((\d+), \w+, "(.*)"\)$', text, re.MULTILINE)}
    assert len(flags) > 12
    assert dict(migrated.rows("SELECT n, (flag_meanings(1 << n))[1] FROM generate_series(0, 30) n"
                              " WHERE flag_meanings(1 << n) <> '{}'")) == flags


def test_comments_of_the_database_have_no_words_that_must_not_come_back(migrated):
    """Migrations that are released stay as they are, so the lint cannot read them."""
    wrong, right = words.read(ROOT)
    comments = [text for (text,) in migrated.rows("""
        SELECT pg_describe_object(classoid, objoid, objsubid) || ': ' || description
        FROM pg_description d
        WHERE EXISTS (SELECT FROM pg_class c WHERE c.oid = d.objoid
                      AND NOT c.relispartition AND c.relnamespace = 'ocpp'::regnamespace)
           OR EXISTS (SELECT FROM pg_proc p WHERE p.oid = d.objoid
                      AND p.pronamespace = 'ocpp'::regnamespace)""")]
    assert len(comments) > 300
    assert [text for text in comments
            if any(pattern.search(right.sub("", text)) for pattern, _ in wrong)] == []
