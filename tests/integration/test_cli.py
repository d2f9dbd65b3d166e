"""What commands print, for people and for programs."""

import json
import os
import pty
import re
import subprocess

import pytest
import rig
from conftest import BINARY, make_database, read_terminal, run_cli, stored

LINE = ('{"tst":"2026-02-01T12:00:00Z","topic":"cs/in/ocpp1.6/cs%d","qos":1,"payload":'
        '"[2,\\"1\\",\\"%s\\",{\\"connectorId\\":1,\\"status\\":\\"Available\\",'
        '\\"errorCode\\":\\"NoError\\"}]"}\n')


def test_dry_run_is_json_if_asked_for(tmp_path):
    capture = tmp_path / "capture"
    capture.write_text(LINE % (1, "StatusNotification") + LINE % (2, "Reset") + "no line\n"
                       + LINE.replace("[2", "[99") % (3, "x"))
    done = run_cli({}, "replay", "--dry-run", "--json", "--station", "cs1", str(capture))
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert said["dry_run"] and said["unreadable"] == 1 and said["not_asked_for"] == 2
    assert said["messages"] == 3 and sum(said["rows"].values()) >= 1
    assert said["dead_lettered_reasons"] == {} and said["skipped_reasons"] == {}
    # The same facts as for people.
    text = run_cli({}, "replay", "--dry-run", "--station", "cs1", str(capture)).stdout
    for table, count in said["rows"].items():
        assert f"rows for {table}: {count}" in text
    empty = run_cli({}, "replay", "--dry-run", "--json", str(tmp_path))
    assert json.loads(empty.stdout.splitlines()[-1])["records"] == 3


def test_what_is_not_stored_live_is_skipped_by_decode_and_dry_run(tmp_path):
    capture, payload = tmp_path / "capture", tmp_path / "payload"
    capture.write_text(LINE % (1, "StatusNotification") + LINE % (2, "Reset"))
    payload.write_text('[2,"1","Reset",{"type":"Soft"}]')
    settings = {"events.skip": "Heartbeat, Reset"}
    said = json.loads(run_cli(settings, "replay", "--dry-run", "--json", str(capture)).stdout)
    assert said["messages"] == 2 and said["skipped_reasons"] == {"action": 1}
    assert "  skipped: action\n" in run_cli(settings, "decode", str(payload)).stdout


def test_folder_without_files_is_no_success(tmp_path):
    """As when its disk is not mounted."""
    (tmp_path / "folder").mkdir()
    for words in ((), ("--dry-run",)):
        done = run_cli({}, "replay", *words, str(tmp_path))
        assert done.returncode == 1 and "has no files" in done.stderr, done


@pytest.mark.parametrize("wrong, says", [
    ({"storage.postgres.database": "nope"}, "there is no such database"),
    ({"storage.postgres.user": "nobody"}, "see storage.postgres.user")])
def test_replay_does_not_wait_for_what_only_a_person_can_end(migrated, tmp_path, wrong, says):
    capture = tmp_path / "capture"
    capture.write_text(LINE % (1, "StatusNotification"))
    done = run_cli({**migrated.settings(), **wrong}, "replay", str(capture))
    assert done.returncode == 4 and says in done.stderr, done


@pytest.mark.parametrize("command", [("verify",), ("sessions",), ("dead-letters", "list"),
                                     ("partitions", "list"), ("migrate", "status")])
def test_refused_connection_has_a_hint_whatever_the_command(migrated, command):
    settings = {**migrated.settings(), "storage.postgres.user": "nobody"}
    done = run_cli(settings, *command)
    assert done.returncode == 4 and "see storage.postgres.user" in done.stderr, done


REFUSALS = {
    "password": ("ALTER ROLE {role} PASSWORD 'other'", "see storage.postgres.user"),
    "role": ("ALTER ROLE {role} NOLOGIN", "see storage.postgres.user"),
    "database": ("DROP DATABASE {database} WITH (FORCE)", "there is no such database"),
}


@pytest.mark.parametrize("which", REFUSALS)
def test_replay_that_is_refused_meanwhile_says_so_and_ends(postgres, tmp_path, which):
    database = make_database(postgres)
    assert run_cli(database.settings(), "migrate", "up").returncode == 0
    capture, role = tmp_path / "capture", f"replayer_{which}"
    capture.write_text("".join(LINE % (i, "Heartbeat") for i in range(2000)))
    change, hint = REFUSALS[which]
    with database.connect() as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret' IN ROLE ocpp_writer")
        admin.execute(f"GRANT TEMPORARY ON DATABASE {database.name} TO {role}")
    settings = postgres.settings(database.name, role, "secret")
    run = subprocess.Popen(
        [BINARY, *[f"--{key}={value}" for key, value in settings.items()], "replay", "--rate",
         "100", str(capture)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "FAILPOINT_HASTE": "20"})
    stored(database, 10)
    postgres.psql(change.format(role=role, database=database.name))
    postgres.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename='{role}'")
    out, err = run.communicate(timeout=rig.HANGS_S)
    assert run.returncode == 4, err
    lost = [line for line in err.splitlines() if "event=database_lost" in line]
    assert any("heals=by_a_person" in line and hint in line for line in lost), err
    assert "the same command continues where it stopped" in err and "error: " in err


def test_bar_of_progress_does_not_share_its_line(migrated, tmp_path):
    """On a terminal: a line that is logged meanwhile begins at its beginning."""
    capture = tmp_path / "capture"
    capture.write_text("".join(LINE % (n, "StatusNotification") + "no line\n"
                               for n in range(2000)))
    ours, theirs = pty.openpty()
    settings = {**migrated.settings(), "spool.dir": str(tmp_path / "spool")}
    process = subprocess.Popen(
        [BINARY, *(f"--{key}={value}" for key, value in settings.items()), "replay", str(capture)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    said = read_terminal(process, ours)
    assert process.wait(rig.HANGS_S) == 1
    assert b"[###" in said and b"event=unreadable" in said
    for found in re.finditer(rb"ts=\S+ level=\w+ event=", said):
        before = said[:found.start()]
        assert not before or before.endswith((b"\n", b"\r\033[K")), before[-80:]


@pytest.mark.parametrize("name", ["storage.url", "storage.postgres.connection_string"])
def test_settings_of_the_pool_that_contradict_each_other_are_refused(name):
    def check(url):
        return run_cli({name: url}, "config", "check")

    base = "postgres://ocpp@127.0.0.1/ocpp?"
    for good in ("pool_max_conns=3", "pool_max_conns=30&pool_min_conns=30",
                 "pool_max_conns=1&pool_min_conns=0"):
        assert check(base + good).returncode == 0, good
    for bad, says in [("pool_min_conns=9&pool_max_conns=3", "pool_min_conns must be 0 to"),
                      ("pool_max_conns=0", "pool_max_conns must be 1 to"),
                      ("pool_max_conns=many", '"pool_max_conns" has no value that fits'),
                      ("pool_colour=red", 'there is no setting "pool_colour"'),
                      ("connect_timeout=0", "must be more than 0")]:
        done = check(base + bad)
        assert done.returncode != 0 and says in done.stderr, (bad, done.stderr)


@pytest.mark.parametrize("name", ["00000000000000000001.seg", "00000000000000000001.seg.zst"])
@pytest.mark.parametrize("what", ["link", "pipe", "folder"])
def test_what_only_looks_like_a_segment_is_not_read(tmp_path, name, what):
    """A link may lead anywhere, and a pipe would be waited for."""
    folder = tmp_path / "spool"
    folder.mkdir()
    if what == "link":
        (tmp_path / "secret").write_bytes(b"secret")
        (folder / name).symlink_to(tmp_path / "secret")
    else:
        (os.mkfifo if what == "pipe" else os.mkdir)(folder / name)
    for command in (["ls"], ["cat"], ["verify"], ["export", "maeve"]):
        done = run_cli({"spool.dir": folder}, "spool", *command)
        assert done.returncode != 0 and "secret" not in done.stdout, command
        assert name in done.stderr, command
        assert "is a symbolic link" in done.stderr if what == "link" else (
            "is not a regular file" in done.stderr), command


# What `config check` refuses, and what it says.
REFUSED = [
    (["--mqtt.ulr=x"], 'did you mean "mqtt.url"?'),
    (["--storage.postgres.pasword=x"], 'did you mean "storage.postgres.password"?'),
    (["--mqtt.url="], "mqtt.url is empty"),
    (["--mqtt.topics="], "mqtt.topics is empty"),
    (["--mqtt.topics=cs/#/x"], '"cs/#/x", which is not a topic filter'),
    (["--mqtt.topics=cs/a+"], '"cs/a+", which is not a topic filter'),
    (["--mqtt.topics=$share/g/cs/#", "--mqtt.group=h"], "leave $share/... out of mqtt.topics"),
    (["--mqtt.group=a/b"], "/, + and # cannot be in it"),
    (["--mqtt.topic_patterns=cs/{where}"], 'unknown placeholder "{where}"'),
    (["--mqtt.tls_ca=/no/such/file"], 'mqtt.tls_ca: could not read "/no/such/file"'),
    (["--storage.postgres.ssl_root_cert=/no/such/file"], "storage.postgres.ssl_root_cert: could"),
    (["--http.listen=9464"], "not HOST:PORT"),
    (["--http.listen=:99999"], "a port is 0 to 65535"),
    (["--spool.bytes_max=1000TiB"], "more than the file system of"),
]


@pytest.mark.parametrize("options, says", REFUSED)
def test_config_check_finds_what_run_would_stumble_over(tmp_path, options, says):
    done = run_cli({"spool.dir": f"{tmp_path}/not/there/yet"}, *options, "config", "check")
    assert done.returncode == 3 and says in done.stderr and done.stdout == "", done


@pytest.mark.parametrize("words", [
    ["--connect", "check"], ["check", "--connect"], ["--", "check"], ["check", "--"]])
def test_config_check_looks_at_everything_wherever_its_option_stands(words):
    done = run_cli({}, "--http.listen=x", "--spool.bytes_max=1000TiB", "config", *words)
    assert done.returncode == 3 and done.stderr.count("error: ") == 2, done


def test_what_helps_with_settings_works_with_wrong_ones_after_two_dashes():
    for word in ("sample", "reference"):
        done = run_cli({}, "--mqtt.qos=7", "config", "--", word)
        assert done.returncode == 0 and "mqtt" in done.stdout, done


def test_config_check_names_every_fault_at_once():
    done = run_cli({}, "--mqtt.tls_ca=/nope", "--http.listen=x", "--spool.bytes_max=1000TiB",
                   "config", "check")
    assert done.returncode == 3 and done.stderr.count("error: ") == 3, done


def test_config_check_finds_all_faults_of_a_file_in_one_run(tmp_path):
    path = tmp_path / "ocpp.ini"
    path.write_text("""[mqtt]
qos = 7
topic_patterns = cs/{where}
topics = a#
keep_alvie = 5s
[storage]
url = postgresql://host/database?nonsense=1
[spool]
bytes_max = 64MiB
segment_bytes = 1
[http]
listen = nobody
""")
    path.chmod(0o600)
    done = run_cli({}, f"--config={path}", "config", "check")
    faults = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    lines = [int(re.search(r"ocpp\.ini:(\d+): ", fault)[1]) for fault in faults]
    # Not bytes_max, whose limits depend on segment_bytes.
    assert done.returncode == 3 and sorted(lines) == [2, 3, 4, 5, 7, 10, 12], done


@pytest.mark.parametrize("options", [
    ["--mqtt.topics=#"], ["--mqtt.topics=$share/g/cs/#"], ["--mqtt.topics=cs/+/x, +/+, cs/#"],
    ["--http.listen="], ["--storage.postgres.ssl_root_cert=system"]])
def test_config_check_takes_what_is_right(options):
    done = run_cli({}, *options, "config", "check")
    assert done.returncode == 0 and done.stdout.startswith("ok ("), done
    assert "error" not in done.stderr


NO_FILE = "no settings file was read"


def test_config_check_says_which_file_it_read(tmp_path):
    path = tmp_path / "a.ini"
    path.write_text("[mqtt]\nqos = 1\n")
    for arguments, environment in ((["--config", path], {}),
                                   ([], {"OCPP_PERSISTER_CONFIG": str(path)})):
        done = run_cli({}, *arguments, "config", "check", env={**os.environ, **environment})
        assert done.stdout == f"ok ({path})\n" and done.stderr == "", done
    assert run_cli({}, "config", "check").stdout == (
        f"ok ({NO_FILE}: defaults, environment and options only)\n")
    done = run_cli({}, "--config", tmp_path, "config", "check")
    assert done.returncode == 3 and f'"{tmp_path}" is a folder' in done.stderr, done


def test_database_that_nothing_names_is_noticed(tmp_path):
    """Unless there is one at the default address, where the default role cannot log in."""
    path = tmp_path / "a.ini"
    path.write_text("[mqtt]\nqos = 1\n")
    nobody = {"storage.postgres.port": rig.free_port()}
    for command in (["verify"], ["dead-letters", "list"], ["partitions", "list"], ["sessions"],
                    ["migrate", "status"], ["config", "check", "--connect"]):
        done = run_cli({}, *command)
        assert done.returncode not in (0, 2) and NO_FILE in done.stdout + done.stderr, done
        for settings, arguments in ((nobody, []), ({}, ["--config", path])):
            done = run_cli(settings, *arguments, *command)
            assert done.returncode not in (0, 2), done
            assert NO_FILE not in done.stdout + done.stderr, done


@pytest.mark.parametrize("settings, says", [
    ({"mqtt.topics": "cs/in/+/+, foo/+/bar"},
     'mqtt.topics has "foo/+/bar", and mqtt.topic_patterns (+/{direction}/{version}/{station}, '
     '+/store/{entity}) matches none or few'),
    ({"mqtt.topics": "$share/g/foo/+"}, 'mqtt.topics has "$share/g/foo/+", and'),
    ({"mqtt.topic_patterns": "cs/{direction}/+/{station}"},
     'mqtt.topic_patterns has "cs/{direction}/+/{station}", which has no {version}'),
])
def test_topics_that_can_hardly_be_meant_are_named(settings, says):
    done = run_cli(settings, "config", "check")
    assert done.returncode == 0 and done.stdout.startswith("ok"), done
    assert done.stderr.count("warning: ") == 1 and f"warning: {says}" in done.stderr, done


def test_without_a_version_in_the_topic_messages_are_only_events(tmp_path):
    message = {"type": 2, "action": "MeterValues", "id": "1", "request": {
        "connectorId": 1, "meterValue": [{"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [
            {"value": "1"}]}]}}
    path = tmp_path / "message.json"
    path.write_text(json.dumps(message))
    pattern = "--mqtt.topic_patterns=cs/{direction}/+/{station}"
    for options, table in (([], "meter_values"), ([pattern], "ocpp_events")):
        done = run_cli({}, *options, "decode", "--topic", "cs/in/ocpp1.6/a", path)
        assert done.returncode == 0 and table in done.stdout, done
        assert (table == "ocpp_events") != ("meter_values" in done.stdout), done


def test_path_of_a_secret_that_leads_nowhere_is_not_a_matter_of_rights(tmp_path):
    done = run_cli({"mqtt.password_file": tmp_path / "none"}, "config", "check")
    assert done.returncode == 3 and "No such file or directory" in done.stderr, done
    assert "must be able to read" not in done.stderr and "correct the path" in done.stderr, done


def test_setting_before_any_section_is_refused(tmp_path):
    path = tmp_path / "ocpp.ini"
    path.write_text("url = mqtt://b\n[mqtt]\nkeep_alive = 20s\n")
    path.chmod(0o600)
    done = run_cli({}, f"--config={path}", "config", "check")
    assert done.returncode == 3 and "before the first section" in done.stderr, done


def test_sample_of_the_settings_has_them_all_with_their_defaults(tmp_path):
    sample = run_cli({}, "config", "sample").stdout
    path = tmp_path / "ocpp.ini"

    def printed():
        path.chmod(0o600)
        text = run_cli({}, f"--config={path}", "config", "print").stdout
        return [line.partition(" # ")[0] for line in text.splitlines()]

    path.write_text(sample)
    untouched = printed()
    path.write_text(re.sub(r"(?m)^#(\w+ =)", r"\1", sample))
    assert printed() == untouched
    assert len(re.findall(r"(?m)^#\w", sample)) == sum(" = " in line for line in untouched)


@pytest.mark.parametrize("arguments, says", [
    (["replya"], 'did you mean "replay"?'), (["Verify"], 'did you mean "verify"?'),
    (["frobnicate"], 'there is no command "frobnicate"'),
    (["config", "chek"], 'did you mean "config check"?'), (["config", "frobnicate"], "say check"),
    (["config"], "say check"), (["migrate", "statsu"], 'did you mean "migrate status"?'),
    (["migrate", "maeve", "upp"], 'there is no "migrate maeve upp"'),
    (["partitions", "lits", "--json"], 'did you mean "partitions list"?'),
    (["spool", "exprot", "json"], 'did you mean "spool export"?'),
    (["energy", "refersh"], 'did you mean "energy refresh"?'),
    (["energy"], "say refresh or check"),
    (["dead-letters", "requeu", "--all"], 'did you mean "dead-letters requeue"?'),
    (["store", "tokn", "list"], 'did you mean "store token"?')])
def test_wrong_words_are_answered_in_two_lines(arguments, says):
    done = run_cli({}, *arguments)
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and len(lines) == 2, done
    assert says in lines[0] and lines[1].startswith("usage: ocpp-persister"), done


@pytest.mark.parametrize("arguments, says", [
    (["run", "--frobnicate"], '"--frobnicate" is unexpected'),
    (["run", "--migrat"], 'did you mean "--migrate"?'),
    (["replay", "--dryrun", "x"], 'did you mean "--dry-run"?'),
    # An archive was meant, and nothing would be kept.
    (["partitions", "drop", "--older-than", "90d", "--to", "."], "--to goes only with: archive"),
    (["partitions", "drop", "--older-than", "90d", "--json"], "--json goes only with: list"),
    (["partitions", "ensure", "--json"], "--json goes only with: list"),
    (["partitions", "list", "--older-than", "90d"], "--older-than goes only with: drop archive"),
    (["store", "token", "get", "x", "--limit", "1"], "--limit goes only with: list"),
    (["store", "export", "--limit", "1"], "--limit goes only with: list"),
    (["config", "print", "--connect"], "--connect goes only with: check"),
    (["store", "export", "file"], '"store export" does not take these words'),
    (["spool", "new-identity", "x"], '"spool new-identity" does not take these words'),
    (["history", "cs1", "cs2"], '"cs2" is unexpected'),
    (["replay", "--jobs", "0", "x"], '--jobs cannot be "0": a number from 1 to 64'),
    (["replay", "--rate", "0", "x"], '--rate cannot be "0": a number, at least 1'),
    (["replay", "--speed", "0", "x"], '--speed cannot be "0": as in --speed 10, or --speed max'),
    (["replay", "--from", "2026-01", "x"], '"2026-01": a time as in 2026-01-31T10:00:00Z'),
    (["decode", "--received", "today", "x"], '--received cannot be "today"'),
    (["replay", "--from", "2026-02-01T00:00:00Z", "--to", "2026-01-31T00:00:00Z", "x"],
     "--from is not before --to"),
    (["spool", "export", "json", "--from", "2026-01-31T00:00:00Z", "--to", "2026-01-31T00:00:00Z"],
     "--from is not before --to"),
    (["version", "extra"], '"extra" is unexpected'),
    (["--foo=1", "version"], "before a command there are only settings, as in"),
    (["store", "token", "get"], '"token get" takes 1 key, not 0'),
    (["store", "token", "list", "x"], '"token list" takes 0 keys, not 1'),
    (["partitions", "drop", "--older-than", "90"], "as in --older-than 90d: a day or more"),
    (["sessions", "--by", "month,month"], "as in month,station"),
    (["sessions", "--csv", "--json"], "say --csv or --json"),
    (["sessions", "--csv=yes"], '"--csv=yes" is unexpected'),
    (["sessions", "--by=month,month"], "as in month,station"),
    (["store", "token", "list", "--limit", "0"], '--limit cannot be "0"'),
    (["migrate", "up", "--all"], "--all goes with down"),
    (["migrate", "--path"], "--path needs a value"),
    (["spool", "verify", "--", "--json"], '"--json" is unexpected')])
def test_wrong_options_are_answered_in_two_lines(arguments, says):
    test_wrong_words_are_answered_in_two_lines(arguments, says)


@pytest.mark.parametrize("words", [
    ["dead-letters", "list"], ["decode"], ["history"], ["partitions", "list"], ["replay"],
    ["sessions"], ["spool", "export", "json"], ["store"]])
def test_every_option_with_a_value_in_the_usage_is_known(words):
    usage = run_cli({}, words[0], "--help").stdout.splitlines()[0]
    options = set(re.findall(r"(--[a-z-]+) (?:[A-Z]|month)", usage))
    assert options, usage
    for option in options:
        done = run_cli({}, *words, option)
        assert done.returncode == 2 and f"{option} needs a value" in done.stderr, done


@pytest.mark.parametrize("arguments", [
    ["--help"], ["config", "--help"], ["config", "check", "--help"], ["spool", "cat", "--help"],
    ["dead-letters", "list", "--help"], ["migrate", "maeve", "--help"]])
def test_help_is_there_at_every_level(arguments):
    done = run_cli({}, *arguments)
    assert done.returncode == 0 and done.stdout.startswith("usage: ocpp-persister"), done


@pytest.mark.parametrize("arguments", [
    ["--help"], ["run", "--help"], ["config", "check", "-h", "--help"], ["config", "sample"],
    ["config", "reference"], ["version"], ["manual", "5"], ["completion", "bash"],
    ["metrics", "reference"]])
def test_what_helps_with_wrong_settings_works_with_them(arguments):
    wrong = run_cli({"storage.postgres.port": "none"}, *arguments)
    right = run_cli({}, *arguments)
    assert (wrong.returncode, wrong.stdout, wrong.stderr) == (0, right.stdout, ""), wrong


def test_output_that_finds_no_room_is_a_failure(migrated):
    settings = [f"--{key}={value}" for key, value in migrated.settings().items()]
    for arguments in (["config", "sample"], ["partitions", "list"], ["manual", "1"], ["--help"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([BINARY, *settings, *arguments], stdout=full,
                                  stderr=subprocess.PIPE, text=True)
        assert done.returncode == 1, (arguments, done)
        assert "could not write all of it to standard output" in done.stderr, (arguments, done)


def test_closed_descriptors_are_not_taken_by_connections(migrated):
    """Otherwise what is printed would go to the database."""
    settings = " ".join(f"--{key}={value}" for key, value in migrated.settings().items())
    for closed, code in (("2>&-", 0), ("<&- 2>&-", 0), (">&-", 1), ("<&- >&- 2>&-", 1)):
        done = subprocess.run(
            f"exec {BINARY} {settings} dead-letters discard --reason nope {closed}", shell=True,
            capture_output=True, text=True)
        assert done.returncode == code, (closed, done)
