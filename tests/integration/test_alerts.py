"""deploy/alerts.yml and deploy/grafana.json fit the existing metrics: a real Prometheus reads those
of a running program and answers every query."""

import json
import os
import re
import shutil
import subprocess
import urllib.parse
import urllib.request

import pytest
import rig
from conftest import ROOT

ALERTS = os.path.join(ROOT, "deploy", "alerts.yml")
DASHBOARD = json.load(open(os.path.join(ROOT, "deploy", "grafana.json")))
SELECTOR = re.compile(r"\b(?:ocpp_persister_\w+|process_\w+|up)\b(?:\{[^}]*\})?")

needs_prometheus = pytest.mark.skipif(
    shutil.which("promtool") is None or shutil.which("prometheus") is None,
    reason="prometheus is not installed (deploy/install-deps test)")


def alerts():
    return re.findall(r"^      - alert: (\w+)$", open(ALERTS).read(), re.M)


def promtool(*arguments, **kwargs):
    return subprocess.run(["promtool", *arguments], text=True, capture_output=True, **kwargs)


@needs_prometheus
def test_rules_say_what_they_should():
    for arguments in (["check", "rules", "--lint-fatal", ALERTS],
                      ["test", "rules", os.path.join(ROOT, "tests", "alerts_test.yml")]):
        done = promtool(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_in_a_test_and_is_explained():
    tests = open(os.path.join(ROOT, "tests", "alerts_test.yml")).read()
    fires = re.findall(r"^        alertname: (\w+)\n        exp_alerts:\n", tests, re.M)
    page = open(os.path.join(ROOT, "docs", "operating.md")).read()
    explained = re.findall(r"^\| `(OcppPersister\w+)` \|", page, re.M)
    assert len(alerts()) > 10
    assert sorted(set(fires)) == sorted(alerts())
    assert explained == alerts()


class Prometheus(rig._Server):
    def __init__(self, workspace, target):
        super().__init__(workspace, "prometheus")
        self.port = rig.free_port()
        self.config = workspace.write(f"{self.folder}/prometheus.yml", f"""
global: {{scrape_interval: 250ms, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: ocpp-persister
    static_configs: [{{targets: ["{target}"]}}]
""")
        workspace.write(f"{self.folder}/rules.yml", open(ALERTS).read())

    def start(self):
        self.process = self.workspace.spawn(
            ["prometheus", f"--config.file={self.config}",
             f"--storage.tsdb.path={self.folder}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], self.log)
        return self._wait_ready(self._is_ready)

    def _is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready") as f:
                return f.status == 200
        except OSError:
            return False

    def ask(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}") as f:
            return json.load(f)["data"]

    def finds(self, expression):
        return self.ask("query", query=expression)["result"] != []


def dashboard_queries():
    """[(title, query)] as Grafana would ask, for all workers."""
    def filled(text):
        text = text.replace("$__rate_interval", "5s").replace("$instance", ".*")
        assert "$" not in text, text
        return text

    return [(panel["title"], filled(target["expr"])) for panel in DASHBOARD["panels"]
            for target in panel.get("targets", [])]


@needs_prometheus
def test_every_query_of_dashboard_and_alerts_finds_something(workspace, running, publish):
    p = running({"events.skip": "Heartbeat"})
    done = promtool("check", "metrics", input=p.http("/metrics")[1])
    assert done.returncode == 0, done.stdout + done.stderr
    prometheus = Prometheus(workspace, p.settings["http.listen"]).start()
    wanted = [*dashboard_queries(), *((alert, selector) for alert, text in re.findall(
        r"- alert: (\w+)\n +expr: (.*?)\n +(?:for|labels):", open(ALERTS).read(), re.S)
        for selector in SELECTOR.findall(text))]
    assert len(dashboard_queries()) > 30 and {name for name, _ in wanted} >= set(alerts())
    count = 0

    def missing():
        return [pair for pair in wanted if not prometheus.finds(pair[1])]

    def look():
        nonlocal count
        count += 1
        publish.call("cs1", "Heartbeat", {}, id=str(count))
        publish.call("cs1", "StatusNotification", {
            "connectorId": 1, "errorCode": "NoError", "status": "Available"}, id=f"s{count}")
        publish.raw("cs/in/ocpp1.6/cs1", b"{" + str(count).encode())
        return not missing()

    rig.wait_until(look, rig.STILL_S, lambda: str(missing()))
    # Neither finds what does not exist, so the checks above mean something.
    assert not prometheus.finds("ocpp_persister_no_such_metric")
    assert not prometheus.finds('ocpp_persister_messages_total{outcome="no such"}')
    for group in prometheus.ask("rules")["groups"]:
        assert [rule["lastError"] for rule in group["rules"] if rule.get("lastError")] == []
        assert [rule["name"] for rule in group["rules"]] == alerts()
    prometheus.stop()


def test_dashboard_is_one_that_grafana_takes():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert DASHBOARD["uid"] and DASHBOARD["schemaVersion"] >= 36
    names = {v["name"] for v in DASHBOARD["templating"]["list"]}
    assert names == {"datasource", "instance"}
    taken = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}" and panel["targets"]
