"""Passwords stay where they belong, and risky settings are reported."""

import os
import re
import resource
import signal
import subprocess

import pytest
import rig
from conftest import BINARY, run_cli

PASSWORD = "hunter2!Zx"


def settings_file(tmp_path, text, mode=0o600):
    path = tmp_path / "ocpp.ini"
    path.write_text(text)
    path.chmod(mode)
    return path


def output(*arguments, environment=None):
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True,
                          env={**os.environ, **(environment or {})})
    return done.returncode, done.stdout + done.stderr


BAD_URLS = [
    f"postgres://me:{PASSWORD}@db:54x2/x", f"postgres:/me:{PASSWORD}@db/x",
    f"postgress://me:{PASSWORD}@db/x", f"postgres//me:{PASSWORD}@db", f"me:{PASSWORD}@db",
    f"postgres://me:{PASSWORD}", f"postgres://me:{PASSWORD}/db", f"postgres://me:a/{PASSWORD}@db/x",
    f"postgres://me:a@{PASSWORD}@db/x", f"postgres://me:{PASSWORD}%zz@db/x",
    f"postgres://me:{PASSWORD}@[::1/x", f"postgres://db/x?password={PASSWORD}&nope=1",
    f"postgres://db/x?pasword={PASSWORD}", f"postgres://db/x?{PASSWORD}",
    f"host=db password=a {PASSWORD}", f"host=db password={PASSWORD} nope=1",
    f"host=db password='{PASSWORD}", f"host=db pasword={PASSWORD}", f"{PASSWORD}",
    f"host=db password = a b{PASSWORD} = c",
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_malformed_database_url_is_not_shown(url, tmp_path):
    file = settings_file(tmp_path, f"[storage]\nurl = \"{url}\"\n")
    for arguments, environment in ([[f"--storage.url={url}", "config", "print"], {}],
                                   [["dead-letters", "list"], {"DATABASE_URL": url}],
                                   [["--config", file, "run"], {}]):
        code, said = output(f"--spool.dir={tmp_path}/spool", *arguments, environment=environment)
        assert code == 3, said
        assert PASSWORD not in said and "storage.url" in said


@pytest.mark.parametrize("url", [
    f"mqtt://me:{PASSWORD}@broker:1883", f"mqtt//me:{PASSWORD}@broker", f"me:{PASSWORD}@broker",
    f"mqtt://me:{PASSWORD}", f"http://me:{PASSWORD}@broker/", f"mqtt://broker:{PASSWORD}",
    f"mqtt://ok:1883, mqtts://me:{PASSWORD}@broker", f"mqtt://me:a/{PASSWORD}@broker"])
def test_a_malformed_broker_url_is_not_shown(url, tmp_path):
    for command in (["config", "check"], ["run"]):
        code, said = output(f"--mqtt.url={url}", f"--spool.dir={tmp_path}/spool", *command)
        assert code == 3 and PASSWORD not in said and "mqtt.url" in said, said
    if "," not in url:
        code, said = output("replay", "--publish", url, BINARY)
        assert code == 2 and PASSWORD not in said and "--publish" in said, said


def test_passwords_are_not_printed(tmp_path):
    path = settings_file(tmp_path, f"""
[mqtt]
password = {PASSWORD}
tls_key_password = {PASSWORD}
[storage]
url = postgres://me:{PASSWORD}@db/x
[storage.postgres]
password = "{PASSWORD}"
""")
    code, said = output("--config", path, "config", "print")
    assert code == 0 and PASSWORD not in said
    assert len(re.findall(r"^\w+ = \*{8} #", said, re.M)) == 4
    # Nor where an unknown argument is quoted.
    for arguments in (["run", f"--password={PASSWORD}"], [f"--mqtt-password={PASSWORD}"],
                      ["verify", f"postgres://me:{PASSWORD}@db"],
                      ["store", "token", "set", f"password={PASSWORD}"],
                      [f"--mqtt.pasword={PASSWORD}", "verify"],
                      ["config", f"--storage.url postgres://me:{PASSWORD}@db"]):
        code, said = output(*arguments)
        assert code != 0 and PASSWORD not in said, said
    for broken in (f"[mqtt]\npassword = \"{PASSWORD}\n", f"[mqtt]\npassword = '{PASSWORD}' x\n",
                   f"[mqtt]\npassword {PASSWORD}\n", f"[mqtt\npassword = {PASSWORD}\n",
                   f"password = {PASSWORD}\n",
                   f"[mqtt]\npassword = {PASSWORD}\npassword = {PASSWORD}\n"):
        code, said = output("--config", settings_file(tmp_path, broken), "config", "check")
        assert PASSWORD not in said, said


def test_the_list_of_processes_shows_no_password(persister):
    p = persister({"mqtt.password": PASSWORD, "mqtt.tls_key_password": PASSWORD,
                   "storage.url": f"postgres://me:{PASSWORD}@127.0.0.1:{rig.free_port()}/x",
                   "mqtt.url": f"mqtt://127.0.0.1:{rig.free_port()}"}).start()
    p.wait_event("database_lost")
    with open(f"/proc/{p.pid}/cmdline") as f:
        arguments = f.read()
    assert PASSWORD not in arguments and "--mqtt.password=**" in arguments
    with open(p.log) as f:
        assert PASSWORD not in f.read()


def test_there_is_no_core(tmp_path):
    """Although the limit allows one: a signal that normally leaves a core leaves none."""
    def allow():
        resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE)[1:] * 2)

    process = subprocess.Popen(
        [BINARY, f"--mqtt.url=mqtt://127.0.0.1:{rig.free_port()}", f"--spool.dir={tmp_path}/spool",
         "--http.listen=", "run"], cwd=tmp_path, preexec_fn=allow, stderr=subprocess.PIPE,
        text=True)
    for line in process.stderr:
        if "event=started" in line:
            break
    with open(f"/proc/{process.pid}/limits") as f:
        assert re.search(r"^Max core file size +0 +0 ", f.read(), re.M)
    process.send_signal(signal.SIGQUIT)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = status
    process.stderr.close()
    assert os.WIFSIGNALED(status) and not os.WCOREDUMP(status)


def risks(persister, settings, **kwargs):
    """What it warns of, each once, and that it goes on."""
    p = persister({"mqtt.url": f"mqtt://127.0.0.1:{rig.free_port()}", **settings},
                  **kwargs).start()
    p.wait_event("started")
    found = [line["choice"] for line in p.events("risky")]
    assert len(found) == len(set(found))
    assert all(line["level"] == "warn" and line["msg"] for line in p.events("risky"))
    p.stop()
    return set(found) - {"root"}


REMOTE = "192.0.2.1"  # nobody's, by RFC 5737


@pytest.mark.parametrize("settings, wanted", [
    ({}, set()),
    ({"mqtt.tls_verify": "false"}, {"tls_verify"}),
    ({"mqtt.password": "x"}, set()),
    ({"mqtt.password": "x", "mqtt.url": f"mqtt://{REMOTE}"}, {"password_in_clear"}),
    ({"mqtt.password": "x", "mqtt.url": f"{REMOTE}:1883"}, {"password_in_clear"}),
    ({"mqtt.password": "x", "mqtt.url": f"mqtts://{REMOTE}, tcp://{REMOTE}"},
     {"password_in_clear"}),
    ({"mqtt.password": "x", "mqtt.url": f"mqtts://{REMOTE}, mqtt://[::1]:1883"}, set()),
    ({"mqtt.url": f"mqtt://{REMOTE}"}, set()),
    ({"storage.postgres.host": REMOTE}, {"ssl_mode"}),
    ({"storage.postgres.host": REMOTE, "storage.postgres.ssl_mode": "disable",
      "storage.postgres.password": "x"}, {"ssl_mode"}),
    ({"storage.postgres.host": REMOTE, "storage.postgres.ssl_mode": "verify-full"}, set()),
    ({"storage.postgres.host": "/run/postgresql", "storage.postgres.ssl_mode": "disable"}, set()),
    ({"storage.url": f"postgres://me:x@{REMOTE}/db"}, {"ssl_mode"}),
    ({"storage.url": f"postgres://me:x@localhost,{REMOTE}/db?sslmode=allow"}, {"ssl_mode"}),
    ({"storage.url": f"host=localhost hostaddr={REMOTE} sslmode=disable"}, {"ssl_mode"}),
    ({"storage.url": f"postgres://me:x@{REMOTE}/db?sslmode=verify-full"}, set()),
    ({"storage.url": "postgres://me:x@127.0.0.1/db"}, set()),
], ids=str)
def test_risky_choices_are_said_once(persister, settings, wanted):
    assert risks(persister, settings) == wanted


@pytest.mark.parametrize("mode, wanted", [("disable", {"ssl_mode"}), ("verify-full", set())])
def test_choices_of_a_service_file_are_said(persister, tmp_path, mode, wanted):
    path = tmp_path / "services"
    path.write_text(f"[meter]\nhost={REMOTE}\npassword=x\nsslmode={mode}\n")
    assert risks(persister, {"storage.url": "service=meter"},
                 environment={"PGSERVICEFILE": str(path)}) == wanted


def test_running_as_root_is_said(persister):
    p = persister({"mqtt.url": f"mqtt://127.0.0.1:{rig.free_port()}"}).start()
    p.wait_event("started")
    assert len(p.events("risky", choice="root")) == (os.geteuid() == 0)


def test_files_that_others_can_read_are_said(persister, tmp_path):
    path = settings_file(tmp_path, f"[mqtt]\npassword = {PASSWORD}\n", 0o644)
    environment = {"OCPP_PERSISTER_CONFIG": str(path)}
    assert risks(persister, {}, environment=environment) == {"settings_readable"}
    assert risks(persister, {"mqtt.password": "another"}, environment=environment) == {
        "settings_readable"}
    path.chmod(0o640)
    assert risks(persister, {}, environment=environment) == set()
    # As the package installs it: the service's user must be able to read it.
    settings_file(tmp_path, "[mqtt]\nuser = csms\npassword =\n", 0o644)
    assert risks(persister, {}, environment=environment) == set()
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    assert risks(persister, {"mqtt.password_file": secret}) == {"secret_readable"}
    secret.chmod(0o640)
    assert risks(persister, {"mqtt.password_file": secret}) == set()
    folder = tmp_path / "spool"
    folder.mkdir(0o755)
    assert risks(persister, {"spool.dir": folder}) == {"spool_readable"}
    folder.chmod(0o750)
    assert risks(persister, {"spool.dir": folder}) == set()


def test_what_everybody_can_write_to_is_refused(tmp_path):
    path = settings_file(tmp_path, "[log]\nlevel = info\n", 0o777)
    for command in (["run"], ["config", "check"], ["migrate", "up"]):
        code, said = output("--config", path, *command)
        assert code == 3 and "everybody may write" in said and "chmod 600" in said
    folder = tmp_path / "spool"
    folder.mkdir()
    folder.chmod(0o777)
    done = run_cli({"spool.dir": folder}, "run")
    assert done.returncode == 3 and "spool.dir" in done.stderr and "chmod 700" in done.stderr
