"""The store: its calls in C (store/*.c) and its queries, on a real PostgreSQL."""

import json
import os
import re
import subprocess

import pytest
import rig
from conftest import BINARY, BUILD, ROOT, make_database, run_cli
from conftest import stored as settled

OK, FAILED, USAGE, DATABASE, SCHEMA = 0, 1, 2, 4, 5


def run_cases(name, database, **environment):
    program = os.path.join(BUILD, f"store_{name}")
    if not os.path.exists(program):
        pytest.skip(f"{program} was not built: cmocka is not installed")
    done = subprocess.run([program], env={**os.environ, "STORE_URL": database.dsn(), **environment},
                          capture_output=True, text=True, timeout=rig.HANGS_S)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["pool", "roaming", "stations", "tokens", "transactions"])
def test_calls(name, migrated):
    run_cases(name, migrated)


@pytest.fixture
def store(migrated):
    """store("token", "get", "X"): the command on the test's database; text goes to stdin."""
    def run(*arguments, text=None, **kwargs):
        return run_cli(migrated.settings(), "store", *arguments, input=text, **kwargs)

    return run


def stored(done):
    assert done.returncode == OK, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# ---- queries ----


def test_every_query_fits_the_migrated_schema(store):
    done = store("check")
    assert done.returncode == OK, done.stderr


@pytest.mark.parametrize("change, says", [
    ("ALTER TABLE tokens ALTER cache_mode TYPE varchar(20)", 'column "cache_mode" is not text'),
    ("ALTER TABLE tokens ALTER cache_mode DROP NOT NULL", 'column "cache_mode" may be NULL'),
    ("ALTER TABLE tokens ALTER group_id SET NOT NULL", 'column "group_id" is NOT NULL'),
    ("ALTER TABLE charge_stations RENAME security_profile TO profile", "security_profile"),
    ("ALTER TABLE charge_stations ALTER security_profile TYPE bigint", "is not integer"),
    ("ALTER TABLE certificates ALTER pem TYPE bytea USING pem::bytea", "certificate_"),
    ("DROP VIEW all_transactions", "transaction_find"),
])
def test_check_names_the_query_that_does_not_fit(migrated, store, change, says):
    migrated.connect().execute(change)
    done = store("check")
    assert done.returncode == SCHEMA
    assert says in done.stderr


def test_document_names_every_call_and_a_test_that_there_is():
    folder = os.path.join(ROOT, "consumer", "store")
    with open(os.path.join(ROOT, "docs", "store.md")) as f:
        readme = f.read()
    calls, tests = set(), set()
    for name in ("tokens", "stations", "transactions", "roaming"):
        with open(os.path.join(folder, name + ".h")) as f:
            calls |= set(re.findall(r"\b(ocpp_\w+_(?:set|lookup|find|create|update|end))\(",
                                    f.read()))
    here = os.path.dirname(os.path.abspath(__file__))
    for name in [os.path.join("store", n) for n in os.listdir(os.path.join(here, "store"))] + \
            ["test_store.py", "test_store_pool.py"]:
        with open(os.path.join(here, name)) as f:
            tests |= set(re.findall(r"^(?:static void|def) (\w+)\(", f.read(), re.MULTILINE))
    rows = re.findall(r"^\| [^|]+ \| (?:`(ocpp_\w+)`|[^|]+) \| (`.+`) \|$", readme, re.MULTILINE)
    assert len(rows) > 45
    assert calls <= {call for call, _ in rows}
    assert {name for _, names in rows
            for name in re.findall(r"`(?:[\w.]+::)?(\w+)`", names)} <= tests


def test_token_set_by_many_at_once_is_there_once(migrated, store):
    """Where an UPDATE that finds nothing is followed by an INSERT, one of two fails."""
    tokens = json.dumps(TOKEN)
    options = [f"--{key}={value}" for key, value in migrated.settings().items()]
    blocker = migrated.connect(autocommit=False)
    blocker.execute("LOCK TABLE tokens IN SHARE MODE")  # all get as far as their write
    both = [subprocess.Popen([BINARY, *options, "store", "token", "set"], text=True,
                             stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    for process in both:
        process.stdin.write(tokens)
        process.stdin.close()
    rig.wait_until(lambda: migrated.value(
        "SELECT count(*) FROM pg_locks WHERE relation = 'tokens'::regclass AND NOT granted") == 4,
        30, lambda: "four that wait")
    blocker.commit()
    for process in both:
        assert process.wait(rig.HANGS_S) == OK, process.stderr.read()
        process.stderr.close()
    assert stored(store("token", "list", "--json")) == [TOKEN]


# ---- command line ----

TOKEN = {"uid": "ABC", "type": "RFID", "country_code": "GBR", "party_id": "TWK",
         "contract_id": "GBTWK1", "issuer": "Thoughtworks", "valid": True, "cache_mode": "ALWAYS",
         "last_updated": "2026-01-31T10:00:00Z"}


def as_arguments(row):
    return [f"{key}={str(value).lower() if isinstance(value, bool) else value}"
            for key, value in row.items()]


def test_a_row_is_set_got_listed_and_deleted(store):
    assert store("token", "set", *as_arguments(TOKEN)).returncode == OK
    assert stored(store("token", "get", "ABC", "--json")) == [TOKEN]
    assert stored(store("token", "list", "--json")) == [TOKEN]
    table = store("token", "list").stdout.splitlines()
    assert len(table) == 2
    assert table[0].split()[:2] == ["uid", "type"]
    assert table[1].split()[:3] == ["ABC", "RFID", "GBR"]
    assert store("token", "delete", "ABC", "--at", "2026-01-31T09:59:59Z").returncode == OK
    assert stored(store("token", "get", "ABC", "--json")) == [TOKEN]
    assert store("token", "delete", "ABC").returncode == OK
    done = store("token", "get", "ABC")
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert 'there is no token "ABC"' in done.stderr
    assert stored(store("token", "list", "--json")) == []


def test_thousand_tokens_and_ten_deletes_are_990_also_after_all_again_in_any_order(store):
    tokens = [json.dumps({**TOKEN, "uid": f"T{n:04}"}) for n in range(1000)]

    def delete():
        for n in range(10):
            done = store("token", "delete", f"T{n * 100:04}", "--at", "2026-01-31T11:00:00Z")
            assert done.returncode == OK, done.stderr

    done = store("token", "set", text="\n".join(tokens))
    assert (done.returncode, done.stderr) == (OK, "stored 1000\n")
    delete()
    assert len(stored(store("token", "list", "--json"))) == 990
    assert store("token", "set", text="\n".join(tokens[::-1]) + "\n").returncode == OK
    assert len(stored(store("token", "list", "--json"))) == 990
    delete()
    uids = [token["uid"] for token in stored(store("token", "list", "--json"))]
    assert uids == sorted({f"T{n:04}" for n in range(1000) if n % 100})
    assert [token["uid"] for token in stored(store("token", "list", "--json", "--after", "T0997",
                                                   "--limit", "1"))] == ["T0998"]
    assert len(stored(store("token", "list", "--json", "--limit", "501"))) == 501


EPOCH = "1970-01-01T00:00:00Z"


def test_1970_is_a_time_like_any_other(store, postgres):
    """In a struct of the store, 0 says that no time was given, and that is newer than all."""
    assert store("token", "set", *as_arguments(TOKEN)).returncode == OK
    older = {**TOKEN, "valid": False, "last_updated": EPOCH}
    assert store("token", "set", *as_arguments(older)).returncode == OK
    assert store("token", "set", text=json.dumps(older)).returncode == OK
    assert store("token", "delete", "ABC", "--at", EPOCH).returncode == OK
    assert stored(store("token", "get", "ABC", "--json")) == [TOKEN]
    oldest = {**TOKEN, "uid": "OLD", "last_updated": EPOCH}
    assert store("token", "set", *as_arguments(oldest)).returncode == OK
    assert EPOCH in store("token", "get", "OLD").stdout
    trigger = {"charge_station_id": "cs1", "message_type": "BootNotification",
               "status": "Pending", "send_after": EPOCH, "last_updated": EPOCH}
    assert store("trigger", "set", text=json.dumps(trigger)).returncode == OK
    exported = store("export")
    assert stored(exported) == [{"entity": "token", **TOKEN}, {"entity": "token", **oldest},
                                {"entity": "trigger", **trigger}]
    other = make_database(postgres)
    assert run_cli(other.settings(), "migrate", "up").returncode == OK
    blocked = {**oldest, "valid": False, "last_updated": "2026-01-31T10:00:00Z"}
    assert run_cli(other.settings(), "store", "token", "set",
                   *as_arguments(blocked)).returncode == OK
    assert run_cli(other.settings(), "store", "import", input=exported.stdout).returncode == OK
    assert stored(run_cli(other.settings(), "store", "token", "get", "OLD", "--json")) == [blocked]


def test_list_goes_on_after_a_transaction_of_1970(migrated, store):
    migrated.connect().execute(
        "INSERT INTO store_transactions (charge_station_id, transaction_id, started_at)"
        " VALUES ('cs1', '1', '1970-01-01 00:00:00Z')")
    rows = stored(store("transaction", "list", "--json", "--limit", "600"))
    assert [(row["transaction_id"], row["started_at"]) for row in rows] == [("1", EPOCH)]


@pytest.mark.parametrize("entity, row, key", [
    ("token", TOKEN, "uid"),
    ("setting", {"charge_station_id": "", "key": "a", "value": "", "status": "Pending"},
     "charge_station_id"),
    ("party", {"role": "EMSP", "country_code": "", "party_id": "TWK", "url": "http://a",
               "token": "t"}, "country_code"),
])
def test_empty_key_is_refused(store, entity, row, key):
    """Lists begin after the empty key, so no export would have it."""
    for done in (store(entity, "set", *as_arguments({**row, key: ""})),
                 store(entity, "set", text=json.dumps({**row, key: ""}))):
        assert done.returncode == FAILED
        assert f"{key} is empty" in done.stderr


def test_pages_of_parties_begin_after_the_whole_key(store):
    keys = [("CPO", "GB", "TWK"), ("EMSP", "GB", "ABC"), ("EMSP", "GB", "TWK"),
            ("EMSP", "NL", "ABC")]
    lines = [json.dumps({"role": role, "country_code": country, "party_id": party,
                         "url": "http://a", "token": "t"}) for role, country, party in keys]
    assert store("party", "set", text="\n".join(lines)).returncode == OK
    paged, after = [], ()
    while page := stored(store("party", "list", "--json", "--limit", "1", *after)):
        paged += [(row["role"], row["country_code"], row["party_id"]) for row in page]
        assert len(paged) <= len(keys)
        after = ("--after", ",".join(paged[-1]))
    assert paged == keys
    for part in ("EMSP", "EMSP,GB"):
        done = store("party", "list", "--after", part)
        assert done.returncode == FAILED
        assert "role,country_code,party_id" in done.stderr


def test_pages_of_transactions_have_no_key(store):
    done = store("transaction", "list", "--after", "cs1")
    assert done.returncode == USAGE
    assert "--after does not go with transaction" in done.stderr


def test_limit_of_settings_counts_stations(store):
    lines = [json.dumps({"charge_station_id": f"cs{n}", "key": key, "value": "1",
                         "status": "Pending"}) for n in range(3) for key in "ab"]
    assert store("setting", "set", text="\n".join(lines)).returncode == OK
    rows = stored(store("setting", "list", "--json", "--after", "cs0", "--limit", "1"))
    assert [(row["charge_station_id"], row["key"]) for row in rows] == [("cs1", "a"), ("cs1", "b")]


EVERYTHING = [
    {"entity": "token", **TOKEN, "visual_number": 'with "quotes", \\ and ü\n'},
    {"entity": "charge-station", "charge_station_id": "cs1", "security_profile": 2,
     "invalid_username_allowed": False},
    {"entity": "setting", "charge_station_id": "cs1", "key": "HeartbeatInterval", "value": "10",
     "status": "Pending", "send_after": "2026-01-31T10:00:00.123456Z"},
    {"entity": "setting", "charge_station_id": "cs1", "key": "Other", "value": "",
     "status": "Accepted"},
    {"entity": "runtime", "charge_station_id": "cs1", "ocpp_version": "1.6"},
    {"entity": "install-certificate", "charge_station_id": "cs1", "certificate_id": "a",
     "certificate_type": "EVCC", "certificate": "PEM", "status": "Pending"},
    {"entity": "trigger", "charge_station_id": "cs1", "message_type": "BootNotification",
     "status": "Pending", "connector_id": 1},
    {"entity": "registration", "token": "secret", "status": "registered"},
    {"entity": "party", "role": "EMSP", "country_code": "GB", "party_id": "TWK", "url": "http://a",
     "token": "secret"},
    {"entity": "location", "id": "loc1", "location": {"Id": "loc1", "Country": "GBR",
                                                      "Evses": [{"MaxAmperage": 1.50}]}},
]


def test_export_of_everything_can_be_imported_elsewhere(store, postgres):
    lines = "\n".join(json.dumps(row) for row in EVERYTHING)
    done = store("import", text=lines)
    assert (done.returncode, done.stderr) == (OK, f"stored {len(EVERYTHING)}\n")
    exported = store("export")
    rows = stored(exported)
    assert len(rows) == len(EVERYTHING)
    for sent in EVERYTHING:
        assert any(sent.items() <= row.items() for row in rows), sent
    assert all(row["last_updated"] for row in rows)
    other = make_database(postgres)
    assert run_cli(other.settings(), "migrate", "up").returncode == OK
    for _ in range(2):
        assert run_cli(other.settings(), "store", "import", input=exported.stdout).returncode == OK
        assert run_cli(other.settings(), "store", "export").stdout == exported.stdout


@pytest.mark.parametrize("line, says", [
    ('{"uid": "A"', "line 2: "),
    ("[]", "line 2: no JSON object"),
    ('{"uid": "A", "nothing": 1}', 'line 2: there is no field "nothing"'),
    ('{"uid": true}', 'line 2: "uid" takes another kind of value (text)'),
    ('{"uid": "A\\u0000"}', "line 2: "),
    (json.dumps({**TOKEN, "last_updated": "yesterday"}), '"last_updated" takes another'),
    (json.dumps({k: v for k, v in TOKEN.items() if k != "valid"}), "valid is missing"),
    (json.dumps({k: v for k, v in TOKEN.items() if k != "issuer"}), "issuer is missing"),
    ('{"entity": "party"}', '"entity" is missing, or not one'),
])
def test_bad_line_is_refused_by_its_number(store, line, says):
    done = store("token", "set", text=json.dumps(TOKEN) + "\n" + line + "\n")
    assert done.returncode == FAILED
    assert says in done.stderr


def test_wrong_words_are_refused_with_the_usage(store):
    for words in (("token",), ("nothing", "list"), ("token", "get"), ("token", "delete"),
                  ("token", "get", "a", "b"), ("transaction", "delete", "a", "b"),
                  ("token", "list", "--limit", "0"), ("token", "list", "--nothing"), ("k e",)):
        done = store(*words)
        assert done.returncode == USAGE, words
        assert "usage: ocpp-persister store" in done.stderr


def test_connection_string_with_settings_of_a_pool_works_everywhere(migrated):
    url = migrated.dsn() + "&pool_max_conns=3&pool_min_conns=1&connect_timeout=5s"
    for words in (("store", "token", "list", "--json"), ("migrate", "version")):
        done = run_cli({"storage.url": url}, *words)
        assert done.returncode == OK, done.stderr


def test_tables_that_are_missing_are_told_with_the_remedy(database):
    done = run_cli(database.settings(), "store", "token", "list")
    assert done.returncode == 5
    assert "hint: `ocpp-persister migrate up` creates it" in done.stderr


# ---- library ----

@pytest.fixture(scope="module")
def installed(workspace):
    """The library, installed in a folder of its own; compiler flags that the build needs."""
    prefix = os.path.join(workspace.path, "prefix")
    for component in ("store", "development"):
        subprocess.run(["cmake", "--install", BUILD, "--component", component, "--prefix", prefix],
                       check=True, capture_output=True)
    with open(os.path.join(BUILD, "CMakeCache.txt")) as f:
        sanitize = re.search(r"^SANITIZE:\w+=(.+)$", f.read(), re.MULTILINE)
    return prefix, [f"-fsanitize={sanitize[1]}"] if sanitize else []


def pkg_config(prefix, *arguments):
    environment = {**os.environ, "PKG_CONFIG_PATH": os.path.join(prefix, "lib", "pkgconfig")}
    return subprocess.run(["pkg-config", *arguments, "ocpp-store"], env=environment, text=True,
                          check=True, capture_output=True).stdout.split()


def outside(tmp_path):
    """The example, in a folder that knows nothing of the source tree."""
    with open(os.path.join(ROOT, "tests", "integration", "store", "example.c")) as f:
        text = f.read()
    path = tmp_path / "example.c"
    path.write_text(text)
    return str(path)


def run_outside(program, database, prefix):
    done = subprocess.run([program, database.dsn()], text=True, capture_output=True,
                          timeout=rig.HANGS_S,
                          env={**os.environ, "LD_LIBRARY_PATH": os.path.join(prefix, "lib")})
    assert (done.returncode, done.stdout) == (0, "ABC is valid, 0 transactions\n"), done.stderr


@pytest.mark.parametrize("static", [False, True])
def test_program_outside_the_tree_builds_with_pkg_config(migrated, installed, tmp_path, static):
    prefix, flags = installed
    libs = pkg_config(prefix, "--libs")
    if static:  # except libpq: Debian lacks some of what its static library needs
        libs = [os.path.join(prefix, "lib", "libocpp-store.a"), "-lpq", "-lssl", "-lcrypto",
                "-pthread"]
    program = str(tmp_path / "example")
    done = subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", *flags, "-o", program,
                           outside(tmp_path), *pkg_config(prefix, "--cflags"), *libs],
                          text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    run_outside(program, migrated, "/nowhere" if static else prefix)


@pytest.mark.parametrize("target", ["ocpp-store", "ocpp-store-static"])
def test_program_outside_the_tree_builds_with_cmake(migrated, installed, tmp_path, target):
    prefix, flags = installed
    outside(tmp_path)
    (tmp_path / "CMakeLists.txt").write_text(f"""
        cmake_minimum_required(VERSION 3.25)
        project(outside LANGUAGES C)
        find_package(ocpp-store 0.1 REQUIRED)
        add_executable(example example.c)
        target_link_libraries(example PRIVATE ocpp-store::{target})""")
    for command in (["cmake", "-S", ".", "-B", "b", f"-DCMAKE_PREFIX_PATH={prefix}",
                     f"-DCMAKE_C_FLAGS={' '.join(flags)}"], ["cmake", "--build", "b"]):
        done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr
    run_outside(str(tmp_path / "b" / "example"), migrated, prefix)


def test_library_shows_nothing_but_its_calls(installed):
    prefix, _ = installed
    headers = ""
    for name in ("store", "tokens", "stations", "transactions", "roaming"):
        with open(os.path.join(prefix, "include", "ocpp-store", "store", name + ".h")) as f:
            headers += f.read()
    declared = set(re.findall(r"^OCPP_API .*?\b(ocpp_\w+)\(", headers, re.MULTILINE | re.DOTALL))
    assert len(declared) > 40
    for arguments in (["-D", "libocpp-store.so"], ["libocpp-store.a"]):
        *options, name = arguments
        done = subprocess.run(["nm", *options, "--defined-only", "--extern-only",
                               os.path.join(prefix, "lib", name)], text=True, capture_output=True)
        seen = {line.split()[-1].split("@")[0] for line in done.stdout.splitlines()
                if len(line.split()) == 3}
        # Marks of sanitizers and of the version itself.
        assert {s for s in seen if not s.startswith(("__", "OCPP_STORE_"))} == declared


# ---- fed by stations ----

def test_boot_of_a_station_is_its_runtime_details_until_something_newer_is_said(
        running, publish, store, migrated):
    running()

    def boot(model, **more):
        before = migrated.value("SELECT coalesce(sum(received), 0) FROM ingest_progress")
        publish.call("cs1", "BootNotification", {
            "chargePointVendor": "Vendor", "chargePointModel": model, **more}, id=model)
        settled(migrated, before + 1)

    boot("One", firmwareVersion="1.0", chargePointSerialNumber="12")
    found, = stored(store("runtime", "get", "cs1", "--json"))
    assert {k: v for k, v in found.items() if k != "last_updated"} == {
        "charge_station_id": "cs1", "ocpp_version": "1.6", "vendor": "Vendor", "model": "One",
        "serial_number": "12", "firmware_version": "1.0"}
    assert stored(store("runtime", "list", "--json")) == [found]
    told = ("charge_station_id=cs1", "ocpp_version=2.0.1")
    old = "last_updated=2026-01-31T10:00:00Z"
    assert store("runtime", "set", *told, old).returncode == OK
    assert stored(store("runtime", "list", "--json")) == [found]
    assert store("runtime", "set", *told).returncode == OK
    assert [row["ocpp_version"] for row in stored(store("runtime", "list", "--json"))] == ["2.0.1"]
    assert store("runtime", "delete", "cs1").returncode == OK
    assert stored(store("runtime", "list", "--json")) == []
    boot("Two")
    assert [row["model"] for row in stored(store("runtime", "list", "--json"))] == ["Two"]


def test_transaction_that_a_station_reported_is_found_with_its_meter_values(
        running, publish, store, migrated):
    running()
    publish.call("cs1", "StartTransaction", {
        "connectorId": 1, "idTag": "ABC", "meterStart": 100,
        "timestamp": "2026-01-31T10:00:00Z"}, id="1")
    publish.result("cs1", "StartTransaction", {
        "transactionId": 4711, "idTagInfo": {"status": "Accepted"}}, id="1")
    publish.call("cs1", "MeterValues", {
        "connectorId": 1, "transactionId": 4711, "meterValue": [{
            "timestamp": "2026-01-31T10:05:00Z", "sampledValue": [{"value": "150.0"}]}]}, id="2")
    publish.call("cs1", "StopTransaction", {
        "transactionId": 4711, "meterStop": 200, "timestamp": "2026-01-31T10:10:00Z",
        "reason": "EVDisconnected"}, id="3")
    settled(migrated, 4)
    found, = stored(store("transaction", "get", "cs1", "4711", "--json"))
    assert (found["id_token"], found["meter_start"], found["meter_stop"], found["started_at"],
            found["stopped_at"], found["stopped_reason"]) == (
        "ABC", "100", "200", "2026-01-31T10:00:00Z", "2026-01-31T10:10:00Z", "EVDisconnected")
    assert "150.0" in json.dumps(found["meter_values"])
    listed, = stored(store("transaction", "list", "--json"))
    assert listed == {key: value for key, value in found.items() if key != "meter_values"}


def test_values_of_a_transaction_that_has_gone_on_for_days_are_found(
        running, publish, store, migrated):
    running()
    publish.call("cs1", "StartTransaction", {
        "connectorId": 1, "idTag": "ABC", "meterStart": 100,
        "timestamp": "2026-01-31T10:00:00Z"}, id="1")
    publish.result("cs1", "StartTransaction", {
        "transactionId": 4711, "idTagInfo": {"status": "Accepted"}}, id="1")
    publish.call("cs1", "MeterValues", {
        "connectorId": 1, "transactionId": 4711, "meterValue": [{
            "timestamp": "2026-02-03T10:00:00Z", "sampledValue": [{"value": "150.0"}]}]}, id="2")
    settled(migrated, 3)
    found, = stored(store("transaction", "get", "cs1", "4711", "--json"))
    assert "150.0" in json.dumps(found["meter_values"])


def test_sessions_of_an_id_that_was_used_again_are_told_apart(running, publish, store, migrated):
    """Two connectors with one id at the same time, and the first of them once more."""
    running()

    def session(connector, token, begin, meter, value, end):
        id = f"{connector}{begin}"
        publish.call("cs1", "StartTransaction", {
            "connectorId": connector, "idTag": token, "meterStart": meter,
            "timestamp": f"2026-01-31T{begin}:00:00Z"}, id=id)
        publish.result("cs1", "StartTransaction", {
            "transactionId": 1, "idTagInfo": {"status": "Accepted"}}, id=id)
        publish.call("cs1", "MeterValues", {
            "connectorId": connector, "transactionId": 1, "meterValue": [{
                "timestamp": f"2026-01-31T{begin}:10:00Z",
                "sampledValue": [{"value": value}]}]}, id=id + "v")
        publish.call("cs1", "StopTransaction", {
            "transactionId": 1, "idTag": token, "meterStop": meter + 500,
            "timestamp": f"2026-01-31T{end}:00:00Z"}, id=id + "e")

    session(1, "ALICE", "08", 1000, "11", "09")
    session(2, "BOB", "08", 5000, "22", "10")
    session(1, "ALICE", "11", 1500, "33", "12")
    settled(migrated, 12)
    found = stored(store("transaction", "get", "cs1", "1", "--json"))
    assert [row["started_at"][11:13] for row in found] == ["11", "08", "08"]
    assert len({row["start_key"] for row in found}) == 3
    assert [row["start_key"] for row in found[1:]] == sorted(r["start_key"] for r in found[1:])
    assert {(row["id_token"], row["meter_start"],
             *(v["sampledValue"][0]["value"] for v in row["meter_values"])) for row in found} == {
        ("ALICE", "1000", 11), ("BOB", "5000", 22), ("ALICE", "1500", 33)}
    # Pages have 500 rows: one ends between the two that began at the same time.
    migrated.connect().execute(
        "INSERT INTO store_transactions (charge_station_id, transaction_id, started_at)"
        " SELECT 'cs2', n, '2026-02-01' FROM generate_series(1, 498) n")
    listed = stored(store("transaction", "list", "--json"))
    assert len(listed) == 501
    assert [{k: v for k, v in row.items() if k != "meter_values"} for row in found] == listed[498:]
