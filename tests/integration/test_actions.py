"""Every action of the three OCPP versions is described in schemas/ or listed as generic there, and
every message with it ends up in a table with its payload."""

import json
import os
import re

from conftest import ROOT, stored

# OCPP 1.6: the profiles of section 3.2, and the messages of the security whitepaper, edition 2.
ACTIONS_16 = """
    Authorize BootNotification CancelReservation CertificateSigned ChangeAvailability
    ChangeConfiguration ClearCache ClearChargingProfile DataTransfer DeleteCertificate
    DiagnosticsStatusNotification ExtendedTriggerMessage FirmwareStatusNotification
    GetCompositeSchedule GetConfiguration GetDiagnostics GetInstalledCertificateIds
    GetLocalListVersion GetLog Heartbeat InstallCertificate LogStatusNotification
    MeterValues RemoteStartTransaction RemoteStopTransaction ReserveNow Reset
    SecurityEventNotification SendLocalList SetChargingProfile SignCertificate
    SignedFirmwareStatusNotification SignedUpdateFirmware StartTransaction
    StatusNotification StopTransaction TriggerMessage UnlockConnector UpdateFirmware
""".split()

# OCPP 2.0.1 part 2, section 1 of the messages.
ACTIONS_201 = """
    Authorize BootNotification CancelReservation CertificateSigned ChangeAvailability
    ClearCache ClearChargingProfile ClearDisplayMessage ClearedChargingLimit
    ClearVariableMonitoring CostUpdated CustomerInformation DataTransfer DeleteCertificate
    FirmwareStatusNotification Get15118EVCertificate GetBaseReport GetCertificateStatus
    GetChargingProfiles GetCompositeSchedule GetDisplayMessages GetInstalledCertificateIds
    GetLocalListVersion GetLog GetMonitoringReport GetReport GetTransactionStatus
    GetVariables Heartbeat InstallCertificate LogStatusNotification MeterValues
    NotifyChargingLimit NotifyCustomerInformation NotifyDisplayMessages
    NotifyEVChargingNeeds NotifyEVChargingSchedule NotifyEvent NotifyMonitoringReport
    NotifyReport PublishFirmware PublishFirmwareStatusNotification ReportChargingProfiles
    RequestStartTransaction RequestStopTransaction ReservationStatusUpdate ReserveNow
    Reset SecurityEventNotification SendLocalList SetChargingProfile SetDisplayMessage
    SetMonitoringBase SetMonitoringLevel SetNetworkProfile SetVariableMonitoring
    SetVariables SignCertificate StatusNotification TransactionEvent TriggerMessage
    UnlockConnector UnpublishFirmware UpdateFirmware
""".split()

# What OCPP 2.1 adds.
ACTIONS_21 = """
    AdjustPeriodicEventStream AFRRSignal BatterySwap ChangeTransactionTariff
    ClearDERControl ClearTariffs ClosePeriodicEventStream GetCertificateChainStatus
    GetDERControl GetPeriodicEventStream GetTariffs NotifyAllowedEnergyTransfer
    NotifyDERAlarm NotifyDERStartStop NotifyPeriodicEventStream NotifyPriorityCharging
    NotifySettlement NotifyWebPaymentStarted OpenPeriodicEventStream
    PullDynamicScheduleUpdate ReportDERControl RequestBatterySwap SetDefaultTariff
    SetDERControl UpdateDynamicSchedule UsePriorityCharging VatNumberValidation
""".split()

ACTIONS = {"1.6": ACTIONS_16, "2.0.1": ACTIONS_201, "2.1": ACTIONS_201 + ACTIONS_21}

# How a message can come: direction, kind.
WAYS = [("in", "call"), ("out", "result"), ("out", "error"),
        ("out", "call"), ("in", "result"), ("in", "error")]


def described():
    """{version: actions whose call a file describes}"""
    found = {version: set() for version in ACTIONS}
    folder = os.path.join(ROOT, "schemas")
    for name in os.listdir(folder):
        with open(os.path.join(folder, name)) as f:
            for action, versions in re.findall(r"^message (\w+) (\S+) (?:call|send)", f.read(),
                                               re.MULTILINE):
                for version in versions.split(","):
                    found[version].add(action)
    return found


def generic():
    """{version: actions named in schemas/generic.txt}"""
    with open(os.path.join(ROOT, "schemas", "generic.txt")) as f:
        text = "".join(line for line in f if not line.startswith("#"))
    parts = re.split(r"^([\d.]+):", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], (part.split() for part in parts[1::2])))


def test_standards_are_whole():
    assert [len(set(ACTIONS[version])) for version in ACTIONS] == [39, 64, 91]


def test_every_action_is_described_or_named_as_generic():
    known = described()
    for version, names in generic().items():
        assert len(names) == len(set(names))
        assert not known[version] & set(names), "described, and named as generic"
        known[version] |= set(names)
    assert known == {version: set(actions) for version, actions in ACTIONS.items()}


def envelope(kind, action, id, payload):
    if kind == "call":
        return {"type": 2, "action": action, "id": id, "request": payload}
    if kind == "result":
        return {"type": 3, "action": action, "id": id, "response": payload}
    return {"type": 4, "action": action, "id": id, "error_code": "GenericError",
            "error_description": "no", "error_details": payload}


def test_every_action_is_stored_with_its_payload(running, migrated, publish):
    running()
    wanted, count = set(), 0
    for version, actions in ACTIONS.items():
        for direction, kind in WAYS:
            batch = []
            for action in [*actions, "OfAVendor"]:
                probe = f"{version} {direction} {kind} {action}"
                batch.append(envelope(kind, action, probe, {"probe": probe}))
                wanted.add(probe)
            for i in range(0, len(batch), 32):
                publish.raw(f"cs/{direction}/ocpp{version}/cs001", json.dumps(batch[i:i + 32]))
            count += len(batch)
    stored(migrated, count)
    assert migrated.rows("SELECT topic, reason, detail FROM dead_letters") == []
    found = migrated.rows("""
        SELECT payload ->> 'probe', ocpp_version || ' ' || direction || ' ' || kind || ' ' || action
        FROM ocpp_events
        UNION ALL
        SELECT extra ->> 'probe', ocpp_version || ' in call '
            || CASE event_type WHEN 'Started' THEN 'Start' ELSE 'Stop' END || 'Transaction'
        FROM transaction_events WHERE ocpp_version = '1.6' AND extra ->> 'probe' LIKE '%% in %%'
        UNION ALL
        SELECT extra ->> 'probe', extra ->> 'probe' FROM transaction_events
        WHERE ocpp_version <> '1.6' OR extra ->> 'probe' LIKE '%% out %%'
        UNION ALL
        SELECT extra ->> 'probe', extra ->> 'probe' FROM authorizations""".replace("%%", "%"))
    assert {probe for probe, _ in found} == wanted
    assert len(found) == len(wanted)
    assert [(probe, where) for probe, where in found if probe != where] == []


def test_messages_of_types_5_and_6_are_stored(running, migrated, publish):
    """OCPP 2.1: CALLRESULTERROR, the answer to a result that cannot be used, and SEND."""
    running()
    frames = [[6, "s1", "NotifyPeriodicEventStream", {
                  "id": 1, "pending": 0, "basetime": "2026-01-31T10:00:00Z",
                  "data": [{"t": 0.5, "v": "16.3"}]}],
              [6, "s2", "OfAVendor", {"x": 1}],
              [5, "r1", "FormatViolation", "not understood", {"field": "status"}]]
    for frame in frames:
        publish.raw("cs/in/ocpp2.1/cs001", json.dumps(frame))
    publish.raw("cs/in/ocpp2.1/cs001", json.dumps(
        {"type": 6, "action": "NotifyPeriodicEventStream", "id": "s3",
         "request": {"id": 1, "basetime": "2026-01-31T10:00:01Z", "data": []}}))
    stored(migrated, 4)
    assert migrated.rows("SELECT message_id, kind, action, error_code, time_source::text, payload"
                         " FROM ocpp_events ORDER BY message_id") == [
        ("r1", "result_error", "", "FormatViolation", "r", {"field": "status"}),
        ("s1", "send", "NotifyPeriodicEventStream", None, "s", frames[0][3]),
        ("s2", "send", "OfAVendor", None, "r", {"x": 1}),
        ("s3", "send", "NotifyPeriodicEventStream", None, "s",
         {"id": 1, "basetime": "2026-01-31T10:00:01Z", "data": []})]
