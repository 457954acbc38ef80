# SPDX-License-Identifier: Apache-2.0
"""What operators are told: each member as its page says, advice in each state, alarms, --watch."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from conftest import BUILD, LIMIT, wait_for
from exposition import Metrics

PAGE = Path(__file__).parents[2] / "src/control/STATUS.md"


def members(value, path=""):
    """All leaves: a.b of an object, a[] of a list."""
    if isinstance(value, dict) and value:
        return set().union(*(members(v, f"{path}.{k}" if path else k) for k, v in value.items()))
    if isinstance(value, list) and value:
        return set().union(*(members(v, path + "[]") for v in value))
    return {path}


def documented():
    rows = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(encoding="utf-8"), re.M)
    assert len(rows) == len(set(rows))
    return set(rows)


def test_the_page_names_every_member_and_no_other(make_guarded):
    v = make_guarded(metrics_listen="none")
    online = members(v.status())
    state = v.backing / ".tdefs/state"
    wait_for(state.is_file, "the first grant to be remembered")
    state.unlink()
    state.mkdir()  # so that it cannot be replaced
    v.vault.command("key", "disable", "tde")
    v.reach_purged("denied")
    wait_for(lambda: v.status()["alarms"], "an alarm")
    denied = members(v.status())
    # What is empty, or not configured here, has no members of its own.
    absent = {m for m in documented()
              if m.startswith(("protector.newest.", "secondary.", "hook.", "webhook.", "rotation.", "freeze."))}
    assert online | denied == documented() - absent | {"alarms", "engines", "reasons"}
    row = re.search(r"^\| `alarms\[\]\.name` \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.M)
    told = Metrics(v.control("metrics")["metrics"]).of("tdefs_alarm")
    assert row[1].split(", ") == [alarm["alarm"] for alarm in told]


def test_online_says_who_and_where(make_guarded):
    v = make_guarded()
    v.answers("granted")
    access = v.status()["key_access"]
    assert access["vault"] == {"address": v.vault.url, "serving": "primary"}
    assert access["identity"]["kind"] == "client-secret"
    assert access["identity"]["client_id"] == v.identity.client_id
    assert access["identity"]["tenant"] and access["identity"]["token_until"] > access["last_grant"]
    assert access["last_answer"]["class"] == "granted" and not access["trouble"]
    assert access["trouble_since"] is None and access["next_step"] is None
    assert v.status()["engines"] == [] and v.status()["alarms"] == []
    text = v.ctl("status", v.name).stdout
    for shown in (v.vault.url, v.identity.client_id, "token until", "last probe granted at",
                  v.status()["protector"]["thumbprint"], "granted, 0 denied"):
        assert shown in text, text


def told_alike(v):
    access = v.status()["key_access"]
    result = v.ctl("status", v.name, check=False)
    return access["last_answer"]["request_id"] in result.stdout and (access, result)


def test_a_denial_is_told_in_full(make_guarded):
    v = make_guarded()
    v.vault.command("revoke", "sales", "tde", "unwrapKey")
    v.reach_purged("denied")
    # Told as text by another program, of the same answer: another may come in between.
    access, result = wait_for(lambda: told_alike(v), "a text of the answer that was read")
    answer = access["last_answer"]
    assert answer["http_status"] == 403 and answer["code"] == "Forbidden" and answer["request_id"]
    assert access["trouble"] and access["last_grant"] <= access["trouble_since"] <= answer["at"]
    assert result.returncode == 4
    for shown in ("sales: inaccessible (denied)", answer["request_id"], "HTTP 403 Forbidden",
                  access["next_step"], "trouble    since", "PostgreSQL", "what engines do now"):
        assert shown in result.stdout, result.stdout


def test_from_the_first_failed_probe(make_guarded):
    """Long before anything happens."""
    v = make_guarded(outage_read_only_after="1h", outage_deny_after="2h")
    v.vault.kill()
    v.answers("unreachable")
    status = v.status()
    access = status["key_access"]
    assert status["state"] == "online" and access["trouble"] and access["trouble_since"]
    assert access["last_answer"]["class"] == "unreachable" and access["last_answer"]["error"]
    assert 0 < access["seconds_until_read_only"] <= 3600 < access["seconds_until_denied"] <= 7200
    assert access["next_step"].endswith("then it heals by itself")
    text = v.ctl("status", v.name).stdout
    assert "read-only  in " in text and "denied     in " in text and "last probe unreachable" in text


@pytest.mark.parametrize("verb", ["lock", "drill"])
def test_what_engines_do(make_guarded, verb):
    v = make_guarded()
    if verb == "lock":
        v.ctl("lock", v.name)
        v.reach("inaccessible", "locked")
        told = "SIGBUS"
    else:
        v.control("drill", kind="outage", seconds=300)
        v.reach("read-only", "drill")
        told = "only read go on"
    engines = v.status()["engines"]
    assert [e["engine"] for e in engines] == ["PostgreSQL", "MariaDB", "SQLite", "MongoDB"]
    assert [e["engine"] for e in engines if not e["measured"]] == ["MongoDB"]
    assert any(told in e["now"] for e in engines) and all(e["next"] for e in engines)
    text = v.ctl("status", v.name, check=False).stdout
    assert told in text and "(not measured)" in text and v.status()["key_access"]["next_step"] in text


def test_a_refused_credential_is_an_alarm(make_guarded):
    v = make_guarded()
    v.secret_file.unlink()
    v.vault.fault("add", "clock", 7200)  # the token in hand has expired, as far as it knows
    wait_for(lambda: [a["name"] for a in v.status()["alarms"]] == ["credential"], "the alarm")
    assert "ALARM      credential: " in v.ctl("status", v.name, check=False).stdout


class Watch:
    """tdefsctl status NAME --watch, and the lines that it has printed."""

    def __init__(self, v, *args):
        self.lines = []
        self.process = subprocess.Popen(
            [str(BUILD / "tdefsctl"), "--config", str(v.config), "status", v.name, "--watch", *args],
            stdout=subprocess.PIPE, text=True, env={**os.environ, **v.environment()})

    def until(self, text):
        """Read lines up to one with this text. In vain for too long, the program is ended."""
        limit = threading.Timer(LIMIT, self.process.kill)
        limit.start()
        try:
            while True:
                line = self.process.stdout.readline()
                assert line, f"it ended before {text!r}: {self.lines}"
                self.lines.append(line)
                if text in line:
                    return line
        finally:
            limit.cancel()
            limit.join()

    def end(self, signal_number=None):
        if signal_number:
            self.process.send_signal(signal_number)
        self.process.communicate(timeout=120)
        return self.process.returncode

    def close(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def watch():
    made = []

    def begin(v, *args):
        made.append(Watch(v, *args))
        return made[-1]

    yield begin
    for w in made:
        w.close()


def reload(v, **settings):
    v.write_config(**settings)
    v.ctl("reload", v.name)


def test_watch_tells_each_change(make_guarded, watch):
    # Each state lasts until it was seen: a machine that stands still for seconds skips none.
    lasting = {"outage_read_only_after": "1h", "outage_deny_after": "2h"}
    v = make_guarded(**lasting)
    w = watch(v)
    w.until("sales: online")
    v.vault.kill()
    w.until("sales: online; the vault: unreachable")
    reload(v, outage_read_only_after="1s", outage_deny_after="2s")
    w.until("sales: inaccessible (outage)")
    reload(v, **lasting)
    v.vault.start(listen=v.vault.address)
    w.until("sales: online")
    v.ctl("lock", v.name)
    w.until("sales: inaccessible (locked)")
    assert len(w.lines) == len({line.split(" ", 1)[1] for line in w.lines[:3]}) + len(w.lines[3:])
    assert w.end(signal.SIGINT) == 4  # the state


def test_watch_ends_with_the_daemon(make_guarded, watch):
    v = make_guarded()
    w = watch(v, "--json")
    assert json.loads(w.until('"online"'))["key_access"]
    v.unmount()
    assert json.loads(w.until('"not mounted"')) == {"schema": 1, "name": "sales", "state": "not mounted"}
    assert w.end() == 5
    assert v.ctl("status", "--watch", check=False).returncode == 2


def test_watch_draws_on_a_terminal(make_guarded):
    v = make_guarded()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(BUILD / "tdefsctl", ["tdefsctl", "--config", str(v.config), "status", v.name, "--watch"],
                  {**os.environ, **v.environment()})
    try:
        seen = b""
        while b"thumbprint" not in seen:
            assert select.select([terminal], [], [], LIMIT)[0], seen
            seen += os.read(terminal, 65536)
        assert seen.startswith(b"\x1b[H\x1b[2Jsales: online")
        os.write(terminal, b"\x03")  # Ctrl-C
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        pid = None
    finally:
        os.close(terminal)
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
