"""Untrusted text on its way to a terminal: whatever it contains, it stays text there."""

import json
import os
import subprocess
import sys
import unicodedata

import pytest
import rig
from conftest import BINARY, BUILD, LEDGER, ROOT, STATIONS, stored

LIMIT = os.path.join(BUILD, "limit")

# What a broker lets through in a topic, and what only a payload, a file or a database can hold.
TURNED = "\u202egpj\u2066\u200f\u061c\u2028"
HOSTILE = "\x1b]0;owned\x07\x1b[2J\r\x7f\u009b31m\u0085" + TURNED

# Default_Ignorable_Code_Point of Unicode (DerivedCoreProperties.txt), which Python does not know.
IGNORED = (0xad, 0x34f, 0x61c, (0x115f, 0x1160), (0x17b4, 0x17b5), (0x180b, 0x180f),
           (0x200b, 0x200f), (0x202a, 0x202e), (0x2060, 0x206f), 0x3164, (0xfe00, 0xfe0f), 0xfeff,
           0xffa0, (0xfff0, 0xfff8), (0x1bca0, 0x1bca3), (0x1d173, 0x1d17a), (0xe0000, 0xe0fff))
NO_CHARACTERS = {c for c in range(0x110000) if c & 0xfffe == 0xfffe or 0xfdd0 <= c <= 0xfdef}
UNSEEN = NO_CHARACTERS.union(
    *(range(r[0], r[1] + 1) for r in ((i, i) if isinstance(i, int) else i for i in IGNORED)),
    (c for c in range(0x110000) if unicodedata.category(chr(c)) in ("Cc", "Cf", "Zl", "Zp")))


def harmless(data):
    """The text of what was written, which must be UTF-8 that a terminal shows as it is."""
    text = data.decode()
    unseen = {c for c in text.replace("\n", "") if ord(c) in UNSEEN}
    assert not unseen, ascii("".join(sorted(unseen)))
    return text


def ours(settings, *arguments, code=None):
    """A command, of which both streams are harmless: (stdout, stderr)."""
    options = [f"--{key}={value}" for key, value in settings.items()]
    done = subprocess.run([os.fsencode(a) for a in (BINARY, *options, *arguments)],
                          capture_output=True)
    if code is not None:
        assert done.returncode == code, (done.stdout, done.stderr)
    assert done.returncode in range(8), done.stderr
    return harmless(done.stdout), harmless(done.stderr)


@pytest.fixture
def attacked(running, publish, migrated):
    """Settings of a log and a database that have hostile text in all the places it can get to."""
    p = running({"mqtt.topics": "cs/#", "log.level": "debug"})
    hostile = json.dumps({"type": 2, "action": HOSTILE, "id": HOSTILE, "request": {"x": HOSTILE}},
                         ensure_ascii=False)
    raw = hostile.replace("\\u001b", "\x1b")
    payloads = [hostile, raw, HOSTILE, HOSTILE.encode() + b"\xff\x9b", b"\x9b2J", "{" + HOSTILE,
                f'[2,"1","{TURNED}\x7f\x9b",{{}}]']
    topics = [f"cs/in/ocpp1.6/{TURNED}", "cs/in/ocpp1.6/cs1", f"cs/{TURNED}/x/y",
              "cs/store/token", f"cs/store/{TURNED}"]
    for topic in topics:
        for payload in payloads:
            publish.raw(topic, payload)
    publish.raw("cs/store/token", json.dumps({
        "op": "set", "uid": HOSTILE, "type": "RFID", "country_code": "GB", "party_id": "TWK",
        "contract_id": HOSTILE, "issuer": HOSTILE, "valid": True, "cache_mode": "ALWAYS"}))
    stored(migrated, len(topics) * len(payloads) + 1)
    migrated.rows("UPDATE dead_letters SET detail = detail || %s, charge_station_id = %s", HOSTILE,
                  HOSTILE)
    assert p.stop() == 0
    with open(p.log, "rb") as f:
        harmless(f.read())
    return {**migrated.settings(), "spool.dir": p.settings["spool.dir"]}


def test_dead_letters_and_the_log_are_shown_as_text(attacked):
    listed, _ = ours(attacked, "dead-letters", "list", code=0)
    assert r"\u202egpj\u2066\u200f\u061c\u2028" in listed and r"\x1b]0;owned\x07" in listed
    shown, _ = ours(attacked, "dead-letters", "show", "--all", code=0)
    assert r"\x1b[2J" in shown and r"\u009b31m" in shown
    ours(attacked, "dead-letters", "list", "--station", HOSTILE, code=0)
    for arguments in (["ls"], ["ls", "--json"], ["verify"]):
        ours(attacked, "spool", *arguments, code=0)
    for form in (["cat"], ["export", "json"], ["export", "maeve"]):
        lines = [json.loads(line) for line in ours(attacked, "spool", *form, code=0)[0].split("\n")
                 if line]
        # Still JSON, and what it says is what was sent.
        assert any(TURNED in line["topic"] for line in lines)
        assert any(TURNED in json.dumps(line.get("payload"), ensure_ascii=False)
                   for line in lines)
    ours(attacked, "verify", code=0)
    ours(attacked, "dead-letters", "requeue", "--all")
    ours(attacked, "dead-letters", "discard", "--all", code=0)


def test_the_store_is_shown_as_text(attacked):
    uid = HOSTILE
    table, _ = ours(attacked, "store", "token", "get", uid, code=0)
    assert r"\x1b]0;owned" in table
    ours(attacked, "store", "token", "list", code=0)
    found = json.loads(ours(attacked, "store", "token", "get", uid, "--json", code=0)[0])
    assert (found["uid"], found["issuer"]) == (HOSTILE, HOSTILE)
    ours(attacked, "store", "export", code=0)
    assert "there is no" in ours(attacked, "store", "token", "get", uid + "x", code=1)[1]
    ours(attacked, "store", "token", "set", f"{HOSTILE}={HOSTILE}")


def test_files_and_payloads_are_shown_as_text(attacked, tmp_path):
    folder = tmp_path / ("folder" + HOSTILE)
    folder.mkdir()
    capture = folder / ("capture" + HOSTILE)
    capture.write_bytes(b'{"tst":"2026-02-01T12:00:00Z","topic":"cs/in/ocpp1.6/\xe2\x80\xaex",'
                        b'"qos":1,"payload":"\\u001b[2J"}\n' + HOSTILE.encode() + b"\n{\x9b\n")
    payload = folder / "payload"
    payload.write_text(json.dumps([2, HOSTILE, HOSTILE, {HOSTILE: HOSTILE}], ensure_ascii=False))
    for arguments in (["replay", capture], ["replay", "--dry-run", capture],
                      ["replay", "--json", capture], ["replay", folder / "none"],
                      ["replay", "--lines", HOSTILE, capture],
                      ["replay", "--csv", HOSTILE, capture],
                      ["replay", "--csv", "station=a,time=b,value=c", capture],
                      ["decode", payload], ["decode", "--topic", f"cs/in/{HOSTILE}/x", payload],
                      ["decode", capture], ["decode", folder / "none"],
                      ["migrate", "--path", folder, "status"],
                      ["migrate", "--path", folder, "create", HOSTILE]):
        ours(attacked, *map(str, arguments))
    log = {**attacked, "spool.dir": str(folder)}
    (folder / "00000000000000000001.seg").write_bytes(b"damaged")
    for arguments in (["ls"], ["cat"], ["verify"]):
        ours(log, "spool", *arguments)
    for setting in ("spool.dir", "storage.postgres.schema", "storage.postgres.host",
                    "storage.url", "http.listen", "mqtt.url", "mqtt.tls_ca", "log.level",
                    "batch.bytes_max", "mqtt.topic_patterns"):
        settings = {**attacked, setting: HOSTILE}
        ours(settings, "config", "print")
        ours(settings, "dead-letters", "list")
        ours(settings, "spool", "ls")


def test_what_is_not_understood_is_shown_as_text(attacked, tmp_path):
    ours(attacked, HOSTILE, code=2)
    ours({**attacked, "no." + HOSTILE: "1"}, "verify", code=3)
    for command in ("run", "migrate", "config", "dead-letters", "decode", "verify", "metrics",
                    "replay", "spool", "store", "version"):
        ours(attacked, command, HOSTILE)
        ours(attacked, command, "--" + HOSTILE)
    for arguments in (["spool", "ls"], ["spool", "cat"], ["dead-letters", "show"],
                      ["migrate", "up"], ["store", "token", "get"], ["store", "token", "set"]):
        ours(attacked, *arguments, HOSTILE)
    path = tmp_path / ("settings" + HOSTILE)
    path.write_text(f"[log]\n{HOSTILE} = {HOSTILE}\n")
    path.chmod(0o600)
    ours({}, f"--config={path}", "verify", code=3)
    path.write_text(f"[{HOSTILE}\n")
    ours({}, f"--config={path}", "verify", code=3)


def test_no_character_that_is_not_seen_reaches_a_terminal():
    """Whatever Unicode has: format characters, fillers, variation selectors, noncharacters."""
    characters = sorted(UNSEEN - {0, ord("\n")})
    for at in range(0, len(characters), 64):
        part = characters[at:at + 64]
        _, said = ours({}, "".join(map(chr, part)), code=2)
        assert all(escape(c) in said for c in part), said
    seen = "Gr\u00fc\u00dfe \u6f22\u5b57 \U0001f50c \u2027\u202f\u2800\ue000\U000e1000"
    assert seen in ours({}, seen, code=2)[1]


def escape(c):
    return f"\\x{c:02x}" if c < 0x80 else f"\\u{c:04x}" if c < 0x10000 else f"\\U{c:08x}"


def test_other_programs_show_arguments_as_text(tmp_path):
    name = HOSTILE + "\u200b\u2060\ufeff\U000e0001"
    folder = tmp_path / ("folder" + name)
    bench = os.path.join(ROOT, "bench")
    for command in ([STATIONS, "--" + name], [STATIONS, name], [STATIONS, "--broker", name],
                    [STATIONS, "--broker", f"mqtt://{name}:1"], [STATIONS, "--seed", name],
                    [STATIONS, "--start", name], [STATIONS, "--shape", name],
                    [STATIONS, "--connect-seconds", "0", "--ledger", folder / name],
                    [STATIONS, "--stations", name], [STATIONS, "--qos", name],
                    [LIMIT, "--spool", folder, "--conninfo", f"host='{name}'"],
                    [sys.executable, LEDGER, name], [sys.executable, LEDGER, name, name],
                    [sys.executable, LEDGER, name, name, "--" + name],
                    [sys.executable, os.path.join(bench, "quickstart.py"), "--" + name],
                    [sys.executable, os.path.join(bench, "figures.py"), "--" + name]):
        done = subprocess.run([os.fsencode(a) for a in command], capture_output=True,
                              stdin=subprocess.DEVNULL)
        assert done.returncode in (1, 2, 3), (command, done)
        harmless(done.stdout)
        assert "owned" in harmless(done.stderr) or "usage" in done.stderr.decode(), command


def test_no_log_to_compare_with_is_named_as_text(migrated, tmp_path):
    settings = {**migrated.settings(), "spool.dir": str(tmp_path / HOSTILE)}
    assert "no log in" in ours(settings, "verify")[0]


def test_a_value_in_the_logging_is_one_value(persister, tmp_path):
    """A path with blanks and quotes does not make fields of its own."""
    folder = str(tmp_path / 'a" level=error b')
    p = persister({"spool.dir": folder, "mqtt.url": f"mqtt://127.0.0.1:{rig.free_port()}"}).start()
    line = p.wait_event("log_opened")
    assert line["dir"] == folder and line["level"] == "info"
