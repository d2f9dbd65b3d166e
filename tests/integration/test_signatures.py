"""`ocpp-persister signatures check`: meters with keys of their own, honest ones and others."""

import base64
import csv
import io
import itertools
import json
import subprocess

import psycopg
import pytest
from conftest import run_cli
from world import DAY

CURVES = {"secp256r1": "prime256v1", "secp192r1": "prime192v1", "secp256k1": "secp256k1",
          "secp192k1": "secp192k1", "secp384r1": "secp384r1", "secp521r1": "secp521r1",
          "brainpool256r1": "brainpoolP256r1", "brainpool384r1": "brainpoolP384r1",
          "brainpool512r1": "brainpoolP512r1"}
SIZES = {"192": 24, "256": 32, "384": 48, "512": 64, "521": 66}
HASHES = {"secp384r1": "SHA384", "secp521r1": "SHA512"}  # the others: SHA256


def openssl(*arguments, input=b""):
    return subprocess.run(["openssl", *arguments], input=input, check=True,
                          capture_output=True).stdout


class Meter:
    """One that signs what it measures."""

    def __init__(self, folder, number, curve="secp256r1"):
        self.curve, self.serial = curve, f"METER{number}"
        self.path = folder / f"{self.serial}.pem"
        openssl("ecparam", "-genkey", "-noout", "-name", CURVES[curve], "-out", str(self.path))
        self.der = openssl("pkey", "-in", str(self.path), "-pubout", "-outform", "DER")
        self.point = self.der[-(2 * SIZES[curve[-5:-2]] + 1):]
        self.hash = HASHES.get(curve, "SHA256")

    def sign(self, payload):
        return openssl("dgst", f"-{self.hash.lower()}", "-sign", str(self.path),
                       input=payload.encode())

    def ocmf(self, *readings, late=0, **section):
        """readings: (TX, RV as text, and other fields), half an hour from begin to end."""
        fields = []
        for number, (reason, value, *more) in enumerate(readings):
            first = ['"RI":"1-b:1.8.0"', '"RU":"kWh"', '"ST":"G"'] if number == 0 else []
            first = [field for field in first if not any(field[:4] == one[:4] for one in more)]
            minute = {"B": 0, "C": 15, "X": 15}.get(reason, 30) + late
            time = f"2026-01-31T{11 + minute // 60}:{minute % 60:02}:00,000+0100 S"
            fields.append("{" + ",".join([f'"TM":"{time}"',
                                          f'"TX":"{reason}"', f'"RV":{value}', *first,
                                          *more]) + "}")
        payload = f'{{"FV":"1.0","MS":"{self.serial}","RD":[{",".join(fields)}]}}'
        signature = {"SD": self.sign(payload).hex().upper(), **section}
        if self.curve != "secp256r1":
            signature["SA"] = f"ECDSA-{self.curve}-{self.hash}"
        return f"OCMF|{payload}|{json.dumps(signature)}"


@pytest.fixture(scope="module")
def meter(tmp_path_factory):
    """meter(), meter("secp192r1"): a new one."""
    folder, numbers = tmp_path_factory.mktemp("meters"), itertools.count()
    return lambda curve="secp256r1": Meter(folder, next(numbers), curve)


@pytest.fixture(scope="module")
def reader(world):
    """Settings of a role that may only read."""
    with psycopg.connect(world.database.dsn(), autocommit=True) as admin:
        admin.execute("CREATE ROLE checks LOGIN PASSWORD 'secret' IN ROLE ocpp_reader")
    return world.database.cluster.settings(world.database.name, "checks", "secret")


@pytest.fixture(scope="module")
def check(world, reader, tmp_path_factory):
    """check(station, ...): its sessions, as objects. trust: meters whose keys are known."""
    folder, numbers = tmp_path_factory.mktemp("keys"), itertools.count()

    def run(station, *arguments, code=0, keys=None, trust=()):
        world.rows("SELECT 1")
        if trust:
            keys = folder / str(next(numbers))
            keys.write_text("".join(f"{m.serial} {m.der.hex()}\n" for m in trust))
        more = ["--keys", str(keys)] if keys else []
        done = run_cli(reader, "signatures", "check", "--station", station, "--json", *more,
                       *arguments)
        assert done.returncode == code, done
        return [json.loads(line) for line in done.stdout.splitlines()]
    return run


@pytest.fixture(scope="module")
def session(world):
    """session(text, ...): one of OCPP 1.6 whose end has signed data. Its station."""
    numbers = itertools.count(1)

    def send(*texts, station=None, start=1500, stop=2500, unsigned=None, context="Transaction.End"):
        station = station or world.station()
        number = next(numbers)
        world.start(station, number, meterStart=start)
        values = [{"value": text, "format": "SignedData", "context": context} for text in texts]
        if unsigned:
            values.append({"value": unsigned, "unit": "kWh", "context": context})
        data = [{"timestamp": DAY + "10:30:00Z", "sampledValue": values}] if values else []
        world.call(station, "StopTransaction", {
            "transactionId": number, "meterStop": stop, "timestamp": DAY + "10:30:00Z",
            "transactionData": data})
        return station
    return send


def wrapped(meter, ocmf, name="signedMeterData", key=None):
    """As the white paper has it: the object of OCPP 2.x as a text."""
    return json.dumps({name: base64.b64encode(ocmf.encode()).decode(), "encodingMethod": "OCMF",
                       "signingMethod": "", "publicKey": key or meter.der.hex()})


def test_begin_and_end_in_one_reading(session, check, meter):
    m = meter()
    station = session(wrapped(m, m.ocmf(("B", "1.5000"), ("E", "2.5000"))))
    [found] = check(station, trust=[m])
    assert found == {
        "started_at": "2026-01-31T10:00:00+00:00", "charge_station_id": found["charge_station_id"],
        "evse_id": 1, "transaction_id": found["transaction_id"], "start_key": "", "readings": 1,
        "format": "OCMF", "begin": "signed", "end": "signed", "signatures": "valid",
        "key": "file", "signed_wh": 1000.0, "energy_wh": 1000, "result": "ok"}
    # Without that: anybody could have made key and signature.
    [found] = check(station)
    assert (found["signatures"], found["key"]) == ("valid", "reading")
    assert found["result"] == "not verified: nobody vouches for the key"


@pytest.mark.parametrize("write", [
    lambda ocmf: ocmf, lambda ocmf: ocmf.encode().hex(), lambda ocmf: ocmf.encode().hex().upper(),
    lambda ocmf: base64.b64encode(ocmf.encode()).decode(),
    lambda ocmf: base64.urlsafe_b64encode(ocmf.encode()).decode().rstrip("="),
    lambda ocmf: base64.encodebytes(ocmf.encode()).decode(),
    lambda ocmf: f" {ocmf}\n"], ids=["plain", "hex", "HEX", "base64", "url", "lines", "blanks"])
def test_ways_of_writing(session, check, meter, tmp_path, write):
    m = meter()
    keys = tmp_path / "keys"
    keys.write_text(f"# trusted\n\n{m.serial} {m.der.hex()}\n")
    [found] = check(session(write(m.ocmf(("B", "1.5"), ("E", "2.5")))), keys=keys)
    assert (found["signatures"], found["key"], found["result"]) == ("valid", "file", "ok")


@pytest.mark.parametrize("write", [
    lambda m: m.der.hex(), lambda m: base64.b64encode(m.der).decode(),
    lambda m: base64.b64encode(m.der.hex().encode()).decode(),
    lambda m: base64.b64encode(b"oca:base16:asn1:" + m.der.hex().encode()).decode(),
    lambda m: "oca:base64:asn1:" + base64.b64encode(m.der).decode(),
    lambda m: m.point.hex(), lambda m: m.point[1:].hex(),
    lambda m: openssl("pkey", "-pubin", "-inform", "DER", input=m.der).decode()],
    ids=["hex", "base64", "twice", "oca16", "oca64", "point", "coordinates", "pem"])
def test_ways_of_writing_a_key(session, check, meter, write):
    m = meter()
    station = session(wrapped(m, m.ocmf(("B", "1.5"), ("E", "2.5")), key=write(m)))
    [found] = check(station)
    assert (found["signatures"], found["key"]) == ("valid", "reading")


@pytest.mark.parametrize("curve", CURVES)
def test_curves(session, check, meter, curve):
    m = meter(curve)
    bare = wrapped(m, m.ocmf(("B", "1.5"), ("E", "2.5")), key=m.point.hex())
    other = wrapped(m, m.ocmf(("B", "1.5"), ("E", "2.5")), key=meter(curve).point.hex())
    [found] = check(session(bare))
    assert found["signatures"] == "valid"
    [found] = check(session(other), code=1)
    assert (found["signatures"], found["result"]) == ("invalid", "invalid")


def test_signature_in_base64_and_an_older_name_of_the_data(session, check, meter):
    m = meter()
    ocmf = m.ocmf(("B", "1.5"), ("R", "2.5"))
    payload = ocmf.split("|")[1]
    ocmf = f"OCMF|{payload}|" + json.dumps(
        {"SD": base64.b64encode(m.sign(payload)).decode(), "SE": "base64"})
    [found] = check(session(wrapped(m, ocmf, "signedMeterValue")), trust=[m])
    assert (found["signatures"], found["result"]) == ("valid", "ok")


def test_events_of_2_x(world, check, meter):
    m, station = meter(), world.station()
    for number, (kind, at, value) in enumerate((("Started", "10:00:00Z", "1.500"),
                                                ("Ended", "10:30:00Z", "4.000"))):
        word = kind == "Started"
        ocmf = m.ocmf(("B" if word else "E", value))
        world.event(station, kind, "T", number, at=at, evse={"id": 1}, meterValue=[{
            "timestamp": DAY + at, "sampledValue": [{
                "value": float(value), "unitOfMeasure": {"unit": "kWh"},
                "context": f"Transaction.{'Begin' if word else 'End'}",
                "signedMeterValue": {
                    "signedMeterData": base64.b64encode(ocmf.encode()).decode(),
                    "encodingMethod": "OCMF", "signingMethod": "ECDSA-secp256r1-SHA256",
                    "publicKey": base64.b64encode(m.der).decode() if word else ""}}]}])
    [found] = check(station)
    assert (found["begin"], found["end"], found["signed_wh"]) == ("signed", "signed", 2500)
    # The key came with the first reading only, as PublicKeyWithSignedMeterValue allows.
    assert (found["signatures"], found["key"]) == ("valid", "reading")
    [found] = check(station, trust=[m])
    assert found["result"] == "ok"
    assert world.rows("""SELECT context, register_wh, register_as_sent, format, public_key IS NULL,
        signed_text LIKE 'OCMF|{%' FROM ocpp.signed_readings WHERE charge_station_id = ?
        ORDER BY event_time""", station) == [
            ("Transaction.Begin", 1500, "1.5e3", "OCMF", False, True),
            ("Transaction.End", 4000, "4.0e3", "OCMF", True, True)]
    assert world.rows("""SELECT transaction_id, readings, formats, signed_begin, signed_end
        FROM ocpp.signed_sessions WHERE charge_station_id = ?""", station) == [
            ("T", 2, ["OCMF"], True, True)]


def test_whose_key_counts(world, session, check, meter, tmp_path):
    honest, forger, station = meter(), meter(), world.station()
    keys = tmp_path / "keys"
    ocmf = forger.ocmf(("B", "1.5"), ("E", "2.5"))
    session(wrapped(forger, ocmf), station=station)
    [found] = check(station)  # nobody vouches for the meter
    assert (found["key"], found["signatures"]) == ("reading", "valid")
    for name in (station, f"{station}/1", forger.serial, "*"):
        keys.write_text(f"{name} {honest.der.hex()}\nother {forger.der.hex()}\n")
        [found] = check(station, keys=keys, code=1)
        assert (found["key"], found["signatures"]) == ("file", "invalid")
        assert found["result"] == "invalid"
    id = world.call(station, "GetConfiguration", {"key": ["MeterPublicKey1"]}, direction="out")
    world.result(station, "GetConfiguration", {"configurationKey": [
        {"key": "MeterPublicKey1", "readonly": True, "value": honest.der.hex()}]}, id,
        direction="in")
    [found] = check(station, code=1)
    assert (found["key"], found["signatures"]) == ("station", "invalid")


def test_what_is_wrong(session, check, meter):
    m, other = meter(), meter()

    def result(*texts, code=1, **more):
        [found] = check(session(*texts, **more), code=code, trust=[m, other])
        return found["result"]

    def ocmf(*readings, of=m, **more):
        return wrapped(of, of.ocmf(*readings, **more))

    right = m.ocmf(("B", "1.5"), ("E", "2.5"))
    changed = wrapped(m, right.replace('"RV":2.5', '"RV":2.4'))
    assert result(changed, stop=2400) == "invalid"
    assert result(wrapped(m, right), stop=9500) == "signed energy is 1000 Wh, energy_wh 8000"
    assert result(ocmf(("E", "2.5"))) == "no signed reading at the beginning"
    assert result(ocmf(("B", "1.5"))) == "no signed reading at the end"
    assert result(ocmf(("B", "1.5"), ("C", "2.5"))) == "no signed reading at the end"
    assert result(wrapped(m, right), unsigned="2.7") == \
        "a signed reading differs from the one beside it"
    assert result(wrapped(m, right), unsigned="2.50", code=0) == "ok"
    unusable = "the meter says that its energy is not to be used"
    assert result(ocmf(("B", "1.5"), ("E", "2.5", '"EF":"E"'))) == unusable
    assert result(ocmf(("B", "1.5"), ("X", "2"), ("E", "2.5"))) == unusable
    assert result(ocmf(("B", "1.5"), ("E", "2.5", '"EF":"t"')), code=0) == "ok"
    assert result(ocmf(("B", "1.5"), ("E", "2.5", '"ST":"M"'))) == "the meter reports a fault"
    # A reading of an earlier session, sent once more.
    assert result(ocmf(("B", "1.5"), ("E", "2.5"), late=20)) == \
        "signed at another time than that of the session"
    assert result(ocmf(("B", "1.5")), ocmf(("E", "2.5"), of=other)) == \
        "readings of different meters"
    assert result(ocmf(("B", "1.5")), ocmf(("E", "2.5"), late=14), code=0) == "ok"
    assert result(ocmf(("B", "1.5"), ("E", "2.5")), ocmf(("B", "1.25"), ("E", "2.5"))) == \
        "signed readings contradict each other"
    assert result(ocmf(("B", "1.5"), ("E", "2.5", '"RI":"1-b:2.8.0"'))) == \
        "begin and end are of different registers"
    assert result(ocmf(("B", "1.5", '"RU":"kvarh"'), ("E", "2.5"))) == "no signed energy"
    assert result(ocmf(("B", "2.5"), ("E", "1.5")), stop=500) == "the signed energy is negative"
    assert result(ocmf(("B", "1e400"), ("E", "2.5"))) == "no signed energy"
    # A register that counts the session alone, two registers, and numbers that are rounded.
    assert result(ocmf(("B", "0"), ("E", "1.000")), code=0) == "ok"
    two = ocmf(("B", "1.5"), ("B", "7", '"RI":"1-b:2.8.0"'), ("E", "2.5", '"RI":"1-b:1.8.0"'),
               ("E", "7", '"RI":"1-b:2.8.0"'))
    assert result(two, code=0) == "ok"
    assert result(ocmf(("B", "1.50049"), ("E", "2.4996")), code=0) == "ok"


def test_keys_that_are_none(session, check, meter):
    m, other = meter(), meter("secp384r1")
    right = m.ocmf(("B", "1.5"), ("E", "2.5"))
    encrypted = openssl("pkcs8", "-topk8", "-in", str(m.path), "-passout", "pass:x").decode()
    for key in ("00", "xyz", m.der.hex()[:-2], other.der.hex(), encrypted):
        [found] = check(session(wrapped(m, right, key=key)), code=1)
        assert (found["signatures"], found["result"]) == ("bad key", "bad key"), key


def test_session_without_an_end_has_nothing_of_the_next(world, session, check, meter):
    """A power cut: the station never says that the session is over."""
    m, station = meter(), world.station()
    world.start(station, 88001, at="08:00:00Z", meterStart=1000)
    world.call(station, "MeterValues", {"connectorId": 1, "meterValue": [{
        "timestamp": DAY + "08:00:00Z", "sampledValue": [{
            "value": wrapped(m, m.ocmf(("B", "1.0"), late=-120)), "format": "SignedData",
            "context": "Transaction.Begin"}]}]})
    world.start(station, 88002, at="10:00:00Z", meterStart=1500)
    for at, texts in (("10:00:00Z", ("B", "1.5")), ("10:30:00Z", ("E", "2.5"))):
        world.call(station, "MeterValues", {"connectorId": 1, "meterValue": [{
            "timestamp": DAY + at, "sampledValue": [{
                "value": wrapped(m, m.ocmf(texts)), "format": "SignedData"}]}]})
    world.call(station, "StopTransaction", {
        "transactionId": 88002, "meterStop": 2500, "timestamp": DAY + "10:30:00Z"})
    first, second = check(station, trust=[m])
    assert (first["readings"], second["readings"]) == (1, 2)
    assert (first["end"], second["end"], second["result"]) == ("missing", "signed", "ok")


def test_session_whose_start_has_no_valid_time(world, check, meter):
    m, station = meter(), world.station()
    world.start(station, 88003, at="never", meterStart=1500)
    world.call(station, "StopTransaction", {
        "transactionId": 88003, "meterStop": 2500, "timestamp": DAY + "10:30:00Z",
        "transactionData": [{"timestamp": DAY + "10:30:00Z", "sampledValue": [{
            "value": wrapped(m, m.ocmf(("B", "1.5"), ("E", "2.5"))), "format": "SignedData"}]}]})
    [found] = check(station, trust=[m])
    assert (found["readings"], found["result"]) == (1, "ok")


@pytest.mark.parametrize("damage", [
    lambda text: text[:-20], lambda text: text[:10], lambda text: text.replace("RD", "RX"),
    lambda text: text.replace('"SD":', '"SX":'), lambda text: text.replace('"SD":', '"SE":'),
    lambda text: text.replace('"RD":[{', '"RD":[1,{'), lambda text: "OCMF||",
    lambda text: "OCMF|", lambda text: text.replace("}|{", "}{")],
    ids=("cut", "header", "readings", "signature", "encoding", "list", "empty", "end", "joined"))
def test_damaged_data(session, check, meter, damage):
    m = meter()
    [found] = check(session(wrapped(m, damage(m.ocmf(("B", "1.5"), ("E", "2.5"))))), code=1)
    assert found["signatures"] == "unreadable"
    assert found["result"].startswith("unreadable")


def test_what_nobody_can_tell_is_not_wrong(session, check, meter):
    m = meter()
    [found] = check(session("AP;0;3;ALCV3ABBBISHMA2RYEGAZE3HV5YQBQRAEHAR2MN;BIHEIWSH"))
    assert (found["format"], found["signatures"], found["result"]) == (
        "Alfen", "not supported", "not verified")
    assert "begin" not in found
    [found] = check(session("!! a format of its own"))
    assert "format" not in found and found["result"] == "not verified"
    [found] = check(session(m.ocmf(("B", "1.5"), ("E", "2.5"))))
    assert (found["signatures"], found["result"]) == ("no key", "not verified")


def test_sessions_without(world, session, check):
    station = session()
    assert check(station) == []
    [found] = check(station, "--all", code=1)
    assert (found["readings"], found["result"]) == (0, "no signed readings")
    running = world.station()
    world.start(running, 77777)
    assert check(running) == []
    [found] = check(running, "--all")
    assert found["result"] == "not verified"


def test_forgetting_a_token_that_was_signed(world, session, check, meter, tmp_path):
    m, keys = meter(), tmp_path / "keys"
    signed = m.ocmf(("B", "1.5"), ("E", "2.5"))
    payload = signed.split("|")[1].replace('"RD"', '"ID":"0480423A4B5880","RD"')
    plain = f"OCMF|{payload}|" + json.dumps({"SD": m.sign(payload).hex()})
    station = session(wrapped(m, plain))
    session(plain, station=station)
    keys.write_text(f"{m.serial} {m.der.hex()}")
    world.rows("SELECT 1")
    done = run_cli(world.database.settings(), "forget", "0480423A4B5880")
    assert done.returncode == 0, done
    found = check(station, keys=keys, code=1)
    assert sorted(one["signatures"] for one in found) == ["invalid", "valid"]
    # In base64 nothing finds it, but this:
    assert world.rows("""SELECT count(*) FROM ocpp.signed_readings
        WHERE charge_station_id = ? AND position('0480423A4B5880' IN signed_text) > 0""",
                      station) == [(1,)]


def test_forms(world, session, reader, meter, tmp_path):
    m, station = meter(), world.station()
    session(wrapped(m, m.ocmf(("B", "1.5"), ("E", "2.5"))), station=station)
    session(wrapped(m, m.ocmf(("B", "1.5"))), station=station)
    world.rows("SELECT 1")
    keys = tmp_path / "keys"
    keys.write_text(f"\ufeff{m.serial} {m.der.hex()}\n", encoding="utf-8")
    arguments = ["signatures", "check", "--station", station, "--keys", str(keys)]
    done = run_cli(reader, *arguments)
    assert done.returncode == 1
    head, first, second, _, total = done.stdout.splitlines()
    assert head.split()[:3] == ["started_at", "charge_station_id", "evse_id"]
    assert first.endswith("ok") and second.endswith("no signed reading at the end")
    assert total == "total: sessions 2, ok 1, not verified 0, wrong 1"
    done = run_cli(reader, *arguments, "--wrong", "--csv")
    [row] = csv.DictReader(io.StringIO(done.stdout))
    assert (row["end"], row["signed_wh"], row["energy_wh"]) == ("missing", "", "1000")
    done = run_cli(reader, *arguments, "--from", "2027-01")
    assert done.returncode == 0 and done.stdout.splitlines()[-1].startswith("total: sessions 0")


def test_a_wrong_list_of_keys(reader, meter, tmp_path):
    m, keys = meter(), tmp_path / "keys"
    for text, fault in (("cs1", ":1: a name without a key"), ("\ncs1 xyz", ":2: not a public key"),
                        (f"a {m.der.hex()}\na {m.point.hex()}", ": a name that another line has"),
                        (None, "No such file")):
        if text is None:
            keys.unlink()
        else:
            keys.write_text(text)
        done = run_cli(reader, "signatures", "check", "--keys", str(keys))
        assert done.returncode == 2 and fault in done.stderr, done
    done = run_cli(reader, "signatures", "chekc")
    assert done.returncode == 2 and "check" in done.stderr
