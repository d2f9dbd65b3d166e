"""Histories of charge stations, by seed: what real stations do, including what they should not.

A history is a list of (direction, envelope) of one station. Message ids are its own, so that any
order of the list, and any repetition, means the same.
"""

import datetime
import random

EPOCH = datetime.datetime(2026, 1, 30, 21, 0, tzinfo=datetime.timezone.utc)
TOKENS = ["DEADBEEF", "deadbeef", "38748383L7337848H823", "A", "tok\u00e9n"]
ODD_TIMES = ["1970-01-01T00:00:00Z", "2031-05-05T12:00:00Z", "2026-01-31T24:00:00Z", "yesterday"]
NO_TIMES = ["1970-01-01T00:00:00Z", "yesterday"]
ODD_IDS = [-1, 0, 2**31, 9223372036854766666, 9007199254740993]


class History:
    def __init__(self, seed):
        self.seed = seed
        self.random = random.Random(seed)
        self.version = self.random.choice(["1.6", "2.0.1"])
        # A station writes all its times in one way. (Two messages that differ only in that count as
        # one, and the text of the first is kept.)
        self._time_form = self.random.choice(["Z", "Z", "Z", "zone", "none"])
        self.messages = []
        self.energies = {}  # by token: Wh, unless something is odd about it
        self._ids = 0
        self._ends = []  # (request, a time that it could have)
        self._clock = self.random.randrange(0, 3 * 86400)
        self.status()
        if self.version == "1.6" and self.chance(0.2):
            self.pair16()
        if self.version == "1.6" and self.chance(0.2):
            self.refused16()
        for number in range(self.random.randint(1, 3)):
            (self.session16 if self.version == "1.6" else self.session201)(number)
        self.date_ends()

    # ---- how to say it ----

    def chance(self, probability):
        return self.random.random() < probability

    def later(self, most=900):
        self._clock += self.random.randint(0, most)
        return self.time(self._clock)

    def clock(self):
        """The time of a start or an end: now and then from a clock that was not set, or set
        wrong."""
        return self.random.choice(ODD_TIMES) if self.chance(0.05) else self.later()

    def time(self, seconds):
        at = EPOCH + datetime.timedelta(seconds=seconds)
        if self._time_form == "none":
            return at.strftime("%Y-%m-%dT%H:%M:%S")  # taken as UTC
        if self._time_form == "zone":
            return at.astimezone(datetime.timezone(datetime.timedelta(hours=-7))).isoformat()
        return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def call(self, action, request):
        self._ids += 1
        self.messages.append(("in", {"type": 2, "action": action, "id": str(self._ids),
                                     "request": request}))
        return str(self._ids)

    def result(self, action, number, response):
        self.messages.append(("out", {"type": 3, "action": action, "id": number,
                                      "response": response}))

    def token(self):
        return self.random.choice(TOKENS)

    def status(self):
        for _ in range(self.random.randint(0, 3)):
            status = self.random.choice(["Available", "Occupied", "Charging", "Faulted"])
            # Never two of one time: the time of receipt decides between these.
            self._clock += self.random.randint(1, 60)
            at = self.time(self._clock)
            if self.version == "1.6":
                self.call("StatusNotification", {
                    "connectorId": self.random.randint(0, 2), "errorCode": "NoError",
                    "status": status, "timestamp": at})
            else:
                self.call("StatusNotification", {
                    "evseId": self.random.randint(1, 2), "connectorId": 1,
                    "connectorStatus": status, "timestamp": at})

    # ---- OCPP 1.6 ----

    def date_ends(self):
        """An end without a time counts from its receipt, so which of the sessions with its id it
        ends depends on the order."""
        starts = {}
        for _, envelope in self.messages:
            if envelope["action"] == "StartTransaction" and envelope["type"] == 3:
                id = envelope["response"]["transactionId"]
                starts[id] = starts.get(id, 0) + 1
        for request, at in self._ends:
            if request["timestamp"] in NO_TIMES and starts.get(request["transactionId"], 0) > 1:
                request["timestamp"] = at

    def refused16(self):
        """A station without a clock: a start that is refused with an id that means "none", perhaps
        sent again, and an end with that id and odd values. Each of them stands for itself."""
        id = -1 if self.energies else self.random.choice([-1, 0])
        meter = self.random.randint(0, 10**6)
        request = {"connectorId": 1, "idTag": self.token(), "meterStart": meter,
                   "timestamp": self.random.choice([*NO_TIMES, self.later()])}
        for _ in range(self.random.randint(1, 2)):
            number = self.call("StartTransaction", request)
            self.result("StartTransaction", number, {
                "transactionId": id, "idTagInfo": {"status": "Invalid"}})
        self.call("StopTransaction", {
            "transactionId": id, "meterStop": meter, "timestamp": self.later(),
            "transactionData": [{"timestamp": self.later(60), "sampledValue": [
                {"value": self.random.choice(["NaN", f"{meter}"])}]}]})

    def values16(self, meter):
        samples = [{"value": f"{meter}"}]
        if self.chance(0.5):
            samples.append({"value": self.random.choice(["7.40", "1e3", "NaN", "-0.0", "16"]),
                            "measurand": "Power.Active.Import", "unit": "kW", "phase": "L1"})
        return {"timestamp": self.later(60), "sampledValue": samples}

    def authorize16(self, token):
        if self.chance(0.5):
            number = self.call("Authorize", {"idTag": token})
            if self.chance(0.8):
                self.result("Authorize", number, {"idTagInfo": {
                    "status": self.random.choice(["Accepted", "Blocked"])}})

    def start16(self, transaction, connector, meter):
        """As sent; and as sent again under a new id, if the station got no answer."""
        token = self.token()
        self.authorize16(token)
        request = {"connectorId": connector, "idTag": token, "meterStart": meter,
                   "timestamp": self.clock()}
        if self.chance(0.1):
            request["reservationId"] = self.random.randint(1, 9)
        answer = {"idTagInfo": {"status": self.random.choice(["Accepted", "Invalid"])},
                  "transactionId": transaction}
        if self.chance(0.2):
            answer["idTagInfo"]["parentIdTag"] = "GROUP"
        for _ in range(2 if self.chance(0.15) else 1):
            if self.chance(0.9):
                number = self.call("StartTransaction", request)
                if self.chance(0.9):
                    self.result("StartTransaction", number, answer)
            elif self.chance(0.5):  # only the answer was seen
                self._ids += 1
                self.result("StartTransaction", str(self._ids), answer)

    def pair16(self):
        """One id for two connectors at once, and perhaps for a third session after them: ends are
        told apart by their tokens, or not at all."""
        id = self.random.choice([self.seed * 10 + 9, 0])
        with_tokens, meters = self.chance(0.6), {}
        for connector, token in ((1, "ALICE"), (2, "BOB")):
            meters[token] = self.random.randint(0, 10**6)
            number = self.call("StartTransaction", {
                "connectorId": connector, "idTag": token, "meterStart": meters[token],
                "timestamp": self.later(self.random.choice([0, 900]))})
            self.result("StartTransaction", number, {
                "transactionId": id, "idTagInfo": {"status": "Accepted"}})
        self._clock += 1
        for token in self.random.sample(["ALICE", "BOB"], 2):
            energy = self.random.randint(0, 9999)
            request = {"transactionId": id, "meterStop": meters[token] + energy,
                       "timestamp": self.later()}
            self._clock += 1
            if with_tokens:
                request["idTag"] = self.random.choice([token, token.lower()])
                self.energies[token] = energy
            else:
                self.energies[token] = None
            self.call("StopTransaction", request)
        if self.chance(0.5):
            meter, energy = self.random.randint(0, 10**6), self.random.randint(0, 9999)
            # One whose end never comes, before another at its connector.
            for token in ["DAVE", "CAROL"] if self.chance(0.5) else ["CAROL"]:
                number = self.call("StartTransaction", {
                    "connectorId": 1, "idTag": token, "meterStart": meter,
                    "timestamp": self.later()})
                self.result("StartTransaction", number, {
                    "transactionId": id, "idTagInfo": {"status": "Accepted"}})
                self.energies[token] = None
                self._clock += 1
            self.call("StopTransaction", {"transactionId": id, "meterStop": meter + energy,
                                          "timestamp": self.later()})
            self.energies["CAROL"] = energy
        self._clock += 1000

    def session16(self, number):
        connector = self.random.randint(1, 2)
        transaction = self.seed * 10 + number + 1
        if self.chance(0.1):
            transaction = self.random.choice(ODD_IDS)
            if self.energies and transaction == 0:
                transaction = 2**31  # 0 may be the id of the pair, whose energies are known
        elif self.chance(0.1):
            transaction = self.seed * 10 + 1  # one id for two sessions
        meter = self.random.randint(0, 10**6)
        self.start16(transaction, connector, meter)
        sent = []
        for _ in range(self.random.randint(0, 4)):
            meter += self.random.randint(-1, 500)
            sent.append(self.values16(meter))
            request = {"connectorId": connector, "meterValue": [sent[-1]]}
            if self.chance(0.9):
                request["transactionId"] = transaction
            self.call("MeterValues", request)
        for _ in range(self.random.choice([0, 1, 1, 1, 1, 2])):
            self.stop16(transaction, meter, sent)

    def stop16(self, transaction, meter, sent):
        request = {"transactionId": transaction, "meterStop": meter - self.random.randint(0, 1),
                   "timestamp": self.clock()}
        if self.chance(0.7):
            request["idTag"] = self.token()
        if self.chance(0.7):
            request["reason"] = self.random.choice(["Local", "Remote", "EVDisconnected"])
        if sent and self.chance(0.3):
            request["transactionData"] = sent
        self._ends.append((request, self.time(self._clock)))
        number = self.call("StopTransaction", request)
        if self.chance(0.5):
            self.result("StopTransaction", number, {"idTagInfo": {"status": "Accepted"}})

    # ---- OCPP 2.0.1 ----

    def values201(self, meter, context):
        sample = {"value": meter / 10, "context": context}
        if self.chance(0.3):
            sample["unitOfMeasure"] = {"unit": "kWh", "multiplier": self.random.randint(-3, 3)}
        if self.chance(0.1):
            sample["signedMeterValue"] = {"signedMeterData": "c2lnbmVk", "signingMethod": "x",
                                          "encodingMethod": "y", "publicKey": "z"}
        return {"timestamp": self.later(60), "sampledValue": [sample]}

    def event201(self, kind, transaction, seq, meter):
        # No odd times with an id that is used again: those count from their receipt.
        at = self.later() if transaction.startswith("again-") else self.clock()
        request = {"eventType": kind, "timestamp": at, "seqNo": seq,
                   "triggerReason": self.random.choice(["CablePluggedIn", "MeterValuePeriodic"]),
                   "transactionInfo": {"transactionId": transaction}}
        info = request["transactionInfo"]
        if self.chance(0.6):
            request["evse"] = {"id": self.random.randint(1, 2), "connectorId": 1}
        if self.chance(0.4):
            request["idToken"] = {"idToken": self.token(), "type": "ISO14443"}
        if self.chance(0.5):
            info["chargingState"] = self.random.choice(["Charging", "EVConnected", "Idle"])
        if self.chance(0.2):
            info["remoteStartId"] = self.random.randint(1, 99)
        if kind == "Ended" and self.chance(0.7):
            info["stoppedReason"] = self.random.choice(["Local", "EVDisconnected"])
        if self.chance(0.6):
            context = {"Started": "Transaction.Begin", "Updated": "Sample.Periodic",
                       "Ended": "Transaction.End"}[kind]
            request["meterValue"] = [self.values201(meter, context)]
        if self.chance(0.2):
            request["offline"] = True
        for _ in range(2 if self.chance(0.1) else 1):
            number = self.call("TransactionEvent", request)
            if self.chance(0.3):
                self.result("TransactionEvent", number, {"totalCost": meter / 100})

    def session201(self, number):
        transaction = f"{self.seed}-{number}"
        if self.chance(0.15):
            transaction = f"again-{self.seed}"  # as after a restart, with seqNo from 0
        if self.chance(0.3):
            self.messages.append(("out", {
                "type": 2, "action": "CostUpdated", "id": f"cost{number}",
                "request": {"totalCost": 8.426275, "transactionId": transaction}}))
        meter = self.random.randint(0, 10**6)
        kinds = ["Started"] + ["Updated"] * self.random.randint(0, 4) + ["Ended"]
        if self.chance(0.1):
            kinds.append(self.random.choice(["Updated", "Ended"]))  # after the end
        for seq, kind in enumerate(kinds):
            meter += self.random.randint(-1, 500)
            if self.chance(0.9):  # else it never came
                self.event201(kind, transaction, seq, meter)
