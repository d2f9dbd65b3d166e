"""privacy.token_key: tokens are stored as keyed hashes from the start."""

import hashlib
import hmac
import json

from conftest import run_cli, stored
from test_forget import STORE, TOKEN, found, messages, send

KEY = "correct horse battery staple"
KEYED = {"privacy.token_key": KEY}
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def hashed(token, key=KEY):
    """As docs/privacy.md describes it."""
    digest = hmac.new(key.encode(), token.lower().encode(), hashlib.sha256).digest()
    number, text = int.from_bytes(digest[:16], "big"), ""
    for _ in range(19):
        number, digit = divmod(number, 36)
        text = DIGITS[digit] + text
    return "#" + text


def test_token_is_nowhere_but_where_the_csms_reads_it(running, migrated, publish):
    p = running({**STORE, **KEYED})
    sent = messages()
    send(publish, sent)
    stored(migrated, len(sent))
    tokens = found(migrated)
    # The store, and fields that have no name of a token's.
    assert "tokens.uid" in tokens
    for column in ("authorizations.id_token", "authorizations.group_id_token",
                   "transaction_events.id_token", "transactions.id_token",
                   "transactions.group_id_token", "transactions.stop_id_token",
                   "transaction_starts.group_id_token", "exchange_halves.group_id_token"):
        assert column not in tokens and column in found(migrated, hashed(TOKEN))
    assert migrated.value("""SELECT count(*) FROM ocpp_events
        WHERE payload::text ~* '(idTag|Token)": "04A2b8C1"'""") == 0
    assert migrated.value("SELECT count(*) FROM authorizations WHERE id_token = %s",
                          hashed(TOKEN)) >= 4
    # In bytes, too.
    raw = b"".join(bytes(b) for b, in migrated.rows("""
        SELECT payload FROM dead_letters WHERE payload IS NOT NULL UNION ALL
        SELECT payload_raw FROM authorizations WHERE payload_raw IS NOT NULL"""))
    assert hashed(TOKEN).encode() in raw
    assert b'"idTag":"' + TOKEN.encode() not in raw and b"idTag\xa8" not in raw
    # Repeats are found, and what is a hash already stays so.
    before = migrated.rows("SELECT count(*) FROM authorizations")
    send(publish, sent[::-1])
    stored(migrated, 2 * len(sent))
    assert migrated.rows("SELECT count(*) FROM authorizations") == before
    done = run_cli(p.settings, "dead-letters", "requeue", "--all")
    assert done.returncode == 0, done.stderr
    assert hashed(hashed(TOKEN)) != hashed(TOKEN)
    assert found(migrated, hashed(hashed(TOKEN))) == {}


def test_numbers_lists_and_escaped_names_are_hashed(running, migrated, publish):
    running(KEYED)
    texts = ['{"idTag":44556677}', '{"idTag":["44556677", "KEYARR01"]}',
             '{"\\u0069dTag":"KEYARR01"}']
    for n, text in enumerate(texts):
        publish.raw("cs/in/ocpp1.6/cs1", f'{{"type":2,"id":"{n}","request":{text}')
        publish.call("cs1", "DataTransfer", {"vendorId": "v", "data": text}, id=f"d{n}")
        publish.call("cs1", "DataTransfer", {"vendorId": "v", **json.loads(text)}, id=f"m{n}")
    stored(migrated, 3 * len(texts))
    assert found(migrated, "44556677") == {} and found(migrated, "KEYARR01") == {}
    for token in ("44556677", "KEYARR01"):
        assert found(migrated, hashed(token)) == {
            "dead_letters.payload": 2, "ocpp_events.payload": 4}


def test_commands_hash_by_themselves(running, migrated, publish):
    p = running(KEYED)
    publish.call("cs1", "StartTransaction", {"connectorId": 1, "idTag": TOKEN, "meterStart": 0,
                                             "timestamp": "2026-01-31T10:00:00Z"}, id="a")
    publish.result("cs1", "StartTransaction",
                   {"transactionId": 5, "idTagInfo": {"status": "Accepted"}}, id="a")
    stored(migrated, 2)
    done = run_cli(p.settings, "token-hash", TOKEN)
    assert (done.returncode, done.stdout) == (0, hashed(TOKEN) + "\n"), done
    done = run_cli(p.settings, "token-hash", "-", input=f"{TOKEN}\nx\n")
    assert done.stdout == f"{hashed(TOKEN)}\n{hashed('x')}\n"
    for token in (TOKEN, TOKEN.lower(), hashed(TOKEN)):
        done = run_cli(p.settings, "sessions", "--token", token, "--json")
        assert json.loads(done.stdout)["id_token"] == hashed(TOKEN), done
    assert run_cli(p.settings, "sessions", "--token", "other", "--json").stdout == ""
    # Both forms are forgotten: the plain one, which the CSMS has set, and the hash.
    migrated.rows("INSERT INTO store_transactions (charge_station_id, transaction_id, id_token)"
                  " VALUES ('cs1', 'S', %s)", TOKEN)
    done = run_cli(p.settings, "forget", TOKEN, "--json")
    assert done.returncode == 0, done.stderr
    name = json.loads(done.stdout)["pseudonym"]
    assert len(name) == 20
    assert found(migrated) == {} and found(migrated, hashed(TOKEN)) == {}
    publish.call("cs2", "Authorize", {"idTag": TOKEN}, id="late")
    stored(migrated, 3)
    assert migrated.rows("SELECT id_token FROM authorizations") == [(name,)]


def test_wrong_keys_are_named(migrated, tmp_path):
    short = run_cli({**migrated.settings(), "privacy.token_key": "short"}, "token-hash", TOKEN)
    assert short.returncode == 3 and "at least 16" in short.stderr
    none = run_cli(migrated.settings(), "token-hash", TOKEN)
    assert none.returncode == 3 and "privacy.token_key is not set" in none.stderr
    (tmp_path / "key").write_text(KEY + "\n")
    file = run_cli({**migrated.settings(), "privacy.token_key_file": tmp_path / "key"},
                   "token-hash", TOKEN)
    assert file.stdout == hashed(TOKEN) + "\n", file
    shown = run_cli({**migrated.settings(), **KEYED}, "config", "print")
    assert KEY not in shown.stdout and "token_key = ********" in shown.stdout
    assert run_cli(migrated.settings(), "token-hash").returncode == 2
