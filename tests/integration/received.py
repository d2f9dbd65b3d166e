"""Histories of charge stations whose messages have times of receipt: clocks that are not set,
answers that come late, early or repeatedly, in several forms. By seed, with the expected result."""

import datetime
import random

EPOCH = datetime.datetime(2026, 1, 10, tzinfo=datetime.timezone.utc)
INVALID = ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0000-00-00T00:00:00Z", "yesterday"]
WINDOW_S = 600  # dedupe.window
OTHER = {"in": "out", "out": "in"}


class ReceivedHistory:
    """lines: [(seconds after EPOCH, direction, envelope, forms)], forms being what it may come in:
    "any", "envelope" (what would have no name as an array), "both" (at least once in each), "json"
    (floats of msgpack have no digits)."""

    def __init__(self, seed):
        self.seed, self.random = seed, random.Random(seed)
        self.version = self.random.choice(["1.6", "2.0.1"])
        self.lines = []
        self.beside = {}  # line number: number of the line whose copy comes just before it
        self.statuses = {}  # by EVSE: of the newest
        self.status_events = 0
        self.tokens = {}  # by token of Authorize: the answer that counts, or None
        self.sessions = {}  # by id: (status of the token, Wh)
        self.alike = {}  # by id that was used again: Wh of its sessions, ascending
        self._ids = 0
        self._clock = self.random.randrange(0, 86400) + seed % 1000 / 1000
        for evse in (1, 2):
            self.status(evse)
        for piece in self.random.sample([self.answered, self.repeated, self.early, self.late,
                                         self.late_and_not_alone, self.far_apart,
                                         self.late_beside_another,
                                         self.refused, self.answer_alone], 3):
            piece()
            self._clock += 4 * 3600
        if self.random.random() < 0.3:
            self.answered_again()
            self._clock += 4 * 3600
        if self.version == "1.6":
            self.session()
            self._clock += 4 * 3600
            self.look_alike()

    def id(self):
        self._ids += 1
        return f"m{self._ids}"

    def later(self, least, most):
        self._clock += self.random.uniform(least, most)
        return self._clock

    def add(self, at, direction, envelope, forms="any"):
        self.lines.append((at, direction, envelope, forms))

    def call(self, at, action, request, id, direction="in", forms="any"):
        self.add(at, direction, {"type": 2, "action": action, "id": id, "request": request}, forms)

    def result(self, at, action, response, id, forms="any"):
        self.add(at, "out", {"type": 3, "action": action, "id": id, "response": response}, forms)

    # ---- clocks ----

    def status(self, evse):
        """The newest counts: by its own time, or by that of its receipt if its own is invalid or
        ahead."""
        newest, said = None, {}
        for _ in range(self.random.randint(1, 4)):
            at = self.later(1, self.random.choice([30, 3000, 2 * 86400]))
            valid = self.random.random() < 0.5
            if valid and self.random.random() < 0.3:  # a clock that is ahead
                own = at
                text = (EPOCH + datetime.timedelta(
                    seconds=at + self.random.choice([301, 86400 * 365, 86400 * 25000]))).isoformat()
            elif valid:
                own = at - self.random.randint(-299, 3600)
                text = (EPOCH + datetime.timedelta(seconds=own)).isoformat()
            else:
                own, text = at, self.random.choice(INVALID)
            value = self.random.choice(["Available", "Occupied", "Charging", "Faulted"])
            request = {"evseId": evse, "connectorId": 1, "connectorStatus": value} \
                if self.version != "1.6" else \
                {"connectorId": evse, "status": value, "errorCode": "NoError"}
            request["timestamp"] = text
            # A station that starts its ids from 1 again says the same under the same id on another
            # day.
            id = said.get((value, text)) or self.id()
            if not valid and (value, text) in said:
                at = own = self.later(3 * WINDOW_S, 86400)
            if not valid:
                said[value, text] = id
            self.call(at, "StatusNotification", request, id)
            self.status_events += 1
            # The same under another id is another event, within the window too.
            if not valid and self.random.random() < 0.5:
                at = own = self.later(1, 60)
                self.call(at, "StatusNotification", request, self.id())
                self.status_events += 1
            if newest is None or own > newest:
                newest, self.statuses[evse] = own, value

    # ---- answers ----

    def authorize(self, at, id):
        token = f"T{len(self.tokens)}"
        self.tokens[token] = None
        self.call(at, "Authorize", {"idTag": token} if self.version == "1.6" else
                  {"idToken": {"idToken": token, "type": "ISO14443"}}, id)
        return token

    def outcome(self, at, status, id, forms="any"):
        name = "idTagInfo" if self.version == "1.6" else "idTokenInfo"
        self.result(at, "Authorize", {name: {"status": status}}, id, forms)
        return status

    def some(self, count):
        return self.random.sample(["Accepted", "Blocked", "Invalid", "ConcurrentTx"], count)

    def answered(self):
        id = self.id()
        token = self.authorize(self._clock, id)
        self.tokens[token] = self.outcome(self.later(0.001, 50), self.some(1)[0], id)

    def repeated(self):
        """The one received last counts."""
        id = self.id()
        token = self.authorize(self._clock, id)
        for status in self.some(self.random.randint(2, 3)):
            self.tokens[token] = self.outcome(self.later(0.001, 15), status, id)

    def early(self):
        """Call and answer came by different ways; perhaps another pair with their id did before."""
        id = self.id()
        for _ in range(self.random.randint(1, 2)):
            status = self.outcome(self.later(2 * WINDOW_S, 3 * WINDOW_S), self.some(1)[0], id)
            self.tokens[self.authorize(self.later(0.001, 30), id)] = status

    def late(self):
        id = self.id()
        token = self.authorize(self._clock, id)
        self.tokens[token] = self.outcome(self.later(61, 3000), self.some(1)[0], id)

    def late_and_not_alone(self):
        """Another call has its id: nobody can know."""
        id = self.id()
        self.authorize(self._clock, id)
        self.outcome(self.later(61, 3000), self.some(1)[0], id, "envelope")
        self.authorize(self.later(120, 7000), id)

    def far_apart(self):
        """Each is within pairing.keep of the next one, but not of the one after that: nobody can
        know."""
        id, began = self.id(), self._clock
        for what in self.random.choice([(1, 1, 0), (1, 0, 0), (1, 0, 1), (0, 1, 1)]):
            if what:
                self.authorize(self._clock, id)
            else:
                self.outcome(self._clock, self.some(1)[0], id, "envelope")
            self.later(4 * 86400, 6 * 86400)
        self._clock = began

    def late_beside_another(self):
        """An answer in time, and a late one that says something else."""
        id = self.id()
        token = self.authorize(self._clock, id)
        first, second = self.some(2)
        self.tokens[token] = self.outcome(self.later(0.001, 30), first, id)
        self.outcome(self.later(120, 3000), second, id, "envelope")

    def answered_again(self):
        """A copy of an answer comes together with the call that it turns out to answer, perhaps
        long after it was taken for an answer to the call before; or with a call that leaves it
        without one."""
        id = self.id()
        token = self.authorize(self._clock, id)
        near = self.random.random() < 0.5
        asked = self.later(1, 20)
        answered = asked + self.random.uniform(*((0.001, 20) if near else (61, 3000)))
        status = self.outcome(answered, self.some(1)[0], id, "envelope")
        other = self.authorize(asked, id)
        if near:
            self.tokens[other] = status
        assert self.tokens[token] is None
        self.beside[len(self.lines) - 1] = len(self.lines) - 2
        self._clock = answered

    def refused(self):
        """Errors with details, and without: those are absent in one form and {} in another."""
        id = self.id()
        token = self.authorize(self._clock, id)
        error = {"type": 4, "action": "Authorize", "id": id, "error_code": "InternalError",
                 "error_description": ""}
        if self.random.random() < 0.3:
            error["error_details"] = {"why": token}
        self.add(self.later(0.001, 30), "out", error)
        id = self.id()
        self.call(self.later(0.001, 30), "Reset", {"type": "Hard"}, id, "out")
        self.add(self.later(0.001, 30), "in", {
            "type": 3, "action": "Reset", "id": id, "response": {"status": "Accepted"}})

    def answer_alone(self):
        """Its call was never seen: only a copy that names the action can."""
        self.result(self._clock, "DataTransfer", {"status": "Accepted"}, self.id(), "both")

    def session(self):
        """A start, sent again under another id or not, with answers in time or late."""
        transaction, energy = str(self.seed * 10 + 1), self.random.randint(1, 9999)
        meter, ids = self.random.randint(0, 10**6), [self.id()]
        own = (EPOCH + datetime.timedelta(seconds=self._clock - 5)).isoformat()
        request = {"connectorId": 1, "idTag": "T", "meterStart": meter, "timestamp": own}
        self.call(self._clock, "StartTransaction", request, ids[0])
        if self.random.random() < 0.5:
            ids.append(self.id())
            self.call(self.later(1, 200), "StartTransaction", request, ids[1])
        late = self.random.random() < 0.4
        last = None
        for id, status in zip(ids, self.some(2)):
            if late:
                self.later(300, 3000)
            self.result(self.later(0.001, 20) if late or len(ids) == 1 else
                        self.answer_at(id, ids), "StartTransaction",
                        {"transactionId": self.random.choice([int, float])(transaction),
                         "idTagInfo": {"status": status}}, id, "json")
            last = status
        stop = self.later(600, 3000)
        self.call(stop, "StopTransaction", {
            "transactionId": self.random.choice([int, float])(transaction),
            "meterStop": meter + energy,
            "timestamp": (EPOCH + datetime.timedelta(seconds=stop)).isoformat()}, self.id(),
            forms="json")
        self.sessions[transaction] = (last, energy)

    def look_alike(self):
        """Sessions of one id without a clock, whose starts are equal; each perhaps sent again."""
        transaction, meter = self.seed * 10 + 2, self.random.randint(0, 10**6)
        request = {"connectorId": 1, "idTag": "T", "meterStart": meter, "timestamp": INVALID[0]}
        energies = [self.random.choice([0, 5, 700]) for _ in range(2)]
        for energy in energies:
            for _ in range(self.random.randint(1, 2)):
                id = self.id()
                self.call(self.later(1, 50), "StartTransaction", request, id)
                self.result(self.later(0.001, 5), "StartTransaction", {
                    "transactionId": transaction, "idTagInfo": {"status": "Accepted"}}, id)
            self.call(self.later(60, 3000), "StopTransaction", {
                "transactionId": transaction, "meterStop": meter + energy,
                "timestamp": INVALID[0]}, self.id())
        self.alike[str(transaction)] = sorted(energies)

    def answer_at(self, id, ids):
        """Within a minute of its own call; that of the first comes first."""
        asked = next(at for at, _, m, _ in self.lines if m["id"] == id)
        if id == ids[0]:
            following = next(at for at, _, m, _ in self.lines if m["id"] == ids[1])
            return self.random.uniform(asked + 0.001, min(asked + 50, following))
        return self.random.uniform(asked + 0.001, asked + 50)
