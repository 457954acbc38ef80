# SPDX-License-Identifier: Apache-2.0
"""What conf/ gives to those who watch volumes, taken by the real programs: logrotate, Prometheus."""

import http.client
import json
import re
import subprocess
import urllib.parse
from pathlib import Path

import pytest
from conftest import run, wait_for
from ports import take_port

CONF = Path(__file__).parents[2] / "conf"
RULES = CONF / "prometheus/tdefs.rules.yml"
CASES = Path(__file__).parent / "alerts.yml"
SELECTOR = re.compile(r"\b(tdefs_\w+|node_\w+|up)\b(?:\{([^}]*)\})?")
NOT_OURS = "node_textfile_mtime_seconds"  # node_exporter's


def test_logrotate(make_guarded, directory):
    """As packaged: no signal, no copy; nothing is lost, and the daemon writes the new file."""
    v = make_guarded(log=directory / "sales.log")
    v.log = directory / "sales.log"
    v.logged("volume sales: mounted")
    rules = directory / "logrotate.conf"
    text = (CONF / "logrotate/tdefs").read_text(encoding="utf-8")
    audit = directory / "audit.log"
    audit.write_text("{}\n")
    assert "/var/log/tdefs/*.log {" in text and "/var/lib/tdefs-vault/audit.log {" in text
    text = text.replace("/var/log/tdefs/*.log", str(v.log))
    rules.write_text(text.replace("/var/lib/tdefs-vault/audit.log", str(audit)))
    run("logrotate", "--force", "--state", directory / "logrotate.state", rules)
    rotated = directory / "sales.log.1"
    assert (directory / "audit.log.1").read_text() == "{}\n" and audit.stat().st_mode & 0o777 == 0o600
    v.ctl("reload", v.name)
    wait_for(lambda: "event=reload" in v.log_text(), "the new file to be written")
    assert v.log.stat().st_mode & 0o777 == 0o640
    assert "volume sales: mounted" in rotated.read_text() and "event=reload" not in rotated.read_text()
    assert re.match(r"[0-9T:Z-]{20} info: ", v.log_text())


class Prometheus:
    """Debian's, on a port of its own, with the scrape configuration and the rules of conf/."""

    def __init__(self, directory, target):
        self.port = take_port()
        self.directory = directory / "prometheus"
        self.directory.mkdir()
        config = self.directory / "prometheus.yml"
        text = (CONF / "prometheus/scrape.yml").read_text(encoding="utf-8")
        assert "127.0.0.1:9731" in text and "scrape_interval: 15s" in text
        config.write_text("global: {evaluation_interval: 1s}\n" + text.replace("127.0.0.1:9731", target)
                          .replace("scrape_interval: 15s", "scrape_interval: 1s"))
        (self.directory / RULES.name).write_bytes(RULES.read_bytes())
        run("promtool", "check", "config", config)
        with open(directory / "prometheus.log", "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.directory}/data",
                 f"--web.listen-address=127.0.0.1:{self.port}"], stdout=log, stderr=log)

    def ask(self, path, **parameters):
        """The data of an answer; it must be one, and no error."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        assert answer["status"] == "success", (parameters, answer)
        return answer["data"]

    def query(self, expression):
        return self.ask("query", query=expression)["result"]

    def has_begun(self):
        """It has scraped, and has gone through the rules since."""
        try:
            rules = self.rules()
            return self.query("tdefs_up") and all(r["health"] == "ok" for r in rules) and rules
        except (ConnectionError, json.JSONDecodeError):  # "Service Unavailable", while it starts
            return False

    def rules(self):
        return [r for g in self.ask("rules")["groups"] for r in g["rules"]]

    def close(self):
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture
def watched(make_guarded, directory):
    """A volume, and a Prometheus that has scraped it."""
    target = f"127.0.0.1:{take_port()}"
    v = make_guarded(metrics_listen=target)
    v.answers("granted")
    prometheus = Prometheus(directory, target)
    try:
        wait_for(prometheus.has_begun, "a scrape")
        yield v, prometheus
    finally:
        prometheus.close()


def dashboard():
    return json.loads((CONF / "grafana/tdefs.json").read_text(encoding="utf-8"))


def queries():
    """Of every panel."""
    return [t["expr"] for p in dashboard()["panels"] for t in p.get("targets", [])]


def selectors(expressions):
    """What they select, each name with one of its matchers' values at a time: name{label="value"}."""
    for name, matchers in {m.groups() for e in expressions for m in SELECTOR.finditer(e)}:
        yield name
        for label, values in re.findall(r'(\w+)=~?"([^"]*)"', matchers or ""):
            if label not in ("volume", "file"):
                yield from (f'{name}{{{label}="{value}"}}' for value in values.split("|"))


def test_prometheus_knows_all_that_is_asked(watched):
    """Each expression of dashboard and alerts, each metric in it, and each value of a label."""
    v, prometheus = watched
    rules = prometheus.rules()
    alerts = [r["query"] for r in rules]
    assert len(alerts) > 20 and len(queries()) > 20
    for expression in alerts + [q.replace("$volume", ".*").replace("$__rate_interval", "1m") for q in queries()]:
        prometheus.query(expression)
    asked = set(selectors(alerts + queries()))
    assert len(asked) > 60
    assert {s for s in asked if s.split("{")[0] != NOT_OURS and not prometheus.query(s)} == set()
    # No alarm without an alert, and none of them now.
    assert {f'tdefs_alarm{{alarm="{s["metric"]["alarm"]}"}}' for s in prometheus.query("tdefs_alarm")} <= asked
    assert [r["name"] for r in rules if r["state"] == "firing"] == []
    exposed = v.ctl("metrics", v.name).stdout
    assert set(re.findall(r"^# TYPE (\S+)", exposed, re.M)) - {re.sub("_(bucket|sum|count)$", "", s) for s in asked} == set()
    assert run("promtool", "check", "metrics", input=exposed).stderr == ""
    # Each says how bad it is and what to do next, and has a case in alerts.yml.
    for r in rules:
        assert r["labels"]["severity"] in ("critical", "warning", "info")
        assert r["annotations"]["summary"] and "tdefsctl " in r["annotations"]["description"], r["name"]
        assert f'alertname="{r["name"]}"' in CASES.read_text(encoding="utf-8")
    assert RULES.read_text(encoding="utf-8").count("  for: ") == len(rules)


def test_alerts_fire_when_they_should():
    run("promtool", "check", "rules", RULES)
    run("promtool", "test", "rules", CASES)


def test_dashboard_is_of_any_source_and_volume():
    d = dashboard()
    assert [v["name"] for v in d["templating"]["list"]] == ["datasource", "volume"]
    ids = [p["id"] for p in d["panels"]]
    assert len(ids) == len(set(ids))
    for p in d["panels"]:
        assert all(t["datasource"]["uid"] == "${datasource}" for t in p.get("targets", []))
    for expression in queries():
        assert all('volume=~"$volume"' in (m[2] or "") for m in SELECTOR.finditer(expression)), expression
