"""The ten lines of README.md from install to the first query, typed exactly as printed there."""

import os
import pathlib
import re
import signal
import subprocess

import rig
from conftest import BUILD, ROOT

README = (pathlib.Path(ROOT) / "README.md").read_text()
INSTALL = (pathlib.Path(ROOT) / "docs" / "install.md").read_text()


def steps():
    """(lines that install, lines up to the query, the query)."""
    section = README.split("\n## From install to the first query\n")[1].split("\n## ")[0]
    lines = re.findall(r"^    (.*)$", section, re.M)
    return lines[:3], lines[3:-1], lines[-1]


def test_installing_is_said_once():
    assert "\n".join(f"    {line}" for line in steps()[0]) in INSTALL


def test_first_steps_lead_to_a_session(tmp_path, database, broker, publish, postgres):
    _, lines, query = steps()
    values = {"MQTT_URL": f"mqtt://127.0.0.1:{broker.port}", "DATABASE_URL": database.dsn()}
    lines = [re.sub(r"^export (\w+)=.*", lambda m: f"export {m[1]}='{values[m[1]]}'", line)
             if any(f"export {name}=" in line for name in values) else line for line in lines]
    assert sum("127.0.0.1" in line for line in lines) == 2 and lines[-1].endswith("run &")
    path = [BUILD, os.path.dirname(postgres.bin("psql")), os.environ["PATH"]]
    env = {**os.environ, "PATH": ":".join(path), "HOME": str(tmp_path),
           "HTTP_LISTEN": ""}  # others may be listening where it does by default
    log = tmp_path / "stderr"
    with open(log, "wb") as stderr:
        shell = subprocess.Popen(["sh", "-e", "-c", "\n".join([*lines, "wait"])], env=env,
                                 stdout=subprocess.PIPE, stderr=stderr, start_new_session=True)
    try:
        for event in ("broker_connected", "database_connected"):
            rig.wait_until(lambda e=event: f"event={e}" in log.read_text(), what=log.read_text)
        publish.call("cs001", "StartTransaction", {
            "connectorId": 1, "idTag": "TAG", "meterStart": 1000,
            "timestamp": "2026-01-31T10:00:00Z"})
        publish.result("cs001", "StartTransaction", {
            "transactionId": 7, "idTagInfo": {"status": "Accepted"}})

        def printed():
            return subprocess.run(["sh", "-e", "-c", "\n".join([lines[1], query])], env=env,
                                  text=True, capture_output=True, check=True).stdout

        rig.wait_until(lambda: re.search(r"cs001 *\| 2026-01-31", printed()), what=printed)
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        shell.wait()
