"""Which session an event belongs to: reused ids, answers, costs, readings, flags."""

import itertools
import json

import pytest
from world import DAY

ALICE = (1, "ALICE", "08:00:00Z", 1000)
BOB = (2, "BOB", "08:00:00Z", 5000)


def start(start, answer=9, status="Accepted"):
    """Call and answer of a start, as what is to be sent."""
    connector, token, at, meter = start
    id = f"{connector}{token}{at}{meter}{answer}{status}"
    return [("in", {"type": 2, "action": "StartTransaction", "id": id, "request": {
                "connectorId": connector, "idTag": token, "meterStart": meter,
                "timestamp": DAY + at}}),
            ("out", {"type": 3, "action": "StartTransaction", "id": id, "response": {
                "transactionId": answer, "idTagInfo": {"status": status}}})]


def stop(id, at, meter, token=None, **more):
    request = {"transactionId": id, "meterStop": meter, "timestamp": DAY + at, **more}
    if token:
        request["idTag"] = token
    return [("in", {"type": 2, "action": "StopTransaction", "id": f"{id}{at}{meter}{token}",
                    "request": request})]


def send(world, station, messages, version="1.6"):
    for direction, message in messages:
        world.publisher.send(station, message, version, direction)
        world.sent += 1


def sessions(world, station, columns="id_token, energy_wh::integer"):
    return world.rows(f"SELECT {columns} FROM sessions WHERE charge_station_id = ?"
                      " ORDER BY started_at NULLS FIRST, stopped_at, id_token", station)


def in_any_order(messages):
    """A few orders, that of the list first. (In each, a call and its answer may swap.)"""
    yield messages
    yield messages[::-1]
    yield messages[1::2] + messages[::2]
    yield messages + messages[:2]


def event(kind, at, seq, meter=None, transaction="T", **more):
    request = {"eventType": kind, "timestamp": DAY + at, "seqNo": seq,
               "triggerReason": "Authorized", "transactionInfo": {"transactionId": transaction},
               **more}
    if meter is not None:
        context = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}.get(kind)
        request["meterValue"] = [{"timestamp": DAY + at, "sampledValue": [
            {"value": meter, **({"context": context} if context else {})}]}]
    return [("in", {"type": 2, "action": "TransactionEvent", "id": f"{kind}{at}{seq}",
                    "request": request})]


# ---- ids that are used again ----

@pytest.mark.parametrize("order", range(4))
def test_id_0_that_the_csms_gave_is_an_id(world, order):
    station = world.station()
    messages = start((1, "T", "08:00:00Z", 1000), 0) + stop(0, "09:00:00Z", 6000)
    send(world, station, list(in_any_order(messages))[order])
    assert sessions(world, station, "transaction_id, energy_wh::integer, complete") == [
        ("0", 5000, True)]
    assert world.rows("SELECT transaction_id, start_key FROM transactions"
                      " WHERE charge_station_id = ?", station) == [("0", "")]


@pytest.mark.parametrize("order", range(4))
@pytest.mark.parametrize("id", [0, 9, -5])
def test_id_given_to_one_session_after_the_other(world, id, order):
    station = world.station()
    messages = []
    for hour in (8, 10, 12):
        messages += start((1, "T", f"{hour:02}:00:00Z", hour * 1000), id)
        messages += stop(id, f"{hour + 1:02}:00:00Z", hour * 1000 + hour)
    send(world, station, list(in_any_order(messages))[order])
    assert sessions(world, station, "transaction_id, energy_wh::integer, complete, flags") == [
        (str(id), hour, True, []) for hour in (8, 10, 12)]
    assert world.rows("SELECT count(*) FROM transactions WHERE charge_station_id = ?",
                      station) == [(3,)]
    assert world.rows("SELECT reasons FROM suspicious_sessions WHERE charge_station_id = ?",
                      station) == []


@pytest.mark.parametrize("order", range(4))
def test_two_connectors_with_one_id(world, order):
    station = world.station()
    messages = (start(ALICE) + start(BOB) + stop(9, "09:00:00Z", 1500, "ALICE")
                + stop(9, "09:30:00Z", 14000, "bob"))
    send(world, station, list(in_any_order(messages))[order])
    assert sessions(world, station, "id_token, connector_id, energy_wh::integer, flags") == [
        ("ALICE", 1, 500, []), ("BOB", 2, 9000, [])]


def test_every_order_of_two_connectors_with_one_id(world):
    messages = [start(ALICE), start((2, "BOB", "08:30:00Z", 5000)),
                stop(9, "09:00:00Z", 1500, "ALICE"), stop(9, "09:30:00Z", 14000, "BOB")]
    stations = [world.station() for _ in range(24)]
    for station, order in zip(stations, itertools.permutations(messages)):
        send(world, station, sum(order, []))
    for station in stations:
        assert sessions(world, station) == [("ALICE", 500), ("BOB", 9000)]


@pytest.mark.parametrize("order", range(4))
def test_ends_that_nobody_can_tell_apart_give_no_energy(world, order):
    station = world.station()
    messages = (start(ALICE) + start(BOB) + stop(9, "09:00:00Z", 1500)
                + stop(9, "09:30:00Z", 14000)
                # What comes after them is certain again.
                + start((1, "CAROL", "10:00:00Z", 20000)) + stop(9, "11:00:00Z", 21000))
    send(world, station, list(in_any_order(messages))[order])
    assert sessions(world, station, "id_token, energy_wh::integer, flags") == [
        ("ALICE", None, ["end_ambiguous"]), ("BOB", None, ["end_ambiguous"]),
        ("CAROL", 1000, [])]
    assert world.rows("SELECT DISTINCT reasons[1] FROM suspicious_sessions"
                      " WHERE charge_station_id = ?", station) == [
        ("an end that may be of this or of another session with the same id",)]


def test_stop_of_an_id_that_was_only_refused_stands_for_itself(world):
    station = world.station()
    send(world, station, start((1, "T", "08:00:00Z", 1000), -1, "Invalid")
         + stop(-1, "09:00:00Z", 2000))
    assert sessions(world, station, "transaction_id LIKE '-1@%', energy_wh") == [
        (True, None), (True, None)]


@pytest.mark.parametrize("order", range(4))
def test_stops_before_the_id_0_was_given_stand_for_themselves(world, order):
    station = world.station()
    messages = (stop(0, "07:00:00Z", 500) + start((1, "T", "08:00:00Z", 1000), 0)
                + start((1, "X", "08:30:00Z", 1100), 0, "Blocked") + stop(0, "09:00:00Z", 6000)
                + stop(0, "09:30:00Z", 7000))
    send(world, station, list(in_any_order(messages))[order])
    assert sessions(world, station, "split_part(transaction_id, '@', 1) = '0', id_token,"
                    " energy_wh::integer, transaction_id LIKE '0@%'") == [
        (True, None, None, True), (True, None, None, True), (True, "T", 5000, False),
        (True, "X", None, True)]


@pytest.mark.parametrize("order", range(4))
def test_2x_station_that_counts_again_after_a_restart(world, order):
    station = world.station()
    messages = (event("Started", "08:00:00Z", 0, 1000) + event("Updated", "08:30:00Z", 1)
                + event("Ended", "09:00:00Z", 2, 1400)
                + event("Started", "10:00:00Z", 0, 1400) + event("Updated", "10:00:00Z", 1)
                + event("Ended", "11:00:00Z", 2, 3000))
    send(world, station, list(in_any_order(messages))[order], "2.0.1")
    assert sessions(world, station, "transaction_id, energy_wh::integer, complete, flags") == [
        ("T", 400, True, []), ("T", 1600, True, [])]


CHANGED = {
    "offline": {"offline": True},
    "trigger": {"triggerReason": "CablePluggedIn"},
    "later": {"timestamp": DAY + "08:00:02Z"},
    "late": {"timestamp": DAY + "08:10:00Z"},
    "no place": {"evse": None},
    "no token": {"idToken": None},
    "no connector": {"evse": {"id": 1}},
}


@pytest.mark.parametrize("order", range(4))
@pytest.mark.parametrize("changed", CHANGED)
def test_2x_start_sent_again_with_a_change_is_one_start(world, changed, order):
    """Also where the id has another session, which makes it one of several."""
    whole = {"evse": {"id": 1, "connectorId": 1}, "idToken": {"idToken": "A", "type": "Local"}}
    for other in ([], event("Started", "12:00:00Z", 0, 9000, **whole)):
        station = world.station()
        messages = (event("Started", "08:00:00Z", 0, 1000, **whole)
                    + event("Started", "08:00:00Z", 0, 1000, **whole)
                    + event("Updated", "08:05:00Z", 1) + event("Ended", "09:00:00Z", 2, 6000))
        request = messages[1][1]["request"]
        request.update(CHANGED[changed])
        messages[1][1]["request"] = {key: value for key, value in request.items()
                                     if value is not None}
        send(world, station, list(in_any_order(messages + other))[order], "2.0.1")
        found = sessions(world, station, "id_token, energy_wh::integer, complete, flags")
        assert found[0] == ("A", 5000, True, ["duplicate_start"])
        assert found[1:] == [("A", None, False, [])] * bool(other)


@pytest.mark.parametrize("order", range(4))
def test_2x_starts_with_one_id_at_two_places_are_two(world, order):
    station = world.station()
    messages = []
    for evse, token, meter in ((1, "A", 1000), (2, "B", 5000)):
        more = {"evse": {"id": evse}, "idToken": {"idToken": token, "type": "Local"}}
        messages += (event("Started", "08:00:00Z", 0, meter, **more)
                     + event("Ended", "09:00:00Z", 1, meter + 10 * evse, **more))
    send(world, station, list(in_any_order(messages))[order], "2.0.1")
    assert sessions(world, station, "id_token, energy_wh::integer, flags") == [
        ("A", 10, []), ("B", 20, [])]


@pytest.mark.parametrize("order", range(4))
def test_start_sent_again_with_a_change_is_one_start(world, order):
    """1.6: a CSMS that knows the start gives it the same id."""
    station = world.station()
    messages = start(ALICE) + start(ALICE) + stop(9, "09:00:00Z", 1500)
    messages[2][1]["id"] = messages[3][1]["id"] = "again"
    messages[2][1]["request"]["reservationId"] = 7
    send(world, station, list(in_any_order(messages))[order])
    assert sessions(world, station, "energy_wh::integer, flags") == [(500, ["duplicate_start"])]


def test_start_sent_again_is_one_start(world):
    station = world.station()
    first, again = start(ALICE), start(ALICE)
    for _, message in again:
        message["id"] = "again"
    send(world, station, first + again + stop(9, "09:00:00Z", 1500))
    assert sessions(world, station, "energy_wh::integer, start_key") == [(500, "")]


@pytest.mark.parametrize("order", range(4))
def test_start_without_a_time_is_one_start_however_often_it_is_answered(world, order):
    """Each answer in a batch of its own: an id with one start has one row, whatever it was taken
    for before."""
    station = world.station()
    call, answer = start(ALICE)
    call[1]["request"]["timestamp"] = "1970-01-01T00:00:00Z"
    stopped, later = stop(9, "09:00:00Z", 1500)[0], stop(9, "09:30:00Z", 1600)[0]
    for message in ([call, answer, stopped, later], [answer, call, answer, stopped, later],
                    [call, call, answer, call, stopped, later],
                    [stopped, answer, call, later, answer, call])[order]:
        send(world, station, [message])
        world.rows("SELECT 1")  # waits
    assert world.rows("SELECT start_key, split FROM transaction_keys WHERE charge_station_id = ?",
                      station) == [("", False)]
    assert sessions(world, station, "energy_wh::integer, start_key") == [(600, "")]


@pytest.mark.parametrize("id", [0, -1])
@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_start_without_a_time_that_was_refused_stays_however_often_it_is_answered(
        world, id, count):
    """Its row went away when another answer fitted it better, and with it what keeps the sessions
    of other stations in the batch apart."""
    station, other = world.station(), world.station()
    call, answer = start((1, "T", "08:00:00Z", 1000), id, "Invalid")
    call[1]["request"]["timestamp"] = "1970-01-01T00:00:00Z"
    for message in (answer, call, answer, call, answer)[:count]:
        send(world, station, [message])
        send(world, other, start(ALICE, 0)[::-1])
        world.rows("SELECT 1")  # waits
    assert sessions(world, station, f"transaction_id LIKE '{id}@%', id_token") == [
        (True, "T")]
    assert sessions(world, other, "transaction_id, id_token") == [("0", "ALICE")]


def test_start_that_was_sent_again_has_one_key_whichever_came_first(world):
    """A session of an id that is used again, of a station without a clock."""
    keys = set()
    copies = [start(ALICE), start(ALICE)]
    for copy, id in zip(copies, ("a", "b")):
        for _, message in copy:
            message["id"] = id
        copy[0][1]["request"]["timestamp"] = "1970-01-01T00:00:00Z"
    for one, two in (copies, copies[::-1]):
        station = world.station()
        send(world, station, start((2, "LATER", "09:00:00Z", 100)) + one + two)
        keys.update(world.rows("SELECT start_key FROM sessions WHERE charge_station_id = ?"
                               " AND id_token = 'ALICE'", station))
        assert len(sessions(world, station)) == 2
    assert len(keys) == 1 and keys != {("",)}


@pytest.mark.parametrize("id", [0, 9])
def test_flags_of_an_end_are_its_own_however_its_session_was_made(world, id):
    """What is odd about its values is in the flags of the session, not in those of the end; also
    when the sessions of the id are made anew from their events."""
    station = world.station()
    data = [{"timestamp": DAY + "08:30:00Z", "sampledValue": [{"value": "many"}]}]
    messages = stop(id, "11:00:00Z", 20000, transactionData=data)
    for more in ([], start(BOB, id), start((1, "T", "12:00:00Z", 100), id)):
        send(world, station, messages + more)
        messages = []
        assert world.rows("SELECT stop_flags, flag_names(flags)::text[] FROM transactions"
                          " WHERE charge_station_id = ? AND meter_stop IS NOT NULL",
                          station) == [(0, ["value_not_number"])]


def test_values_of_an_id_that_is_used_again_go_by_time_and_connector(world):
    station = world.station()
    send(world, station, start(ALICE) + start(BOB) + stop(9, "09:00:00Z", 1500, "ALICE")
         + stop(9, "09:30:00Z", 14000, "BOB")
         + start((1, "ALICE", "10:00:00Z", 1500)) + stop(9, "11:00:00Z", 1700))
    for connector, at, value in ((1, "08:10:00Z", 1), (2, "08:10:00Z", 2), (1, "10:10:00Z", 3)):
        world.call(station, "MeterValues", {"connectorId": connector, "transactionId": 9,
                                            "meterValue": [{"timestamp": DAY + at, "sampledValue": [
                                                {"value": str(value)}]}]})
    assert world.rows("""
        SELECT s.id_token, s.energy_wh::integer, array_agg(v.value::integer)
        FROM sessions s CROSS JOIN transaction_values(s.charge_station_id, s.transaction_id,
            s.start_key) v WHERE s.charge_station_id = ? GROUP BY 1, 2 ORDER BY 3""", station) == [
        ("ALICE", 500, [1]), ("BOB", 9000, [2]), ("ALICE", 200, [3])]
    assert world.rows("SELECT value::integer FROM transaction_values(?, '9') ORDER BY 1",
                      station) == [(1,), (2,), (3,)]


def test_hundreds_of_sessions_with_one_id(world):
    """One batch after the other adds to them."""
    station, count = world.station(), 600
    for number in range(count):
        day, hour = divmod(number, 24)
        at = f"2025-{1 + day // 28:02}-{1 + day % 28:02}T{hour:02}"
        for direction, message in (start((1, "T", "", number), 0) + stop(0, "", number + 7)):
            message["id"] = str(number) + message["action"]
            if message["type"] == 2:
                message["request"]["timestamp"] = at + (":00:00Z" if "Start" in message["action"]
                                                        else ":30:00Z")
            send(world, station, [(direction, message)])
        if number % 50 == 0:
            world.rows("SELECT 1")  # waits
    assert world.rows("SELECT count(*), count(*) FILTER (WHERE energy_wh = 7) FROM sessions"
                      " WHERE charge_station_id = ?", station) == [(count, count)]


def add_copies(world, table, received, digest):
    """More rows than are read again for an id, as if received a day before."""
    columns = ", ".join(name for (name,) in world.database.rows(
        f"SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass"
        f" AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('digest', '{received}')"))
    assert len(world.database.rows(f"""
        INSERT INTO {table} (digest, {received}, {columns})
        SELECT n, {received} - interval '1 day', {columns}
        FROM {table}, generate_series(1, 10001) n WHERE digest = {digest} RETURNING 1""")) == 10001


@pytest.mark.parametrize("id", [0, 9])
def test_station_without_a_clock_that_has_begun_thousands_of_sessions_with_one_id(world, id):
    """Those that were received long before are not among the events that are too many."""
    station = world.station()

    def begin(meter):
        messages = start((1, "T", "08:00:00Z", meter), id)
        messages[0][1]["request"]["timestamp"] = "1970-01-01T00:00:00Z"
        send(world, station, messages)

    for meter in (100, 200):
        begin(meter)
    meters = "meter_start::integer, 'end_ambiguous' = ANY (flags)"
    assert sorted(sessions(world, station, meters)) == [(100, False), (200, False)]
    [(digest,)] = world.rows("SELECT digest FROM transaction_events"
                             " WHERE charge_station_id = ? AND meter_start = 100", station)
    add_copies(world, "transaction_events", "received_at", digest)
    add_copies(world, "transaction_starts", "result_received_at", digest)
    begin(300)
    assert sorted(sessions(world, station, meters)) == [(100, False), (200, False), (300, True)]


def test_sessions_of_an_id_stay_if_none_of_its_events_are_found(world):
    """There are too many, and somebody's trigger keeps the new ones out."""
    station = world.station()
    send(world, station, event("Started", "08:00:00Z", 0, 100) + event("Ended", "09:00:00Z", 1, 108)
         + event("Started", "10:00:00Z", 0, 200) + event("Ended", "11:00:00Z", 1, 210), "2.0.1")
    assert sessions(world, station, "energy_wh::integer") == [(8,), (10,)]
    [(digest,)] = world.rows("SELECT digest FROM transaction_events WHERE charge_station_id = ?"
                             " ORDER BY event_time DESC LIMIT 1", station)
    add_copies(world, "transaction_events", "received_at", digest)
    with world.database.connect() as c:
        c.execute(f"""
            CREATE FUNCTION keep_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
            CREATE TRIGGER keep_out BEFORE INSERT ON transaction_events FOR EACH ROW
                WHEN (new.charge_station_id = '{station}') EXECUTE FUNCTION keep_out()""")
        try:
            send(world, station, event("Started", "12:00:00Z", 0, 300), "2.0.1")
            assert sessions(world, station, "energy_wh::integer") == [(8,), (10,)]
        finally:
            c.execute("DROP FUNCTION keep_out CASCADE")


@pytest.mark.parametrize("order", [1, -1])
def test_event_that_is_sent_again_without_end_keeps_100_ids(world, order):
    station, ids = world.station(), [f"again{number:03}" for number in range(130)][::order]
    for id in ids:
        [(direction, message)] = stop(9, "09:00:00Z", 1500)
        send(world, station, [(direction, {**message, "id": id})])
    [(kept, resent)] = world.rows("SELECT message_id, resent_as FROM transaction_events"
                                  " WHERE charge_station_id = ?", station)
    assert resent == sorted(set(ids) - {kept})[:100]


# ---- answers, costs, readings, flags ----

def test_answer_received_last_counts(world):
    """Whatever their digests are: ten times."""
    stations = [world.station() for _ in range(10)]
    for number, station in enumerate(stations):
        for id, status in ((f"a{number}", "Accepted"), (f"b{number}", "ConcurrentTx")):
            call, answer = start(ALICE, 9, status)
            call[1]["id"] = answer[1]["id"] = id
            send(world, station, [call, answer])
    assert world.rows("SELECT DISTINCT id_token_status FROM transactions"
                      " WHERE charge_station_id = ANY (?)", stations) == [("ConcurrentTx",)]


def cost(value, id):
    return [("out", {"type": 2, "action": "CostUpdated", "id": id, "request": {
        "totalCost": value, "transactionId": "T"}})]


def test_cost_alone_is_no_session(world):
    station = world.station()
    send(world, station, cost(3.5, "c1"), "2.0.1")
    for what in ("sessions", "transactions", "suspicious_sessions", "all_transactions"):
        assert world.rows(f"SELECT count(*) FROM {what} WHERE charge_station_id = ?",
                          station) == [(0,)]


@pytest.mark.parametrize("order", range(4))
def test_cost_is_there_whichever_comes_first(world, order):
    station = world.station()
    messages = (cost(3.5, "c1") + event("Started", "08:00:00Z", 0, 1000)
                + event("Ended", "09:00:00Z", 2, 1400))
    send(world, station, list(in_any_order(messages))[order], "2.0.1")
    assert sessions(world, station, "energy_wh::integer, total_cost::text") == [(400, "3.5")]


def readings(station_values):
    """Two events, each with samples (context, location, value)."""
    messages = []
    for kind, at, seq in (("Started", "08:00:00Z", 0), ("Ended", "09:00:00Z", 1)):
        samples = [{"value": value, "context": context, **({"location": location} if location
                                                            else {})}
                   for context, location, value in station_values[seq]]
        messages += event(kind, at, seq, meterValue=[{"timestamp": DAY + at,
                                                      "sampledValue": samples}])
    return messages


BEGIN, END = "Transaction.Begin", "Transaction.End"


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("samples, expected", [
    # All at one place that is not the outlet.
    (([(BEGIN, "Body", 1000)], [(END, "Body", 1700)]), (1000, 1700)),
    # The outlet is better than any other place.
    (([(BEGIN, "Body", 5), (BEGIN, "Outlet", 1000)], [(END, None, 1600), (END, "Inlet", 9)]),
     (1000, 1600)),
    # Two places, neither the outlet: nobody knows.
    (([(BEGIN, "Body", 1000)], [(END, "Inlet", 1700)]), (None, None)),
    (([(BEGIN, "Body", 1000), (BEGIN, "Inlet", 1001)], [(END, "Body", 1700)]), (None, None)),
    # Start and end are of one place.
    (([(BEGIN, "Outlet", 1000)], [(END, "Body", 1700)]), (1000, None)),
    (([(BEGIN, "Body", 1000)], [(END, "Outlet", 1700)]), (None, 1700)),
])
def test_readings_are_of_the_outlet_or_of_the_only_place(world, samples, expected, order):
    station = world.station()
    send(world, station, readings(samples)[::order], "2.0.1")
    assert sessions(world, station, "meter_start::integer, meter_stop::integer") == [expected]


def test_flags_of_all_events_reach_the_session(world):
    station = world.station()
    zoneless = "2026-01-31T08:30:00"
    messages = event("Started", "08:00:00Z", 0) + event("Updated", "x", 1) + event(
        "Ended", "09:00:00Z", 2)
    messages[1][1]["request"]["timestamp"] = zoneless
    messages[2][1]["request"]["idToken"] = {"idToken": "a\u0000b", "type": "Central"}
    send(world, station, messages, "2.0.1")
    assert sessions(world, station, "flags") == [(["time_zoneless", "text_replaced"],)]
    assert world.rows("SELECT reasons FROM suspicious_sessions WHERE charge_station_id = ?",
                      station) == []


def values(at, id=9, connector=1, value="1200", **more):
    request = {"connectorId": connector, "transactionId": id, "meterValue": [
        {"timestamp": "2026-01-31T" + at, "sampledValue": [{"value": value}]}], **more}
    return [("in", {"type": 2, "action": "MeterValues", "id": f"v{id}{connector}{at}{value}",
                    "request": request})]


@pytest.mark.parametrize("order", range(4))
@pytest.mark.parametrize("odd, flags", [
    ({"at": "08:30:00"}, ["time_zoneless"]),
    ({"at": "08:30:00Z", "value": "many"}, ["value_not_number"]),
    ({"at": "08:30:00Z", "note": "a\u0000b"}, ["text_replaced"]),
    ({"at": "sometime"}, ["time_invalid"])])
def test_flags_of_meter_values_reach_the_session(world, odd, flags, order):
    station = world.station()
    messages = (start(ALICE) + values(**odd) + values("08:40:00Z")
                + stop(9, "09:00:00Z", 1500, "ALICE"))
    send(world, station, list(in_any_order(messages))[order])
    assert sessions(world, station, "id_token, energy_wh::integer, flags") == [
        ("ALICE", 500, flags)]


@pytest.mark.parametrize("order", range(4))
@pytest.mark.parametrize("id", [9, 0, -5])
def test_flags_of_meter_values_are_of_the_session_at_their_time(world, id, order):
    station = world.station()
    messages = (start((1, "A", "08:00:00Z", 1000), id) + values("08:10:00Z", id)
                + stop(id, "09:00:00Z", 1500)
                + start((1, "B", "09:10:00Z", 2000), id) + values("09:20:00", id)
                + stop(id, "09:30:00Z", 2500)
                + start((1, "C", "09:40:00Z", 3000), id) + values("09:50:00Z", id, value="many")
                + stop(id, "10:00:00Z", 3500))
    send(world, station, list(in_any_order(messages))[order])
    assert sessions(world, station, "id_token, flags") == [
        ("A", []), ("B", ["time_zoneless"]), ("C", ["value_not_number"])]


@pytest.mark.parametrize("order", range(4))
def test_flags_of_meter_values_are_of_the_session_at_their_connector(world, order):
    station = world.station()
    messages = (start(ALICE) + start(BOB) + values("08:30:00", connector=1)
                + values("08:30:00Z", connector=2, value="many")
                + stop(9, "09:00:00Z", 1500, "ALICE") + stop(9, "09:30:00Z", 14000, "BOB"))
    send(world, station, list(in_any_order(messages))[order])
    assert sessions(world, station, "id_token, flags") == [
        ("ALICE", ["time_zoneless"]), ("BOB", ["value_not_number"])]


@pytest.mark.parametrize("order", range(4))
def test_flags_of_an_idle_station_are_of_no_session(world, order):
    """It sends 0 where it has no transaction."""
    station = world.station()
    messages = (values("07:30:00", 0) + start((1, "A", "08:00:00Z", 1000), 0)
                + values("08:10:00Z", 0) + stop(0, "09:00:00Z", 1500) + values("09:30:00", 0))
    send(world, station, list(in_any_order(messages))[order])
    assert sessions(world, station, "id_token, flags") == [("A", [])]
    station = world.station()
    send(world, station, values("07:30:00", 0) + values("07:30:00", 8))
    assert sessions(world, station) == []


@pytest.mark.parametrize("order", range(4))
def test_flags_of_the_values_of_an_event_reach_the_session(world, order):
    station = world.station()
    messages = (event("Started", "08:00:00Z", 0, "1000") + event("Updated", "08:30:00Z", 1, "many")
                + event("Ended", "09:00:00Z", 2, "2000"))
    again = (event("Started", "10:00:00Z", 0, "3000") + event("Updated", "10:30:00Z", 1, "3100")
             + event("Ended", "11:00:00Z", 2, "4000"))
    again[1][1]["request"]["meterValue"][0]["timestamp"] = "2026-01-31T10:30:00"
    send(world, station, list(in_any_order(messages + again))[order], "2.0.1")
    assert sessions(world, station, "energy_wh::integer, flags") == [
        (1000, ["value_not_number"]), (1000, ["time_zoneless"])]
    station = world.station()
    data = [{"timestamp": "2026-01-31T08:30:00", "sampledValue": [{"value": "1200"}]}]
    messages = start(ALICE) + stop(9, "09:00:00Z", 1500, transactionData=data)
    send(world, station, list(in_any_order(messages))[order])
    assert sessions(world, station, "energy_wh::integer, flags") == [(500, ["time_zoneless"])]


def test_signed_values_are_no_reason_for_suspicion(world):
    station = world.station()
    signed = {"value": "AAAA", "format": "SignedData"}
    messages = start(ALICE) + values("08:30:00Z") + stop(9, "09:00:00Z", 1500, "ALICE")
    messages[2][1]["request"]["meterValue"] = {"timestamp": DAY + "08:30:00Z",
                                               "sampledValue": [signed]}
    send(world, station, messages)
    assert sessions(world, station, "flags") == [(["shape", "signed"],)]
    assert world.rows("SELECT reasons FROM suspicious_sessions WHERE charge_station_id = ?",
                      station) == []


def test_only_readings_of_one_register_are_compared(world):
    station = world.station()
    send(world, station, start(ALICE) + stop(9, "09:00:00Z", 3000))
    for at, transaction, samples in (
            ("08:10:00Z", 9, [(BEGIN, "1000"), (None, "1500")]),
            ("08:20:00Z", 9, [(BEGIN, "1000"), (None, "2000")]),
            # The register of the meter's life beside that of the session.
            ("08:15:00Z", None, [(None, "77000")]), ("08:25:00Z", None, [(None, "78000")])):
        world.call(station, "MeterValues", {
            "connectorId": 1, **({"transactionId": transaction} if transaction else {}),
            "meterValue": [{"timestamp": DAY + at, "sampledValue": [
                {"value": value, **({"context": context} if context else {})}
                for context, value in samples]}]})
    reasons = "SELECT reasons FROM suspicious_sessions WHERE charge_station_id = ?"
    assert world.rows(reasons, station) == []
    world.call(station, "MeterValues", {"connectorId": 1, "transactionId": 9, "meterValue": [
        {"timestamp": DAY + "08:30:00Z", "sampledValue": [{"value": "1999"}]}]})
    assert world.rows(reasons, station) == [(["the meter ran backwards 1 times"],)]


# ---- reading them ----

def plan(world, sql):
    [(text,)] = world.rows("EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF, COSTS OFF) " + sql)
    return text if isinstance(text, list) else json.loads(text)


def nodes(node):
    yield node
    for child in node.get("Plans", []):
        yield from nodes(child)


def test_values_of_one_transaction_read_only_its_days(world):
    station = world.station()
    for day in range(10, 30):
        world.call(station, "MeterValues", {"connectorId": 1, "transactionId": 9, "meterValue": [
            {"timestamp": f"2026-01-{day}T08:10:00Z", "sampledValue": [{"value": str(day)}]}]})
    messages = start(ALICE) + stop(9, "09:00:00Z", 1500)
    for _, message in messages:
        if "request" in message:
            message["request"]["timestamp"] = message["request"]["timestamp"].replace(
                "2026-01-31", "2026-01-20")
    send(world, station, messages)
    sql = f"SELECT * FROM transaction_values('{station}', '9')"
    assert len(world.rows(sql)) == 1
    [top] = plan(world, sql)
    scans = [n for n in nodes(top["Plan"]) if n.get("Relation Name", "").startswith("meter_values")]
    read = [n for n in scans if n["Actual Loops"] > 0]
    assert {n["Relation Name"] for n in read} == {"meter_values_2026_01_20"}
    for node in read:
        assert "charge_station_id" in node["Index Cond"] and "event_time" in node["Index Cond"]


@pytest.mark.parametrize("where, index", [
    ("id_token = 'T77'", "id_token"), ("stopped_at = '2026-01-31T09:00:00Z'", "stopped_at")])
def test_transactions_have_indexes_by_token_and_end(world, where, index):
    found = world.rows("SELECT indexdef FROM pg_indexes WHERE schemaname = 'ocpp'"
                       " AND tablename LIKE 'transactions\\_%' AND indexdef LIKE '%(' || ? || ')'",
                       index)
    assert found
