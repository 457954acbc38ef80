# SPDX-License-Identifier: Apache-2.0
"""on_event: the command that is told of each event, who it is run as, and what it cannot do."""

import json
import os
import pwd
import signal
import sys
from pathlib import Path

import pytest
from conftest import process_is_gone, wait_for

NOBODY = pwd.getpwnam("nobody")

# Tells what it was given, in a file of its own that appears whole.
TELL = """#!{python} -I
import json, os, sys, time
fds = [f for f in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + f)]
found = {{
    "event": json.loads(sys.stdin.read()), "argv": sys.argv[1:], "cwd": os.getcwd(),
    "uids": os.getresuid(), "gids": os.getresgid(), "groups": os.getgroups(),
    "environment": open("/proc/self/environ").read().split("\\0")[:-1], "fds": sorted(fds),
    "output": [os.readlink("/proc/self/fd/%d" % i) for i in (1, 2)],
    "leads_group": os.getpgid(0) == os.getpid(),
    "status": open("/proc/self/status").read(),
}}
name = "{told}/%d" % time.time_ns()
with open(name + ".new", "w") as f:
    json.dump(found, f)
os.rename(name + ".new", name)
"""

# At a lock it never ends, nor does its child; else it tells.
HANG = """#!/bin/sh
line=$(cat)
case $line in
*'"event":"lock"'*)
	sleep 100000 &
	echo $$ $! > {told}/pids.new
	mv {told}/pids.new {told}/pids
	wait ;;
*)
	: > {told}/went_on ;;
esac
"""


@pytest.fixture
def told(directory):
    """Where hooks write, as nobody."""
    path = directory / "told"
    path.mkdir()
    path.chmod(0o777)
    return path


@pytest.fixture
def make_hooked(make_volume, directory, told):
    """A function that makes a mounted volume whose events go to this script."""

    def make(script, *arguments, **settings):
        path = directory / "hook"
        path.write_text(script.format(python=sys.executable, told=told))
        path.chmod(0o755)
        v = make_volume(on_event=" ".join([str(path), *arguments]), **settings)
        v.mount()
        return v

    return make


def reports(told):
    return [json.loads(f.read_text()) for f in sorted(told.iterdir()) if f.suffix != ".new"]


def names(told):
    return [r["event"]["event"] for r in reports(told)]


def helper_of(v):
    """The process that runs the hook: a child of the daemon's, which may not have its name yet."""
    return wait_for(lambda: find_helper(v), "the helper")


def find_helper(v):
    for task in Path(f"/proc/{v.pid}/task").iterdir():
        for pid in (task / "children").read_text().split():
            if Path(f"/proc/{pid}/comm").read_text() == "tdefs-hook\n":
                return int(pid)
    return None


def recorded(v, event):
    lines = (v.directory / "events" / f"{v.name}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines if json.loads(line)["event"] == event]


def all_told(v, told):
    last = (v.directory / "events" / f"{v.name}.jsonl").read_text().splitlines()[-1]
    return json.loads(last)["seq"] in [r["event"]["seq"] for r in reports(told)]


def test_each_event_is_told_in_turn_to_a_stranger(make_hooked, told):
    groups = os.getgroups()
    os.environ["AZURE_CLIENT_SECRET"] = "not-to-be-seen"
    os.setgroups([*groups, 4])
    try:
        v = make_hooked(TELL, "two", "words")
    finally:
        os.setgroups(groups)
        del os.environ["AZURE_CLIENT_SECRET"]
    helper = helper_of(v)
    assert b"not-to-be-seen" not in Path(f"/proc/{helper}/environ").read_bytes()
    wait_for(lambda: sorted(os.listdir(f"/proc/{helper}/fd")) == ["0", "1", "2", "3"],
             "the helper to have nothing but the link, between two commands")
    status = Path(f"/proc/{helper}/status").read_text()
    assert f"Uid:\t{NOBODY.pw_uid}\t{NOBODY.pw_uid}\t{NOBODY.pw_uid}\t" in status
    assert "CapPrm:\t0000000000000020\n" in status  # CAP_KILL, for commands that become others
    v.ctl("lock", v.name)
    # Those that have not begun a few seconds after an unmount are given up.
    wait_for(lambda: recorded(v, "lock") and all_told(v, told), lambda: names(told))
    assert {"mount", "lock", "state"} <= set(names(told))
    v.unmount()
    wait_for(lambda: process_is_gone(helper), "the helper to end with the daemon")
    wait_for(lambda: "unmount" in names(told), lambda: names(told))
    seen = reports(told)
    sequence = [r["event"]["seq"] for r in seen]
    assert sequence == sorted(sequence)
    for r in seen:
        assert r["event"]["volume"] == v.name and r["argv"] == ["two", "words"]
        assert set(r["uids"]) == {NOBODY.pw_uid} and set(r["gids"]) == {NOBODY.pw_gid}
        assert set(r["groups"]) <= {NOBODY.pw_gid}
        assert [e.split("=")[0] for e in r["environment"]] == ["PATH"]
        assert r["fds"] == ["0", "1", "2"] and r["output"] == ["/dev/null", "/dev/null"]
        assert r["cwd"] == "/" and r["leads_group"]
        for name, value in (("CapEff", 0), ("CapPrm", 0), ("CapInh", 0), ("SigBlk", 0)):
            assert f"{name}:\t{value:016x}\n" in r["status"]


def test_a_hook_that_hangs_is_ended_with_its_group(make_hooked, told):
    v = make_hooked(HANG)
    v.ctl("lock", v.name)
    wait_for(lambda: (told / "pids").exists(), "the hook to hang")
    pids = [int(p) for p in (told / "pids").read_text().split()]
    (told / "went_on").unlink(missing_ok=True)
    v.ctl("resume", v.name)  # nobody waits for the hook
    (v.mount_point / "f").write_text("x")
    wait_for(lambda: all(process_is_gone(p) for p in pids), "the hook and its child to be ended")
    wait_for(lambda: (told / "went_on").exists(), "the next event")
    wait_for(lambda: "hook: ended after 10 s" in v.log_text(), v.log_text)


def test_the_daemon_outlives_its_helper(make_hooked, told):
    v = make_hooked(TELL)
    wait_for(lambda: "mount" in names(told), lambda: names(told))
    os.kill(helper_of(v), signal.SIGKILL)
    wait_for(lambda: "event=hook_lost" in v.log_text(), "the alarm")
    wait_for(lambda: recorded(v, "hook_lost"), "the event of it")
    (v.mount_point / "f").write_text("x")
    status = v.status()
    assert status["hook"]["lost"] and "hook" in [a["name"] for a in status["alarms"]]
    v.ctl("lock", v.name)
    v.ctl("resume", v.name)
    assert (v.mount_point / "f").read_text() == "x"
    v.unmount()


def test_the_helper_ends_with_a_daemon_that_is_killed(make_hooked, told):
    v = make_hooked(TELL)
    helper = helper_of(v)
    v.kill_daemon()
    wait_for(lambda: process_is_gone(helper), "the helper to end")
    v.unmount_dead()


def test_what_cannot_be_run_is_said_at_the_start(make_volume, directory):
    v = make_volume()
    for settings, text in (
            ({"on_event": "/bin/true", "hook_user": "nobody-of-this-name"}, "no such user"),
            ({"on_event": directory / "none", "hook_user": "nobody"}, "No such file"),
            ({"on_event": directory}, "not a program")):
        v.write_config(**settings)
        result = v.tdefs("mount", v.name, check=False)
        assert result.returncode == 2 and text in result.stderr, result.stderr
