# SPDX-License-Identifier: Apache-2.0
"""A loss that is rehearsed: what tdefsctl drill tells, and what it leaves behind."""

import json
import re

import pytest
from conftest import wait_for
from guard_kit import error_of


def begin(v, kind, how_long):
    return v.start_ctl("--json", "drill", v.name, f"--{kind}", "--for", how_long, "--yes")


def told_by(drill):
    try:
        output, _ = drill.communicate(timeout=300)
    finally:
        drill.kill()
    assert drill.returncode == 0 and not re.search(r"\.\d{4}", output), output
    return json.loads(output)


def test_a_drill_of_a_denial_ends_by_itself_and_tells(make_guarded):
    v = make_guarded()
    path, state = v.mount_point / "f", v.backing / ".tdefs/state"
    path.write_bytes(b"x")
    wait_for(state.is_file, "the first grant to be remembered")
    before = state.read_text()
    drill = begin(v, "denial", "15s")
    wait_for(lambda: error_of(path.read_bytes) == "EKEYREVOKED" or drill.poll() is not None, "a refusal")
    seen = told_by(drill)
    states = [s["state"] for s in seen["states"]]
    assert seen["drill"] == "denial" and seen["online_again"], seen
    assert "inaccessible" in states and states[-1] == "online", seen
    assert seen["refused"] > 0 and seen["cache_purged_after"] is not None, seen
    assert path.read_bytes() == b"x"
    assert state.read_text() == before  # it ends with the daemon


def test_a_drill_of_an_outage_can_be_ended(make_guarded):
    v = make_guarded()
    path = v.mount_point / "f"
    path.write_bytes(b"x")
    drill = begin(v, "outage", "300s")
    v.reach("read-only", "drill")
    assert path.read_bytes() == b"x" and error_of(path.write_bytes, b"y") == "EROFS"
    v.control("drill", kind="end")
    seen = told_by(drill)
    assert seen["drill"] == "outage" and seen["refused"] > 0 and seen["cache_purged_after"] is None, seen
    assert [s["state"] for s in seen["states"]][-1] == "online", seen


def test_a_drill_is_asked_for_and_short(make_guarded):
    v = make_guarded()
    result = v.ctl("drill", v.name, "--denial", "--for", "5s", check=False)
    assert result.returncode == 1 and "not confirmed" in result.stderr
    result = v.ctl("drill", v.name, "--denial", "--for", "6m", "--yes", check=False)
    assert result.returncode == 2 and "5 minutes" in result.stderr
    assert v.now() == "online"


def test_a_drill_clears_its_own_reason_only_and_ends_with_the_daemon(make_guarded):
    v = make_guarded()
    v.control("drill", kind="denial", seconds=300)
    v.reach("inaccessible", "drill")
    assert v.ctl("safe-to-restart", v.name, check=False).returncode == 8
    v.control("lock")
    v.control("drill", kind="end")
    v.reach("inaccessible", "locked")
    v.control("resume")
    v.reach("online")
    v.control("drill", kind="denial", seconds=300)
    v.reach("inaccessible", "drill")
    result = v.tdefs("unmount", v.name)
    assert "its key is not granted now" in result.stderr
    v.mount()
    v.reach("online")
    assert v.ctl("safe-to-restart", v.name).returncode == 0


@pytest.mark.parametrize("was, by_now, code, told", [
    ("/keys/tde\n", "/keys/tdee\n", 1, "but the protector is"),
    ("\nmount = ", "\nmount = /srv", 2, "its mount is"),
    ("\nbacking = ", "\nbacking = /srv", 2, "its backing is"),
    (".secret\n", ".secre\n", 8, ".secre: cannot open")])
def test_a_restart_is_safe_by_what_tdefs_conf_says_by_now(make_guarded, was, by_now, code, told):
    """What is mounted goes on with what it read; the next mount will not."""
    v = make_guarded()
    v.answers("granted")
    assert v.ctl("safe-to-restart", v.name).stdout == f"{v.name}: safe to restart\n"
    before = v.config.read_text()
    v.config.write_text(before.replace(was, by_now))
    refused = v.ctl("safe-to-restart", v.name, check=False)
    assert refused.returncode == code and told in refused.stderr and "next: " in refused.stderr
    v.config.write_text(before)
    assert v.ctl("safe-to-restart", v.name).returncode == 0


def test_a_restart_is_safe_by_what_the_vault_says_now(make_guarded):
    """Its last answer may be a minute old."""
    v = make_guarded(probe_interval="5m")
    assert v.ctl("safe-to-restart", v.name).returncode == 0
    v.vault.stop()
    refused = v.ctl("safe-to-restart", v.name, check=False)
    assert refused.returncode == 8 and "last answer" not in refused.stderr
    assert v.status()["key_access"]["last_answer"]["class"] == "granted"
