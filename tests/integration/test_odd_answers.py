"""Late answers, and answers with a message id that several calls have: which call they belong
to."""

import itertools
import random

from test_odd_stations import (DAYS, answer_to, captured, odd, replay,  # noqa: F401
                               start_of)


def listed(odd, where):
    """{station: [reason]} of unmatched_events."""
    found = {}
    for name, reason in odd.rows("SELECT charge_station_id, reason FROM unmatched_events WHERE "
                                 + where + " ORDER BY event_time, reason"):
        found.setdefault(name, []).append(reason)
    return found


def test_answer_is_of_one_call_of_the_csms(odd, replay):
    """A CSMS that counts from 1 for each connection, or uses one id for all of its calls."""
    def call(at, action="GetLocalListVersion"):
        return (at, "out", [2, "1", action, {"at": at}])  # else it is the same call, sent again

    def answer(at, version):
        return (at, "in", [3, "1", {"listVersion": version}])

    cases = {
        "one of two": ([call(0), answer(5, 1), call(30)], [1, None]),
        "the last of two": ([call(0), call(30), answer(40, 1)], [None, 1]),
        "one each": ([call(0), answer(5, 1), call(20), answer(25, 2), call(40)], [1, 2, None]),
        "both to the last": ([call(0), call(20), answer(25, 1), answer(30, 2)], [None, 1]),
        "early": ([answer(0, 1), call(5), call(20)], [1, None]),
        "early is of the one before": ([call(0), answer(50, 1), call(60)], [1, None]),
        "same instant": ([call(0), call(0, "ClearCache"), answer(1, 1)], None),
        "late": ([call(0), answer(3 * DAYS, 1)], [1]),
        "other actions": ([call(0), call(10, "ClearCache"), (20, "in", [3, "1", {
            "status": "Accepted"}])], [None, None]),
        "answers of other actions": ([call(0), (10, "out", {
            "type": 2, "action": "ClearCache", "id": "1", "request": {}}), (15, "in", {
                "type": 3, "action": "GetLocalListVersion", "id": "1",
                "response": {"listVersion": 1}}), (20, "in", {
                    "type": 3, "action": "ClearCache", "id": "1",
                    "response": {"status": "Accepted"}})], [1, None])}
    for seed in range(3):
        lines = [captured(at, message, f"{seed} of {name}", direction=direction)
                 for name, (messages, _) in cases.items() for at, direction, message in messages]
        random.Random(seed).shuffle(lines)
        replay(lines[:len(lines) // 2], lines[len(lines) // 2:])
    found, answers = {}, {}
    for name, version, answered in odd.rows(
            "SELECT charge_station_id, (response ->> 'listVersion')::int, answered_at"
            " FROM csms_calls"
            " WHERE charge_station_id LIKE '_ of %' ORDER BY event_time"):
        found.setdefault(name, []).append(version)
        answers.setdefault(name, []).append(answered)
    for name, times in answers.items():
        times = [time for time in times if time]
        assert len(set(times)) == len(times), name
    unmatched = listed(odd, "charge_station_id LIKE '_ of %'")
    for seed in range(3):
        for name, (messages, expected) in cases.items():
            if expected:
                assert found[f"{seed} of {name}"] == expected, name
            open = sum(time is None for time in answers[f"{seed} of {name}"])
            assert unmatched.get(f"{seed} of {name}", []) == [
                "call of the CSMS without an answer"] * open, name


def test_late_results_that_are_refused_are_theirs(odd, replay):
    """OCPP 2.1; of either side, and with nothing else that has their id within 7 days."""
    def exchange(direction, call=None, result=None, refused=None, id="1"):
        other = {"in": "out", "out": "in"}[direction]
        messages = [(call, direction, [2, id, "DataTransfer", {"vendorId": "V"}]),
                    (result, other, [3, id, {"status": "Accepted", "data": id}]),
                    (refused, direction, [5, id, "FormatViolation", "", {}])]
        return [message for message in messages if message[0] is not None]

    both, none = (True, True), (False, False)
    cases = {"near": ([(0, 1, 2)], both), "late": ([(0, 1, 2 * DAYS)], both),
             "all late": ([(0, 2 * DAYS, 4 * DAYS)], both),
             "beyond": ([(0, 1, 8 * DAYS)], none),
             "another": ([(0, 1, 2 * DAYS), (3 * DAYS, 3 * DAYS + 1, None)], none),
             # Nobody knows which result it was; there is only one call.
             "another result": ([(0, 1, 2 * DAYS), (None, DAYS, None)], (False, True))}
    replay([captured(at, message, f"refused {direction} {name}", "2.1", way)
            for name, (exchanges, _) in cases.items() for direction in ("in", "out")
            for times in exchanges for at, way, message in exchange(direction, *times)])
    found = {name: (result is not None, request is not None) for name, result, request in odd.rows(
        "SELECT charge_station_id, result, request FROM refused_results"
        " WHERE charge_station_id LIKE 'refused %'")}
    assert found == {f"refused {direction} {name}": expected
                     for name, (_, expected) in cases.items() for direction in ("in", "out")}


def test_late_answers_are_not_listed_as_unmatched(odd, replay):
    cases = {"late": ([(0, 3)], []), "near": ([(0, 0.01)], []),
             "beyond": ([(0, 8)], ["call", "result"]),
             "another": ([(0, 3), (5, None)], ["call", "result", "call"])}
    frames = {"in": [[2, "1", "DataTransfer", {"vendorId": "V"}], [3, "1", {"status": "Accepted"}]],
              "out": [[2, "1", "GetLocalListVersion", {}], [3, "1", {"listVersion": 2}]]}
    other = {"in": "out", "out": "in"}
    replay([captured(at * DAYS, frames[direction][way], f"list {direction} {name}",
                     direction=other[direction] if way else direction)
            for name, (times, _) in cases.items() for direction in ("in", "out")
            for both in times for way, at in enumerate(both) if at is not None])
    words = {"in": "call of the station without an answer",
             "out": "call of the CSMS without an answer"}
    assert listed(odd, "charge_station_id LIKE 'list %'") == {
        f"list {direction} {name}": [words[direction] if what == "call" else
                                     "result without a call" for what in expected]
        for name, (_, expected) in cases.items() for direction in ("in", "out") if expected}


def test_copies_of_an_answer_are_each_of_its_call_in_any_order(odd, replay):
    """The link of the first start says when the last copy came, until that is another start's."""
    messages = [start_of(0, "7", 1, "ALICE", 100), answer_to(10, "7", 9),
                start_of(15, "7", 2, "BOB", 200), answer_to(20, "7", 9)]
    asked = [(0, "in", [2, "8", "Authorize", {"idTag": "A"}]),
             (10, "out", [3, "8", {"idTagInfo": {"status": "Blocked"}}]),
             (15, "in", [2, "8", "Authorize", {"idTag": "B"}]),
             (20, "out", [3, "8", {"idTagInfo": {"status": "Blocked"}}])]
    orders = list(itertools.permutations(range(4)))
    replay(*([captured(at, message, f"copies {number}", direction=way)
              for number, order in enumerate(orders)
              for at, way, message in (messages[order[place]], asked[order[place]])]
             for place in range(4)))
    for number, order in enumerate(orders):
        where = f"WHERE charge_station_id = 'copies {number}'"
        assert odd.rows("SELECT id_token, transaction_id FROM sessions " + where
                        + " ORDER BY 1") == [("ALICE", "9"), ("BOB", "9")], order
        assert odd.rows("SELECT extract(second FROM result_received_at)::int FROM"
                        " transaction_starts " + where + " ORDER BY event_time") == [
            (10,), (20,)], order
        assert odd.rows("SELECT id_token, extract(second FROM result_received_at)::int FROM"
                        " authorizations " + where + " ORDER BY 1") == [("A", 10), ("B", 20)], order


def test_expiry_is_known_however_it_is_written(odd, replay):
    """NULL would read as "never expires". The answer says what is odd about its time."""
    cases = {"2027-01-01T00:00:00Z": ("2027-01-01 00:00:00+00", []),
             "2027-01-01T00:00:00": ("2027-01-01 00:00:00+00", ["time_zoneless"]),
             "2027-01-01T24:00:00Z": ("2027-01-02 00:00:00+00", ["time_adjusted"]),
             "9999-12-31T23:59:59.9999999Z": ("9999-12-31 23:59:59.999999+00", ["time_adjusted"]),
             "2027-01-01T00:00:00.1234567+00:00": ("2027-01-01 00:00:00.123456+00",
                                                   ["time_adjusted"]),
             "never": (None, ["time_invalid"])}
    for version, token, answer in [
            ("1.6", lambda n: {"idTag": n},
             lambda at: {"idTagInfo": {"status": "Accepted", "expiryDate": at}}),
            ("2.0.1", lambda n: {"idToken": {"idToken": n, "type": "Central"}},
             lambda at: {"idTokenInfo": {"status": "Accepted", "cacheExpiryDateTime": at}})]:
        station = f"expiry {version}"
        replay([captured(n, message, station, version, direction)
                for n, at in enumerate(cases) for direction, message in (
                    ("in", [2, str(n), "Authorize", token(at)]), ("out", [3, str(n), answer(at)]))])
        assert {at: (expiry, flags) for at, expiry, flags in odd.rows(
            "SELECT a.id_token, a.expiry_date::text, flag_names(r.flags) FROM authorizations a"
            " JOIN ocpp_events r USING (charge_station_id, message_id)"
            " WHERE charge_station_id = %s AND r.kind = 'result'", station)} == cases
