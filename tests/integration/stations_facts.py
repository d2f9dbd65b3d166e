"""What must be in the database, derived from what was published: a decoder that shares no code with
the simulator, to compare its ledger with."""

from stations_rig import Number, numbers_as_text


def sample_of(sample, is_text):
    """A sampled value as a fact states it."""
    assert isinstance(sample["value"], Number) != is_text
    fact = {key: sample[key] for key in ("measurand", "phase", "context", "location", "unit")
            if key in sample}
    unit = sample.get("unitOfMeasure", {})
    if "unit" in unit:
        fact["unit"] = unit["unit"]
    if "multiplier" in unit:
        fact["multiplier"] = int(unit["multiplier"])
    return {**fact, "value": str(sample["value"])}


def readings_of(station, values, is_text, **members):
    return [{"t": "meter_values", "station": station, "time": value["timestamp"], **members,
             "samples": [sample_of(sample, is_text) for sample in value["sampledValue"]]}
            for value in values]


def facts_of_meter_values(station, request):
    if "connectorId" in request:
        place = int(request["connectorId"])
        members = {"evse": place, "connector": place}
        if "transactionId" in request:
            members["transaction"] = str(request["transactionId"])
    else:
        members = {"evse": int(request["evseId"]), "connector": None}
    return readings_of(station, request["meterValue"], "connectorId" in request,
                       source="MeterValues", **members)


def facts_of_start(station, request):
    fact = {"t": "transaction_events", "station": station, "time": request["timestamp"],
            "evse": int(request["connectorId"]), "connector": int(request["connectorId"]),
            "event": "Started", "token": request["idTag"],
            "meter_start": str(request["meterStart"])}
    if "reservationId" in request:
        fact["reservation_id"] = int(request["reservationId"])
    return [fact]


def facts_of_stop(station, request):
    transaction = str(request["transactionId"])
    fact = {"t": "transaction_events", "station": station, "time": request["timestamp"],
            "evse": -1, "connector": None, "event": "Ended", "transaction": transaction,
            "meter_stop": str(request["meterStop"])}
    fact |= {ours: request[theirs] for ours, theirs in
             (("token", "idTag"), ("reason", "reason")) if theirs in request}
    return [fact] + readings_of(station, request.get("transactionData", []), True, evse=-1,
                                connector=None, transaction=transaction, source="StopTransaction")


def facts_of_event(station, request):
    info, evse = request["transactionInfo"], request.get("evse")
    place = {"evse": int(evse["id"]) if evse else -1,
             "connector": int(evse["connectorId"]) if evse else None}
    shared = {"transaction": info["transactionId"], "seq": int(request["seqNo"])}
    fact = {"t": "transaction_events", "station": station, "time": request["timestamp"], **place,
            "event": request["eventType"], **shared, "trigger": request["triggerReason"]}
    if "idToken" in request:
        fact |= {"token": request["idToken"]["idToken"],
                 "token_type": request["idToken"]["type"]}
    if "cableMaxCurrent" in request:
        fact["cable_max_current"] = str(request["cableMaxCurrent"])
    fact |= {ours: int(request[theirs]) for ours, theirs in
             (("reservation_id", "reservationId"),
              ("number_of_phases_used", "numberOfPhasesUsed")) if theirs in request}
    fact |= {ours: int(info[theirs]) for ours, theirs in
             (("remote_start_id", "remoteStartId"),
              ("time_spent_charging", "timeSpentCharging")) if theirs in info}
    fact |= {ours: info[theirs] for ours, theirs in
             (("state", "chargingState"), ("reason", "stoppedReason")) if theirs in info}
    if "offline" in request:
        fact["offline"] = request["offline"]
    return [fact] + readings_of(station, request.get("meterValue", []), False,
                                source="TransactionEvent", **shared, **place)


def facts_of_authorize(station, request, message_id):
    token = request.get("idToken") or {"idToken": request["idTag"]}
    fact = {"t": "authorizations", "station": station, "message_id": message_id,
            "token": token["idToken"]}
    if "type" in token:
        fact["token_type"] = token["type"]
    return [fact]


def facts_of_other(topic, element):
    """A row of ocpp_events."""
    _, direction, _, station = topic.split("/")
    kind = {"2": "call", "3": "result", "4": "error"}[element["type"]]
    fact = {"t": "ocpp_events", "station": station, "direction": direction, "kind": kind,
            "action": element["action"], "message_id": element["id"]}
    if kind == "call":
        fact["payload"] = request = element["request"]
        if "timestamp" in request:
            fact["time"] = request["timestamp"]
        if element["action"] == "StatusNotification":
            evse = int(request.get("evseId", request["connectorId"]))
            fact |= {"evse": evse, "connector": int(request["connectorId"])}
        return [fact]
    if kind == "result":
        fact["payload"] = element["response"]
    else:
        fact |= {key: element[key] for key in ("error_code", "error_description")}
    if "request" in element:
        fact["request"] = element["request"]
    return [fact] if element.get("response") != {} else []


def facts_of_answer(station, element, call):
    """The answers that say something about a row of their call."""
    response = element["response"]
    info = response.get("idTagInfo") or response.get("idTokenInfo")
    fact = {"status": info["status"]}
    group = info.get("parentIdTag") or info.get("groupIdToken", {}).get("idToken")
    if group:
        fact["group"] = group
    if element["action"] == "Authorize":
        token = call.get("idTag") or call["idToken"]["idToken"]
        return [{"t": "authorization_results", "station": station, "message_id": element["id"],
                 "token": token, **fact}]
    return [{"t": "transaction_starts", "station": station, "time": call["timestamp"],
             "evse": int(call["connectorId"]), "transaction": str(response["transactionId"]),
             **fact}]


def facts_of(topic, element, calls):
    """What must be in the database, by a decoder that shares nothing with the simulator."""
    station, action = topic.split("/")[3], element["action"]
    if element["type"] == "2":
        of_call = {"MeterValues": facts_of_meter_values, "StartTransaction": facts_of_start,
                   "StopTransaction": facts_of_stop, "TransactionEvent": facts_of_event}
        if action in of_call:
            return of_call[action](station, element["request"])
        if action == "Authorize":
            return facts_of_authorize(station, element["request"], element["id"])
    if element["type"] == "3" and action in ("Authorize", "StartTransaction"):
        return facts_of_answer(station, element, calls[station, element["id"]])
    return facts_of_other(topic, element)


def is_told(topic, element, calls):
    """An answer that overtook its call at the end of the run has nothing to compare with."""
    return element["action"] not in ("Authorize", "StartTransaction") or \
        (topic.split("/")[3], element["id"]) in calls


def with_numbers_as_text(fact):
    """Payloads are compared by the text of their numbers."""
    return {key: numbers_as_text(value) if key in ("payload", "request") else value
            for key, value in fact.items()}
