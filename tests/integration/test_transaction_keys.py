"""transaction_keys: kept as long as any table may have rows of their month."""

import os

from conftest import ROOT


def test_keys_stay_while_any_table_has_their_month(migrated):
    """One that took several months, also once it is retired, or only a part of one."""
    admin = migrated.connect()
    for name, begin, end in (("quarter", "2024-01-01", "2024-04-01"),
                             ("late_may", "2024-05-16", "2024-06-01")):
        admin.execute(f"CREATE TABLE {name} PARTITION OF transactions "
                      f"FOR VALUES FROM ('{begin}Z') TO ('{end}Z')")
    admin.execute("INSERT INTO transaction_keys (charge_station_id, transaction_id, "
                  "partition_time) SELECT 'cs', m, make_timestamptz(2024, m, 20, 0, 0, 0) "
                  "FROM generate_series(1, 6) m")
    keys = "SELECT transaction_id::integer FROM transaction_keys ORDER BY 1"
    for _ in range(2):  # attached, and retired
        migrated.value("SELECT prune_transaction_keys(100)")
        assert [month for month, in migrated.rows(keys)] == [1, 2, 3, 5]
        retired = admin.execute("SELECT retire_partition('transactions', name) "
                                "FROM partition_list() WHERE name = 'quarter'").fetchone()
    assert retired is None
    admin.execute("SELECT drop_retired(name) FROM partition_list() WHERE state = 'retired'")
    migrated.value("SELECT prune_transaction_keys(100)")
    assert [month for month, in migrated.rows(keys)] == [5]


def test_month_in_a_partition_of_several_is_found_without_a_list_of_all(migrated):
    """The writer's connection looks for each month that has keys, every minute."""
    session = migrated.connect(autocommit=False)
    session.execute("CREATE TABLE quarter PARTITION OF transactions "
                    "FOR VALUES FROM ('2024-01-01Z') TO ('2024-04-01Z')")
    session.execute("INSERT INTO transaction_keys (charge_station_id, transaction_id, "
                    "partition_time) SELECT 'cs', m, make_timestamptz(2024, m, 20, 0, 0, 0) "
                    "FROM generate_series(1, 3) m")
    session.execute("SET LOCAL track_functions = 'all'")
    assert session.execute("SELECT prune_transaction_keys(100)").fetchone() == (0,)
    called = {name for name, in session.execute(
        "SELECT funcname FROM pg_stat_xact_user_functions").fetchall()}
    assert "has_transactions" in called and "partition_states" not in called


def test_default_partition_keeps_the_keys_of_its_rows(migrated):
    """And those of all months while somebody has locked it, whom the writer does not wait for."""
    admin, locker = migrated.connect(), migrated.connect(autocommit=False)
    admin.execute("CREATE TABLE others PARTITION OF transactions DEFAULT")
    admin.execute("INSERT INTO transaction_keys (charge_station_id, transaction_id, "
                  "partition_time) SELECT 'cs', m, make_timestamptz(2024, m, 20, 0, 0, 0) "
                  "FROM generate_series(1, 3) m")
    admin.execute("INSERT INTO transactions (charge_station_id, transaction_id, partition_time, "
                  "flags, merge_state) VALUES ('cs', '2', make_timestamptz(2024, 2, 20, 0, 0, 0), "
                  "0, '')")
    locker.execute("LOCK TABLE others")
    assert admin.execute("SELECT prune_transaction_keys(100)").fetchone() == (0,)
    locker.rollback()
    assert admin.execute("SELECT prune_transaction_keys(100)").fetchone() == (2,)
    assert migrated.rows("SELECT transaction_id FROM transaction_keys") == [("2",)]


def test_what_an_older_version_retired_is_described_in_utc(migrated):
    """Whatever the session's zone and way of writing times: golang-migrate sets neither."""
    admin = migrated.connect()
    admin.execute("SELECT ensure_partition('transactions', '2024-01-05Z')")
    retired = admin.execute("SELECT retire_partition('transactions', 'transactions_2024_01')"
                            ).fetchone()[0]
    admin.execute(f"COMMENT ON TABLE {retired} IS NULL")
    admin.execute("SET datestyle = 'SQL, DMY'")
    for way in ("down", "up"):
        with open(os.path.join(ROOT, "migrations", f"000048_partition_states.{way}.sql")) as f:
            admin.execute(f.read())
    assert admin.execute(f"SELECT obj_description('{retired}'::regclass)").fetchone()[0] == (
        "ocpp-persister: rows from 2024-01-01 00:00:00.000000+00 to 2024-02-01 00:00:00.000000+00")
    assert migrated.rows("SELECT from_time = '2024-01-01Z', to_time = '2024-02-01Z', state "
                         "FROM partition_list() WHERE name = %s", retired) == [
        (True, True, "retired")]
