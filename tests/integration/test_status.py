"""The status page at / and status.json: their figures are those of /metrics and of the tables, and
a browser shows them."""

import json
import os
import re
import urllib.error
import urllib.request

import pytest
import rig
from browser import BINARY as CHROMIUM
from browser import Browser
from conftest import ROOT, stored

P = "ocpp_persister_"

needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium-headless-shell is not installed (deploy/install-deps test)")


def status(p):
    return json.loads(p.http("/status.json")[1])


def names(p):
    """What is wrong, in one word each."""
    return [problem["name"] for problem in status(p)["problems"]]


def rates(p):
    """The sums of both; None until both are there."""
    found = status(p)["rates"]
    sums = [sum(rate[column] for rate in found) for column in (1, 2)]
    return sums if all(sums) else None


def wait_names(p, wanted):
    return rig.wait_until(lambda: names(p) == wanted, what=lambda: f"{wanted}, which is {names(p)}")


def fetch(p, path, method="GET"):
    request = urllib.request.Request(f"http://{p.settings['http.listen']}{path}", method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as e:
        return e.code, e.headers


@pytest.fixture(scope="module")
def browser(workspace):
    browser = Browser(workspace)
    yield browser
    browser.close()


def publish_some(publish, database):
    """12 messages of 3 stations: 6 stored, 1 duplicate, 3 dead letters, 2 skipped."""
    for station in ("cs1", "cs2"):
        publish.call(station, "StartTransaction", {
            "connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": "2026-01-31T10:00:00Z"})
        publish.call(station, "MeterValues", {"connectorId": 1, "meterValue": [
            {"timestamp": f"2026-01-31T10:0{n}:00Z", "sampledValue": [{"value": str(n)}]}
            for n in (1, 2)]}, id="2")
        publish.call(station, "FirmwareStatusNotification", {"status": "Idle"}, id="3")
        publish.call(station, "Heartbeat", {}, id="4")
    publish.call("cs1", "StartTransaction", {
        "connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": "2026-01-31T10:00:00Z"})
    publish.raw("cs/in/ocpp1.6/cs3", b"{")
    publish.raw("cs/in/ocpp1.6/cs3", b"[")
    publish.raw("cs/in/ocpp1.6/cs3", b"")
    stored(database, 12)


TABLES = ("meter_values", "transaction_events", "authorizations", "ocpp_events")


def test_figures_are_those_of_metrics_and_of_the_tables(running, publish, migrated):
    p = running({"events.skip": "Heartbeat"})
    assert status(p)["received"] == 0  # and a sample is taken
    publish_some(publish, migrated)
    p.wait_metric(P + "backlog_records", lambda n: n == 0)
    found, metrics = status(p), p.metrics()

    assert found["messages"] == {
        outcome: metrics[f'{P}messages_total{{outcome="{outcome}"}}']
        for outcome in ("stored", "duplicate", "dead_lettered", "skipped")}
    assert found["messages"] == {"stored": 6, "duplicate": 1, "dead_lettered": 3, "skipped": 2}
    assert migrated.rows("SELECT sum(stored), sum(duplicate), sum(dead_lettered), sum(skipped) "
                         "FROM ingest_progress") == [(6, 1, 3, 2)]
    assert found["received"] == p.metric(P + "mqtt_messages_received_total") == 12
    rows = sum(migrated.value(f"SELECT count(*) FROM {table}") for table in TABLES)
    assert found["rows"] == p.metric(P + "rows_total") == rows > 6
    reasons = dict(migrated.rows("SELECT reason, count(*) FROM dead_letters GROUP BY 1"))
    assert found["dead_letters"] == reasons and len(reasons) >= 2
    assert found["skipped"] == {"action": 2}
    assert found["stations_heard"] == metrics[P + "stations_heard"] == 3
    log = found["log"]
    assert (log["records_waiting"], log["oldest_waits_seconds"]) == (0, 0)
    assert log["bytes"] == metrics[P + "spool_bytes"] > 0
    # Others write to that disk meanwhile.
    assert log["disk_free_bytes"] == pytest.approx(metrics[P + "spool_disk_free_bytes"], rel=0.2)
    assert found["broker"]["up"] and found["database"]["up"]
    assert found["started"] <= found["broker"]["since"] <= found["now"]
    assert found["verdict"] == found["problems"][0]["text"]
    assert [problem["name"] for problem in found["problems"]] == ["dead_letters"]
    # An interval is some 5 seconds, and never less than 4.
    received, written = rig.wait_until(lambda: rates(p), what=lambda: status(p)["rates"])
    assert received <= 12 / 4 and written <= rows / 4


def test_what_is_away_is_said_and_is_well_again(running, broker):
    p = running()
    wait_names(p, [])
    assert status(p)["verdict"] == "All is well"
    begun = status(p)["now"]
    broker.stop()
    wait_names(p, ["broker_away"])
    found = status(p)
    assert not found["broker"]["up"] and found["broker"]["since"] >= begun
    assert found["problems"][0]["reason"] == "broker"
    assert found["verdict"].startswith("There is no connection to the broker")
    broker.start()
    wait_names(p, [])


def test_neither_broker_nor_database(persister):
    p = persister({"mqtt.url": f"mqtt://127.0.0.1:{rig.free_port()}",
                   "storage.postgres.host": "127.0.0.1", "storage.postgres.port": rig.free_port(),
                   "storage.postgres.password": "very-secret"}).start()
    rig.wait_until(lambda: p.http("/healthz")[0] == 200, what="the first answer")
    wait_names(p, ["broker_away", "database_away"])
    assert [x["level"] for x in status(p)["problems"]] == ["trouble", "trouble"]
    for path in ("/", "/status.json"):
        text = p.http(path)[1]
        for secret in ("very-secret", p.settings["mqtt.url"], p.settings["spool.dir"]):
            assert secret not in text


def test_a_browser_may_load_nothing_else_and_keeps_nothing(running):
    p = running()
    for path, code in (("/", 200), ("/status.json", 200), ("/metrics", 200), ("/healthz", 200),
                       ("/favicon.ico", 404)):
        found, headers = fetch(p, path)
        assert found == code
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'") and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and ("script-src" in policy) == (path == "/")
        assert fetch(p, path, "HEAD")[0] == code
        assert fetch(p, path, "POST")[0] == 405
    assert fetch(p, "/")[1].get_content_type() == "text/html"
    assert fetch(p, "/status.json")[1].get_content_type() == "application/json"


def test_everything_that_may_be_wrong_is_explained():
    with open(os.path.join(ROOT, "consumer/daemon/status_rules.def")) as f:
        rules = re.findall(r"^RULE\((\w+),", f.read(), re.M)
    with open(os.path.join(ROOT, "docs/operating.md")) as f:
        table = f.read().split("| `name` in `problems` |")[1].split("\n\n")[0]
    first_column = " ".join(row.split("|")[1] for row in table.splitlines()[2:])
    assert sorted(re.findall(r"`(\w+)`", first_column)) == sorted(rules) and len(rules) > 15


# ---- in a browser ----

def show(browser, p):
    """The page with its first answer, and no events of pages before."""
    browser.run("0")
    browser.events.clear()
    browser.open(f"http://{p.settings['http.listen']}/")
    rig.wait_until(lambda: browser.run("document.getElementById('version')?.textContent"),
                   what=lambda: f"the first answer: {browser.events}")


def ask_again(browser):
    """It asks when its tab comes into view, too."""
    browser.run("document.dispatchEvent(new Event('visibilitychange'))")
    return browser.text("updated")


def complaints(browser):
    return [browser.seen(kind) for kind in (
        "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")]


@needs_browser
def test_page_shows_the_figures_of_metrics(running, publish, migrated, browser):
    p = running({"events.skip": "Heartbeat"})
    publish_some(publish, migrated)
    p.wait_metric(P + "backlog_records", lambda n: n == 0)
    show(browser, p)
    metrics = p.metrics()
    for outcome in ("stored", "duplicate", "dead_lettered", "skipped"):
        assert browser.number(outcome) == metrics[f'{P}messages_total{{outcome="{outcome}"}}']
    assert browser.number("received") == p.metric(P + "mqtt_messages_received_total") == 12
    assert browser.number("rows") == p.metric(P + "rows_total")
    assert browser.number("stations") == metrics[P + "stations_heard"] == 3
    assert browser.number("waiting") == metrics[P + "backlog_records"] == 0
    reasons = browser.run("[...document.querySelectorAll('#reasons tr')].map(row => "
                          "[row.cells[0].textContent, row.cells[1].textContent])")
    assert {f'{P}messages_dead_lettered_total{{reason="{reason}"}}': float(count)
            for reason, count in reasons} == {
                key: value for key, value in metrics.items()
                if key.startswith(P + "messages_dead_lettered_total{") and value > 0}
    first = status(p)["problems"][0]
    assert re.fullmatch(re.escape(first["text"]) + r" \(since \d\d:\d\d\)\.",
                        browser.text("verdict"))
    assert browser.text("todo") == first["todo"]
    assert browser.text("broker").startswith("connected since ")
    assert browser.run("document.title").endswith(" – ocpp-persister")
    assert complaints(browser) == [[], [], []]
    base = f"http://{p.settings['http.listen']}/"
    urls = [event["request"]["url"] for event in browser.seen("Network.requestWillBeSent")]
    assert set(urls) == {base, base + "status.json"}


# The contrast of every text with its background (WCAG 2): [ratio, text].
CONTRASTS = """(() => {
    const light = c => c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const background = e => {
        for (; e; e = e.parentElement) {
            const c = getComputedStyle(e).backgroundColor;
            if (!/, 0\\)$/.test(c)) return c;
        }
        return 'rgb(255, 255, 255)';
    };
    const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
        const text = walker.currentNode.textContent.trim(), e = walker.currentNode.parentElement;
        if (!text || !e.checkVisibility()) continue;
        const [a, b] = [getComputedStyle(e).color, background(e)].map(light)
            .sort((x, y) => y - x);
        found.push([(a + 0.05) / (b + 0.05), text]);
    }
    return found;
})()"""


@needs_browser
def test_page_fits_a_phone_in_both_colour_schemes(running, broker, browser):
    p = running()
    broker.stop()  # more to say
    wait_names(p, ["broker_away"])
    show(browser, p)
    backgrounds = set()
    for scheme in ("light", "dark"):
        for width in (360, 1100):
            browser.look(width, scheme=scheme)
            assert browser.run("innerWidth") == width
            assert browser.run("document.documentElement.scrollWidth <= "
                               "document.documentElement.clientWidth")
            contrasts = browser.run(CONTRASTS)
            assert len(contrasts) > 30
            assert min(contrasts)[0] >= 4.5, min(contrasts)
        backgrounds.add(browser.run("getComputedStyle(document.body).backgroundColor"))
    assert len(backgrounds) == 2


@needs_browser
def test_page_can_be_heard(running, browser):
    """Landmarks, headings, captions and names; and the verdict is read aloud when it changes, not
    every few seconds."""
    p = running()
    wait_names(p, [])
    show(browser, p)
    assert browser.run("[...document.querySelectorAll('h1, h2')].map(h => h.tagName)")[:2] == [
        "H1", "H2"]
    assert browser.run("document.querySelectorAll('h1').length") == 1
    assert browser.run("[...document.querySelectorAll('table')].every(t => t.caption)")
    assert browser.run("[...document.querySelectorAll('th:not([scope])')].length") == 0
    nodes = browser.send("Accessibility.getFullAXTree")["nodes"]
    heard = {(n["role"]["value"], n.get("name", {}).get("value")) for n in nodes if "role" in n}
    for role, name in (("status", ""), ("heading", "All is well."), ("region", "All is well."),
                       ("table", "To broker and database"), ("rowheader", "Broker"),
                       ("columnheader", "Highest"), ("link", "metrics")):
        assert any(r == role and (n or "").startswith(name) for r, n in heard), (role, name)
    assert sum(r in ("image", "img") and bool(n) for r, n in heard) == 2
    browser.run("window.changes = 0; new MutationObserver(list => { changes += list.length; })"
                ".observe(document.querySelector('[role=status]'),"
                " {childList: true, subtree: true, characterData: true, attributes: true})")
    before = browser.text("updated")
    rig.wait_until(lambda: ask_again(browser) != before, what="the next answer")
    assert browser.run("changes") == 0


@needs_browser
def test_page_says_when_it_lost_the_program_and_goes_on(running, browser):
    p = running()
    wait_names(p, [])
    show(browser, p)
    assert browser.text("verdict") == "All is well."
    assert p.stop() == 0
    rig.wait_until(lambda: ask_again(browser) and re.fullmatch(
        r"No answer since \d\d:\d\d:\d\d\.", browser.text("verdict")),
                   what=lambda: browser.text("verdict"))
    assert browser.text("level") == "Trouble" and browser.run("document.title").startswith("No ans")
    p.start()
    rig.wait_until(lambda: ask_again(browser) and browser.text("verdict") == "All is well.",
                   what=lambda: browser.text("verdict"))
    assert not browser.run("document.getElementById('figures').classList.contains('stale')")


HOSTILE = "<img src=x onerror=alert(1)><script>alert(1)</script>"


@needs_browser
def test_page_draws_the_rates_and_takes_all_that_it_is_told_for_text(running, browser):
    p = running()
    wait_names(p, [])
    answer = status(p)
    answer["version"] = answer["verdict"] = HOSTILE
    answer["dead_letters"] = {HOSTILE: 1}
    answer["problems"] = [{"level": "trouble", "text": HOSTILE, "reason": HOSTILE, "since": 1,
                           "todo": HOSTILE, "name": HOSTILE}] * 2
    answer["rates"] = [[-890, 0, 1234.5], [-450, 15, 0], [0, 5, 0]]
    script = f"window.fetch = async () => new Response({json.dumps(json.dumps(answer))});"
    added = browser.send("Page.addScriptToEvaluateOnNewDocument", source=script)["identifier"]
    try:
        show(browser, p)
    finally:
        browser.send("Page.removeScriptToEvaluateOnNewDocument", identifier=added)
    for id in ("version", "verdict", "todo", "others", "reasons"):
        assert HOSTILE in browser.text(id)
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert complaints(browser) == [[], [], []]
    assert len(browser.seen("Network.requestWillBeSent")) == 1
    line = "document.querySelector('#messages-chart .line').getAttribute('d')"
    assert browser.run(line) == "M10.0 100.00L450.0 25.00L900.0 75.00"
    assert [browser.text("messages-top"), browser.text("rows-top")] == [
        "20 per second", "2,000 per second"]
    assert browser.run("[...document.querySelectorAll('#rates td')].map(cell => cell.textContent)"
                       ) == ["5", "6.7", "15", "0", "412", "1,235"]
