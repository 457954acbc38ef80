# SPDX-License-Identifier: Apache-2.0
"""The event log of a volume whose key is lost and comes back: what is in it, and who cannot fill it."""

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest
from conftest import BUILD, is_mounted, wait_for
ROOT = Path(__file__).parents[2]


def documented():
    """The names of events in EVENTS.md."""
    text = (ROOT / "src/audit/EVENTS.md").read_text(encoding="utf-8")
    return set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`\w+`[^|]*) \|", text, re.M))))


def test_every_event_is_written_down():
    named = re.compile(r'(?:audit_record\([^;"]*|record\(v, |note\(b, |in_trouble\(v, )"([a-z_]+)"')
    found = {name for path in [*ROOT.glob("src/**/*.c"), *ROOT.glob("tools/tdefsctl/*.c")]
             for name in named.findall(path.read_text(encoding="utf-8"))}
    assert {"mount", "probe_failed", "log_torn", "hook_lost"} <= found
    assert found <= documented()


def written(v, event, **details):
    """Wait until the log holds such an event; the first of them."""
    return wait_for(lambda: next((e for e in v.events() if e["event"] == event
                                  and details.items() <= e.items()), None), f"{event} {details}")


def in_order(v, *expected):
    """That the log holds these, each (event, details), in this order, among others."""
    found, rest = v.events(), list(expected)
    for e in found:
        if rest and e["event"] == rest[0][0] and rest[0][1].items() <= e.items():
            rest.pop(0)
    assert not rest, f"{rest[0]} is missing, or comes too early, in {[e['event'] for e in found]}"
    return found


def states(state, *reasons, **more):
    return "state", {"state": state, "reasons": list(reasons), **more}


def test_a_life_is_recorded(make_guarded):
    """Mount, denial, healing, lock and resume, a command by root; each key operation as the vault saw it."""
    v = make_guarded()
    v.answers("granted")
    v.vault.command("revoke", "sales", "tde", "unwrapKey")
    v.reach("inaccessible", "denied")
    v.vault.command("grant", "sales", "tde", "get,wrapKey,unwrapKey")
    v.reach("online")
    v.ctl("lock", v.name)
    v.ctl("resume", v.name)
    assert v.ctl("extend", v.name, "--for", "1h", check=False).returncode == 1
    v.ctl("verify", v.name)
    secret = v.secret_file.read_text().strip()
    dek = v.dek()
    v.unmount()
    probed = {"by": "probe", "class": "denied"}
    found = in_order(
        v, ("key_wrap", {"by": "format"}), ("format", {}), ("key_unwrap", {"by": "unlock"}), ("mount", {}),
        ("key_unwrap", probed), ("probe_failed", {"class": "denied"}), ("denial_pending", {}),
        ("key_unwrap", probed), states("draining", "denied", target="inaccessible", previous="online"),
        states("inaccessible", "denied", previous="draining"),
        ("key_unwrap", {"by": "probe", "class": "granted"}), ("key_unwrap", {"by": "unlock"}),
        states("online", previous="inaccessible"), ("lock", {"uid": 0}), states("inaccessible", "locked"),
        ("resume", {"uid": 0}), states("online"), ("extend", {"uid": 0, "seconds": 3600}),
        ("command_refused", {"command": "extend"}), ("key_unwrap", {"by": "verify"}),
        ("probe_summary", {}), ("unmount", {"all_written": True}))
    # In order and whole, and every name is one that is written down.
    assert [e["seq"] for e in found] == list(range(1, len(found) + 1))
    assert {e["event"] for e in found} <= documented()
    assert v.ctl("events", v.name, "--verify").returncode == 0
    # What the vault knows of us is what we say: nothing more, nothing less, probes in sum aside.
    key_events = [e for e in found if e["event"].startswith("key_")]
    for e in key_events:
        assert e["vault"] == v.vault.url and e["kid"].startswith(f"{v.kid}/"), e
        assert e["latency_ms"] >= 0 and e["class"] in ("granted", "denied"), e
    seen_by_vault = {line["request_id"] for line in v.vault.audit() if "request_id" in line}
    assert {e["request_id"] for e in key_events} <= seen_by_vault
    summary = next(e for e in found if e["event"] == "probe_summary")
    for operation in ("get", "unwrapKey"):
        s = summary[operation]
        assert s["granted"] > 0 and s["min_ms"] <= s["average_ms"] <= s["max_ms"]
    # Nothing secret.
    log = v.directory / "events" / f"{v.name}.jsonl"
    text = log.read_text(encoding="utf-8")
    assert stat.S_IMODE(log.stat().st_mode) & 0o027 == 0
    for form in (secret, dek.hex(), "Bearer", "eyJ"):
        assert form not in text


def test_an_outage_is_recorded(make_guarded):
    v = make_guarded(outage_read_only_after="3s", outage_deny_after="1h")
    v.vault.kill()
    v.reach("read-only", "outage")
    v.vault.start(listen=v.vault.address)
    v.reach("online")
    v.unmount()
    found = in_order(v, ("mount", {}), ("key_unwrap", {"by": "probe", "class": "unreachable"}),
                     ("probe_failed", {"class": "unreachable"}), states("read-only", "outage"), states("online"),
                     ("unmount", {}))
    failed = next(e for e in found if e["event"] == "probe_failed")
    assert failed["seconds_until_denied"] is not None and failed["next"]


def test_a_log_that_cannot_be_written_stops_nothing(make_guarded):
    """An alarm, and all of it is in the log once that works again."""
    v = make_guarded(mounted=False)
    place = v.directory / "events"
    place.rename(v.directory / "kept")
    place.write_text("in the way")
    v.mount()
    v.ctl("lock", v.name)
    v.reach("inaccessible", "locked")
    v.ctl("resume", v.name)
    v.reach("online")
    wait_for(lambda: v.status()["event_log"]["failing"], "the log to be failing")
    status = v.status()
    assert status["event_log"]["error"] and status["event_log"]["since"]
    assert "event_log" in [a["name"] for a in status["alarms"]]
    warned = v.ctl("verify", v.name)
    assert "is not recorded" in warned.stderr, warned.stderr
    place.unlink()
    (v.directory / "kept").rename(place)
    written(v, "resume")
    wait_for(lambda: not v.status()["event_log"]["failing"], "the log to be written again")
    in_order(v, ("format", {}), ("mount", {}), ("lock", {}), states("inaccessible", "locked"), ("resume", {}),
             states("online"))
    wait_for(lambda: v.status()["event_log"]["head"]["seq"] == v.events()[-1]["seq"], "the head to be its last")


def test_a_mount_that_fails_is_recorded(make_guarded):
    v = make_guarded(mounted=False, mount_timeout="1s")
    v.vault.kill()
    assert v.tdefs("mount", v.name, check=False).returncode == 6
    failed = written(v, "mount_failed")
    assert failed["exit_code"] == 6 and "not mounted" in failed["error"]
    assert "unmount" not in [e["event"] for e in v.events()]


def test_the_log_is_not_on_a_fuse_mount(make_guarded, make_volume):
    other = make_volume("other")
    v = make_guarded(mounted=False)
    v.write_config(event_dir=other.mount() / "events")
    result = v.tdefs("mount", v.name, check=False)
    assert result.returncode == 2 and "event" in result.stderr, result.stderr
    assert not is_mounted(v.mount_point)


def test_only_root_fills_the_log(make_guarded):
    """Members of the socket's group ask, and are refused; users of files are told of sparingly."""
    v = make_guarded()
    written(v, "mount")
    before = len(v.events())
    os.chmod(v.directory / "run" / f"{v.name}.sock", 0o666)
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            for command in ("lock", "resume", "extend", "drill", "reload", "recheck", "status", "nonsense"):
                v.control(command, kind="outage", seconds=1, path="x")
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    v.ctl("lock", v.name)
    written(v, "lock")
    first = v.events()[before]
    assert (first["event"], first["uid"]) == ("lock", 0), first


@pytest.mark.parametrize("verb", ["check", "status"])
def test_users_without_rights_need_no_log(make_guarded, verb):
    """What they may not write they need not write."""
    v = make_guarded()
    before = v.events()
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    result = subprocess.run([*as_nobody, BUILD / "tdefsctl", "--config", v.config, verb, v.name],
                            capture_output=True, text=True, timeout=300, check=False,
                            env={**os.environ, **v.environment()})
    assert "event log" not in result.stderr, result.stderr
    assert [e for e in v.events() if e not in before and e.get("by") == verb] == []
