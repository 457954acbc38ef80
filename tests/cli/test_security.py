# SPDX-License-Identifier: Apache-2.0
"""What confines daemon and keeper is in force, and tdefsctl status --security says what there is."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import BUILD, is_mounted, parent_of, run, wait_for
from engines import SQLite

ROOT = Path(__file__).parents[2]
SANITIZED = os.environ.get("TDEFS_SANITIZED") == "1"
MAY_BE_ABSENT = {"AppArmor", "ptrace scope", "swap", "hibernation"}  # this machine's

# include/uapi/linux/capability.h
CAPABILITIES = {"chown": 0, "dac_override": 1, "dac_read_search": 2, "fowner": 3, "fsetid": 4, "setgid": 6,
                "setuid": 7, "ipc_lock": 14, "sys_admin": 21, "mknod": 27}


def mask(*names):
    return sum(1 << CAPABILITIES[name] for name in names)


def status_of(pid):
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def threads_of(pid):
    return [int(task) for task in os.listdir(f"/proc/{pid}/task")]


def is_confined(pid, capabilities):
    for thread in threads_of(pid):
        s = status_of(thread)
        assert s["NoNewPrivs"] == "1"
        assert s["Seccomp"] == ("0" if SANITIZED else "2")
        for which in "CapPrm", "CapBnd":
            assert int(s[which], 16) == capabilities, which
        assert int(s["CapEff"], 16) & ~capabilities == 0
        assert int(s["CapInh"], 16) == int(s["CapAmb"], 16) == 0


def facts(v):
    answer = v.ctl("--json", "status", v.name, "--security")
    (volume,) = json.loads(answer.stdout)["volumes"]
    return {fact["name"]: fact for fact in volume["security"]}


def above(path):
    """It, and the directories above it that are this test's own."""
    places = path, path.parent, path.parent.parent
    return [p for p in places if p.stat().st_uid == 0 and p.stat().st_mode & 0o077 == 0]


def test_daemon_and_keeper_are_confined(make_volume):
    v = make_volume()
    v.mount()
    (v.mount_point / "f").write_bytes(b"some work for its threads")
    is_confined(v.pid, mask(*CAPABILITIES))
    is_confined(parent_of(v.pid), mask("dac_read_search", "sys_admin"))


def test_each_fact_is_what_it_is(make_volume):
    v = make_volume()
    v.mount()
    found = facts(v)
    bad = {name for name, fact in found.items() if fact["verdict"] != "good"} - MAY_BE_ABSENT
    assert bad == ({"seccomp", "keeper seccomp", "memory locked"} if SANITIZED else set()), found
    assert all((fact["next"] is None) == (fact["verdict"] == "good") for fact in found.values())
    for place in above(v.backing):
        place.chmod(0o755)
    v.key.chmod(0o644)
    found = facts(v)
    assert found["backing"]["verdict"] == found["key file"]["verdict"] == "bad"
    assert "0644" in found["key file"]["value"]
    text = v.ctl("status", v.name, "--security").stdout
    assert text.startswith(f"{v.name}: online\n")
    found.pop("memory locked")  # it varies
    assert all(name in text and fact["value"] in text for name, fact in found.items())
    result = v.ctl("status", v.name, "--security", "--watch", check=False)
    assert result.returncode == 2 and "--security" in result.stderr


def test_a_keeper_that_is_gone_is_missed(make_volume):
    v = make_volume()
    v.mount()
    os.kill(parent_of(v.pid), 9)
    assert facts(v)["keeper"]["verdict"] == "bad"


def test_the_filter_can_be_switched_off(make_volume):
    v = make_volume(seccomp="no")
    v.mount()
    assert status_of(v.pid)["Seccomp"] == status_of(parent_of(v.pid))["Seccomp"] == "0"
    assert status_of(v.pid)["NoNewPrivs"] == "1"
    found = facts(v)
    assert found["seccomp"]["verdict"] == "bad"
    assert found["seccomp"]["value"] == "off: seccomp = no"


NO_FILTER_FOR_THE_KEEPER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>
static pid_t keeper;
__attribute__((constructor)) static void at_the_start(void) { keeper = getpid(); }
int seccomp_load(const void *filter)
{
	int (*load)(const void *) = dlsym(RTLD_NEXT, "seccomp_load");
	return getpid() == keeper ? -ENOMEM : load(filter);
}
"""


@pytest.mark.unsanitized("there is no filter")
def test_no_mount_without_the_keepers_filter(make_volume, directory):
    """systemd's filters look like it in /proc: nobody would see that it is missing."""
    (directory / "no.c").write_text(NO_FILTER_FOR_THE_KEEPER, encoding="ascii")
    run("gcc", "-shared", "-fPIC", "-o", directory / "no.so", directory / "no.c")
    v = make_volume()
    result = subprocess.run([BUILD / "tdefs", "--config", v.config, "mount", v.name, "--foreground"], check=False, text=True,
                            capture_output=True, timeout=60, env={**os.environ, "LD_PRELOAD": str(directory / "no.so")})
    assert result.returncode == 1 and "the keeper cannot filter its system calls" in result.stderr
    assert not is_mounted(v.mount_point)


@pytest.mark.unsanitized("there is no filter")
def test_the_filters_refuse_nothing_that_is_needed(make_volume, directory):
    """From the start to the end, an engine at work: clone3 alone is refused, which glibc knows to do without."""
    v = make_volume()
    calls = directory / "calls"
    trace = subprocess.Popen(
        ["strace", "-f", "-Z", "-e", "trace=!clone3", "-o", calls, BUILD / "tdefs", "--json", "--config", v.config,
         "mount", v.name],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: v.status()["state"] == "online", "the mount")
        v.pid = v.status()["pid"]
        db = SQLite(v.mount_point, "WAL", mmap_size=64 << 20).create()
        db.start_load(1)
        try:
            db.await_commits(20)
            for command in (["sync"], ["freeze", "--for", "1m"], ["thaw"], ["rotate"], ["reload"], ["metrics"], ["verify"]):
                v.ctl(command[0], v.name, *command[1:])
        finally:
            db.kill()
        v.ctl("lock", v.name)
        v.ctl("resume", v.name)
        v.unmount()
        trace.wait(60)
    finally:
        trace.kill()
        trace.wait()
    failed = calls.read_text()
    assert " = -1 E" in failed and "exited with 0" in failed
    assert not [line for line in failed.splitlines() if "ENOSYS" in line]


def test_without_a_daemon_there_is_nothing_to_tell(make_volume):
    v = make_volume()
    result = v.ctl("--json", "status", v.name, "--security", check=False)
    assert result.returncode == 5
    assert "security" not in json.loads(result.stdout)["volumes"][0]


AS_IF = """
set -e
mount -t tmpfs none /sys/module
mkdir -p /sys/module/apparmor/parameters
echo Y >/sys/module/apparmor/parameters/enabled
mount --bind "$1" "/proc/$2/attr/current"
shift 2
exec "$@"
"""


@pytest.mark.parametrize("label, verdict, next_step", [
    ("tdefs (enforce)", "good", None), ("tdefs (complain)", "bad", "aa-enforce "), ("unconfined", "bad", "apparmor_parser -r ")])
def test_what_a_kernel_with_apparmor_says(make_volume, directory, label, verdict, next_step):
    """A kernel without it does not confine: what is shown is made up here."""
    v = make_volume()
    v.mount()
    (directory / "label").write_text(label + "\n", encoding="ascii")
    answer = run("unshare", "--mount", "sh", "-c", AS_IF, "sh", directory / "label", v.pid,
                 BUILD / "tdefsctl", "--config", v.config, "--json", "status", v.name, "--security", env=v.environment())
    (volume,) = json.loads(answer.stdout)["volumes"]
    fact, = (fact for fact in volume["security"] if fact["name"] == "AppArmor")
    assert (fact["value"], fact["verdict"]) == (label, verdict)
    assert fact["next"] is None if next_step is None else fact["next"].startswith(next_step)


@pytest.mark.parametrize("profile", sorted(p.name for p in (ROOT / "conf/apparmor").iterdir()))
def test_apparmor_profile_is_valid(profile):
    parser = shutil.which("apparmor_parser", path="/usr/sbin:/sbin")
    assert parser, "the package apparmor is missing"
    subprocess.run([parser, "-Q", "-K", ROOT / "conf/apparmor" / profile], check=True, timeout=60)
    assert "complain) {" in (ROOT / "conf/apparmor" / profile).read_text(encoding="ascii")


# By profile: the sources of what it confines.
CONFINED = {"usr.sbin.tdefs": ["src", "include/tdefs"], "usr.sbin.tdefs-vault": ["tools/tdefs-vault"]}
NOT_ITS = {"src/transfer"}  # a part of tdefsctl's
RULE = re.compile(r"^  (?:owner )?(/\S*|@\{PROC\}\S*) [a-zA-Z]+(?: -> \S+)?,$", re.MULTILINE)
GLOBS = {"**": ".*", "*": "[^/]*", "{": "(?:", "}": ")", ",": "|", ".": "[.]", "@{PROC}": "/proc", "@{pid}": "(?:self|[0-9]+)"}


def paths_of(rule):
    """A rule's paths as a regular expression (apparmor.d(5), "Globbing")."""
    parts = re.split(r"(@\{PROC\}|@\{pid\}|\*\*|[*{},.])", rule)
    return re.compile("".join(GLOBS.get(part, part) for part in parts))


@pytest.mark.parametrize("profile", CONFINED)
def test_apparmor_profile_knows_every_path_of_the_source(profile):
    """What is in force nowhere here is compared at least; links of /sys lead to /sys/devices."""
    rules = [paths_of(rule) for rule in RULE.findall((ROOT / "conf/apparmor" / profile).read_text(encoding="ascii"))]
    found = set()
    for top in CONFINED[profile]:
        for path in (ROOT / top).rglob("*.[ch]"):
            if not any(str(path.relative_to(ROOT)).startswith(other) for other in NOT_ITS):
                found |= set(re.findall(r'"(/(?:sys|proc|dev|run|var)/[^"]*)"', path.read_text(encoding="utf-8")))
    assert found and len(rules) > 5
    wanted = {re.sub("%[a-z]", "1", path).replace("/sys/class/bdi/", "/sys/devices/virtual/bdi/").replace(
        "/proc/net/", "/proc/self/net/") for path in found}
    wanted = {path.replace("/fd/1", "/fd") for path in wanted}  # of a link there, its target is looked at
    missing = {path for path in wanted if not any(rule.fullmatch(path + end) for rule in rules for end in ("", "/", "x"))}
    assert not missing
