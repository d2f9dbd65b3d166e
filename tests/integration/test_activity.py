"""When stations were heard from, how much they have sent, how far their clocks are off: the view
stations, and the tables it reads."""

import datetime
import json
import random

import psycopg
import pytest
import rig
from conftest import run_cli, stored

EPOCH = datetime.datetime(2026, 1, 31, 10, tzinfo=datetime.timezone.utc)
STATE = """SELECT charge_station_id, first_message_at, last_message_at, messages, transactions,
    firmware_version, firmware_at, clock_hours, clock_offsets_us FROM station_activity ORDER BY 1"""
CHANGES = """INSERT INTO station_changes (stations, charge_station_id, first_at, last_at, messages,
        transactions, clock_offset_us, booted, firmware_version, firmware_at)
    VALUES (cardinality(%(charge_station_id)s::text[]), %(charge_station_id)s::text[],
        %(first_at)s::timestamptz[], %(last_at)s::timestamptz[], %(messages)s::integer[],
        %(transactions)s::integer[], %(clock_offset_us)s::bigint[], %(booted)s::text[],
        %(firmware_version)s::text[], %(firmware_at)s::timestamptz[])"""


def station(database, name):
    """{column: value} of its row."""
    [(row,)] = database.rows(
        "SELECT to_jsonb(s) FROM stations s WHERE charge_station_id = %s", name)
    return row


def fold(database):
    return database.value("SELECT fold_station_changes()")


def at(**ago):
    return (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(**ago)).isoformat()


def boot(publish, name, firmware=None, **more):
    publish.call(name, "BootNotification", {
        "chargePointVendor": "V", "chargePointModel": "M", "chargePointSerialNumber": "S",
        **({"firmwareVersion": firmware} if firmware else {})}, **more)


def status(publish, name, time, connector=1, **more):
    publish.call(name, "StatusNotification", {"connectorId": connector, "errorCode": "NoError",
                                              "status": "Available", "timestamp": time}, **more)


def kept(publish, name, time):
    """The same, kept by the broker for those who will subscribe."""
    message = publish.client.publish(f"cs/in/ocpp1.6/{name}", json.dumps([
        2, "1", "StatusNotification", {"connectorId": 1, "errorCode": "NoError",
                                       "status": "Available", "timestamp": time}]), 1, retain=True)
    rig.wait_until(message.is_published, what="the PUBACK")


def seconds(interval):
    hours, minutes, rest = interval.replace("-", "").split(":")
    sign = -1 if interval.startswith("-") else 1
    return sign * (int(hours) * 3600 + int(minutes) * 60 + float(rest))


def test_station_is_known_by_its_messages(running, migrated, publish):
    p = running({"events.skip": "Heartbeat"})
    boot(publish, "cs1", "1.0", id="b1")
    boot(publish, "cs1", id="b2")  # names no firmware
    for _ in range(2):  # the second is a repeat
        publish.call("cs1", "StartTransaction", {
            "connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": "2026-01-31T10:00:00Z"})
    publish.result("cs1", "StartTransaction", {"transactionId": 7,
                                               "idTagInfo": {"status": "Accepted"}})
    publish.call("cs1", "DataTransfer", {"vendorId": "V"}, direction="out", id="d")
    publish.call("beats", "Heartbeat", {}, id="h")
    publish.call("told", "Reset", {"type": "Soft"}, direction="out", id="r")
    stored(migrated, 8)
    p.stop()
    for folded in 0, 1:
        row = station(migrated, "cs1")
        assert (row["messages"], row["transactions"], row["counted_from"]) == (3, 1, None)
        assert (row["vendor"], row["model"], row["serial_number"]) == ("V", "M", "S")
        assert row["firmware_version"] == ("1.0" if folded else None)
        assert row["first_message_at"] < row["last_boot_at"] < row["last_message_at"]
        # Even a message that is not stored is a sign of life. One to the station is not.
        assert station(migrated, "beats")["messages"] == 0
        assert migrated.rows("SELECT 1 FROM stations WHERE charge_station_id = 'told'") == []
        fold(migrated)
    assert migrated.value("SELECT count(*) FROM station_changes") == 0
    # No token is there.
    assert migrated.rows("SELECT 1 FROM station_activity a WHERE a::text ~ '[(,]T[,)]'") == []


def test_clock_is_off_by_what_the_best_messages_say(running, migrated, publish):
    p = running()
    status(publish, "slow", at(minutes=10))
    status(publish, "slow", at(hours=5), 2)  # waited while the station was offline
    status(publish, "fast", at(minutes=-3))
    status(publish, "fast", at(days=300), 2)
    publish.call("queued", "TransactionEvent", {
        "eventType": "Started", "timestamp": at(hours=3), "triggerReason": "CablePluggedIn",
        "seqNo": 0, "offline": True, "transactionInfo": {"transactionId": "T"}}, version="2.0.1")
    kept(publish, "kept", at(hours=1))
    publish.call("timeless", "Heartbeat", {})
    stored(migrated, 7)
    p.stop()
    # What the broker keeps is delivered to whoever subscribes, at any time.
    kept(publish, "kept before", at(hours=1))
    p = running()
    stored(migrated, 9)
    p.stop()
    fold(migrated)
    found = {name: offset and seconds(offset) for name, offset in migrated.rows(
        "SELECT charge_station_id, clock_offset::text FROM stations")}
    assert found.pop("slow") == pytest.approx(-600, abs=60)
    assert found.pop("fast") == pytest.approx(180, abs=60)
    assert found.pop("kept") == pytest.approx(-3600, abs=60)  # delivered immediately, too
    assert found == {"queued": None, "timeless": None, "kept before": None}


def test_replay_of_old_messages_takes_nothing_back(running, migrated, publish, tmp_path):
    p = running()
    boot(publish, "cs1", "2.0")
    status(publish, "cs1", at(minutes=10))
    stored(migrated, 2)
    p.stop()
    fold(migrated)
    before = station(migrated, "cs1")
    log, capture = p.settings["spool.dir"], tmp_path / "capture"
    capture.write_text("".join(
        f"{EPOCH.timestamp() + n} 1 cs/in/ocpp1.6/{name} {json.dumps(message).encode().hex()}\n"
        for name in ("cs1", "cs2") for n, message in enumerate([
            [2, "1", "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M",
                                          "firmwareVersion": "0.9"}],
            [2, "2", "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status":
                                            "Faulted", "timestamp": "2026-01-31T11:00:00Z"}]])))
    for source in log, capture, capture, log:
        assert run_cli(migrated.settings(), "replay", source).returncode == 0
    for _ in range(2):
        row = station(migrated, "cs1")
        assert row["messages"] == 4 and row["first_message_at"].startswith("2026-01-31T10:00:00")
        for column in ("last_message_at", "firmware_version", "clock_offset", "last_boot_at",
                       "clock_offset_at"):
            assert row[column] == before[column], column
        assert station(migrated, "cs2")["clock_offset"] is None
        fold(migrated)
    assert station(migrated, "cs2")["firmware_version"] == "0.9"


BOOTS = ("booted", "firmware_version", "firmware_at")


def changes(rng, elements):
    """One row, as parameters."""
    rows, boots = [], []
    for _ in range(elements):
        first = EPOCH + datetime.timedelta(minutes=rng.randint(0, 600))
        last, name = first.replace(minute=59), f"cs{rng.randint(1, 20):02}"
        rows.append({
            "charge_station_id": name, "first_at": first, "last_at": last,
            "messages": rng.randint(1, 9), "transactions": rng.randint(0, 2),
            "clock_offset_us": rng.randint(-9, 9) if rng.random() < 0.5 else None})
        if rng.random() < 0.2:
            boots.append((name, rng.choice("abc"), last))
    return {**{column: [row[column] for row in rows] for column in rows[0]},
            **{column: [boot[n] for boot in boots] for n, column in enumerate(BOOTS)}}


def test_what_is_folded_depends_on_no_order(migrated):
    rng = random.Random(1)
    rows = [changes(rng, rng.randint(1, 30)) for _ in range(60)]
    found = []
    with migrated.connect() as session:
        for size in 1000, 1, 7, 100:
            session.execute("TRUNCATE station_activity")
            for row in rows:
                session.execute(CHANGES, row)
                if rng.random() < 0.3:
                    session.execute("SELECT fold_station_changes(%s)", (size,))
            while session.execute("SELECT fold_station_changes(%s)", (size,)).fetchone()[0]:
                pass
            found.append(session.execute(STATE).fetchall())
            rng.shuffle(rows)
    assert all(other == found[0] for other in found)
    # And it is what the rows say.
    name, first, last, messages, _, firmware, firmware_at, hours, offsets = found[0][0]
    own = [{column: row[column][n] for column in row if column not in BOOTS}
           for row in rows for n in range(len(row["messages"]))
           if row["charge_station_id"][n] == name]
    assert (first, last) == (min(x["first_at"] for x in own), max(x["last_at"] for x in own))
    assert messages == sum(x["messages"] for x in own)
    assert (firmware_at, firmware) == max(
        (at, version) for row in rows for booted, version, at in zip(*(row[c] for c in BOOTS))
        if booted == name)
    best = {}
    for x in own:
        if x["clock_offset_us"] is not None:
            hour = x["last_at"].replace(minute=0)
            best[hour] = max(best.get(hour, x["clock_offset_us"]), x["clock_offset_us"])
    newest = sorted(best.items(), reverse=True)[:3]
    assert list(zip(hours, offsets)) == newest and len(newest) == 3
    assert (migrated.value("SELECT clock_offset FROM stations WHERE charge_station_id = %s", name)
            == datetime.timedelta(microseconds=sorted(offsets)[1]))


def test_one_session_folds_and_nobody_waits_for_it(migrated):
    with migrated.connect() as other:
        other.execute("SET lock_timeout = '5s'")
        other.execute(CHANGES, changes(random.Random(2), 10))
        with migrated.connect(autocommit=False) as first:
            assert first.execute("SELECT fold_station_changes()").fetchone() == (10,)
            other.execute(CHANGES, changes(random.Random(3), 10))
            assert other.execute("SELECT fold_station_changes()").fetchone() == (0,)
            first.rollback()
        assert other.execute("SELECT fold_station_changes()").fetchone() == (20,)


def test_the_service_folds(running, migrated, publish):
    with migrated.connect() as session:
        session.execute(CHANGES, changes(random.Random(4), 10))
    p = running()
    rig.wait_until(lambda: migrated.value("SELECT count(*) FROM station_changes") == 0,
                   what=lambda: rig.tail(p.log))


def test_what_was_stored_before_is_found(migrated, migrate):
    assert migrate("goto", "44").returncode == 0
    with migrated.connect() as session:
        assert session.execute("SELECT to_regclass('stations')").fetchone() == (None,)
        for day in 29, 30, 31:
            session.execute("SELECT ensure_partition('meter_values', %s)",
                            (EPOCH.replace(day=day),))
            for name in "both", f"day{day}":
                session.execute("""INSERT INTO meter_values (charge_station_id, event_time,
                        received_at, digest, layout_id, evse_id, flags, time_source, source,
                        sampled)
                    VALUES (%s, %s, %s, 1, 0, 1, 0, 's', 'M', '{}')""",
                                (name, EPOCH.replace(day=day), EPOCH.replace(day=day, hour=12)))
        session.execute("SELECT ensure_partition('ocpp_events', %s)", (EPOCH,))
        for name, direction in ("both", "in"), ("told", "out"):
            session.execute("""INSERT INTO ocpp_events (charge_station_id, event_time, received_at,
                    digest, evse_id, flags, time_source, ocpp_version, direction, kind, action)
                VALUES (%s, %s, %s, 1, -1, 0, 'r', '1.6', %s, 'call', 'X')""",
                            (name, EPOCH, EPOCH.replace(hour=20), direction))
        session.execute("""INSERT INTO charge_station_status (charge_station_id, booted_at,
                firmware_version, last_heartbeat_at) VALUES ('both', %s, '1.0', %s)""",
                        (EPOCH, EPOCH.replace(hour=15)))
        assert migrate("up").returncode == 0
        # As far as the tables of states tell.
        assert session.execute("""SELECT charge_station_id, first_message_at, last_message_at,
            messages, firmware_version FROM stations""").fetchall() == [
            ("both", EPOCH, EPOCH.replace(hour=15), 0, "1.0")]
        assert session.execute("SELECT counted_from > now() - interval '1 hour'"
                               " FROM stations").fetchone() == (True,)
        session.execute("CALL backfill_stations()")
        found = session.execute("SELECT charge_station_id, first_message_at, last_message_at"
                                " FROM stations ORDER BY 1").fetchall()
        assert found == [("both", EPOCH.replace(day=29, hour=12), EPOCH.replace(hour=20))] + [
            (f"day{day}", *2 * [EPOCH.replace(day=day, hour=12)]) for day in (29, 30, 31)]
        # Interrupted, it continues where it was; otherwise nothing is left to do.
        read = session.execute("SELECT count(*) FROM station_backfill").fetchone()
        session.execute("DELETE FROM station_backfill WHERE partition_name"
                        " = 'meter_values_2026_01_30'")
        notices = []
        session.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        session.execute("CALL backfill_stations()")
        assert notices == ["meter_values_2026_01_30 is read"]
        assert session.execute("SELECT count(*) FROM station_backfill").fetchone() == read
        assert session.execute("SELECT charge_station_id, first_message_at, last_message_at"
                               " FROM stations ORDER BY 1").fetchall() == found


def test_readers_see_stations(migrated):
    with migrated.connect() as owner:
        role = f"reader_of_{migrated.name}"
        owner.execute(CHANGES, changes(random.Random(5), 10))
        owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret' IN ROLE ocpp_reader")
        with psycopg.connect(migrated.cluster.dsn(migrated.name, role, "secret")) as reader:
            assert reader.execute("SELECT count(*) > 3 FROM ocpp.stations").fetchone() == (True,)
        owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_what_is_not_folded_yet_is_counted_all_the_same(running, migrated, publish):
    with migrated.connect() as other:
        other.execute("SELECT pg_advisory_lock(hashtext('ocpp-persister stations'), 0)")
        p = running()
        status(publish, "cs1", at(minutes=1))
        stored(migrated, 1)
        assert p.stop() == 0
    assert migrated.value("SELECT count(*) FROM station_changes") == 1
    with migrated.connect() as session:
        session.execute("CALL backfill_stations()")
    assert migrated.rows("SELECT messages, counted_from FROM stations") == [(1, None)]


def test_repeats_are_taken_back_from_what_was_counted(migrated):
    """Those of a station that was removed, or was never counted, make no row."""
    with migrated.connect() as session:
        session.execute("INSERT INTO station_activity (charge_station_id, first_message_at,"
                        " last_message_at, messages) VALUES ('counted', now(), now(), 10)")

        def repeated(counted):
            return session.execute("SELECT count_repeated('{counted,gone}', '{3,4}', %s)",
                                   (counted,)).fetchone()

        assert repeated(False) == (7,)
        assert fold(migrated) == 0
        assert repeated(True) == (7,)
        assert fold(migrated) == 2
        assert session.execute("SELECT count_repeated(NULL, NULL, true)").fetchone() == (0,)
        assert session.execute("SELECT charge_station_id, messages FROM stations"
                               ).fetchall() == [("counted", 7)]
        # Whatever somebody has put there.
        session.execute("INSERT INTO station_activity (charge_station_id, first_message_at,"
                        " last_message_at) VALUES ('odd', 'infinity', '-infinity')")
        assert session.execute("SELECT count(silent_for) FROM stations").fetchone() == (1,)
        session.execute("SELECT FROM silent_stations()")
