# SPDX-License-Identifier: Apache-2.0
"""A newer version of the protector's key: it is told of, and nothing else comes of it."""

import re
from pathlib import Path

import pytest
from conftest import wait_for

PAGE = Path(__file__).parents[2] / "src/control/STATUS.md"
POLL = 60  # the shortest


def newest(v):
    return v.status()["protector"]["newest"]


def until_known(v):
    return wait_for(lambda: newest(v), lambda: f"a newer version; it is {v.status()['protector']}")


def told(v):
    return [e for e in v.events() if e["event"] == "newer_version"]


@pytest.mark.parametrize("pinned", [False, True])
def test_a_newer_version_is_told_of(make_guarded, vault, pinned):
    v = make_guarded(mounted=False)
    used = v.active_kid()
    if pinned:
        v.write_config(protector=used)
    vault.command("key", "rotate", "tde")
    v.mount()
    found = until_known(v)
    assert found["kid"].startswith(f"{v.kid}/") and found["kid"] != used
    status = v.status()
    assert status["protector"]["kid"] == used and status["state"] == "online" and not status["alarms"]
    assert found["thumbprint"] != status["protector"]["thumbprint"]
    assert status["protector"]["newest_error"] is None
    rows = re.findall(r"^\| `protector\.newest\.([^`]+)` \|", PAGE.read_text(encoding="utf-8"), re.M)
    assert found.keys() == set(rows) and all(found.values())
    assert f"{found['kid']}: a newer version exists" in v.ctl("status", v.name).stdout
    event = wait_for(lambda: told(v), "the event")[0]
    assert {k: event[k] for k in ("kid", "created", "in_use")} == {**{k: found[k] for k in ("kid", "created")},
                                                                  "in_use": used}
    v.unmount()  # the look is a key operation like others: in the sum of those that are granted
    summaries = [e for e in v.events() if e["event"] == "probe_summary" and e["by"] == "rotation_poll"]
    assert len(summaries) == 1 and summaries[0]["get"]["granted"] >= 1 and len(told(v)) == 1


@pytest.mark.unsanitized("libworld.so is none of a sanitizer's")
def test_a_look_that_is_refused_changes_nothing(world, make_guarded, vault):
    """Minutes pass by an injected clock; a reload wakes whoever waits for the next look."""
    v = make_guarded(mounted=False, rotation_poll=f"{POLL}s")
    v.more_environment = world.environment()
    vault.command("key", "rotate", "tde")
    v.mount()
    first = until_known(v)
    vault.fault("add", "status", "/keys/tde", "403,Forbidden,ForbiddenByRbac")  # nobody else asks for that

    def alarms():
        return [a["name"] for a in v.status()["alarms"]]

    def refused():
        return [e for e in v.events() if e["event"] == "key_get" and e["by"] == "rotation_poll"]

    def look():
        world.pass_time(2 * POLL)
        v.ctl("reload", v.name)

    for n in (1, 2, 3):
        assert alarms() == []
        look()
        wait_for(lambda n=n: len(refused()) == n, f"refusal {n}")
    wait_for(lambda: alarms() == ["newest_unknown"], "the alarm")
    v.answers("granted")
    status = v.status()
    assert status["state"] == "online" and status["key_access"]["probes"]["denied"] == 0
    assert status["protector"]["newest"] == first and "403" in status["protector"]["newest_error"]
    vault.fault("clear")
    vault.command("key", "rotate", "tde")
    look()
    wait_for(lambda: newest(v) != first, "the next version")
    assert alarms() == [] and v.now() == "online" and newest(v)["kid"] != first["kid"]
    wait_for(lambda: len(told(v)) == 2, "both events")
    v.unmount()
