# SPDX-License-Identifier: Apache-2.0
"""tdefsctl rotate --all: many volumes, some of them mounted, on one vault that has its limits."""

import collections
import json
import os
import shutil
import subprocess

import pytest
from conftest import BUILD, Volume, process_is_gone, wait_for
from guard_kit import GuardedVolume

HEADERS, MOUNTED = 500, 20


class Fleet:
    """Volumes in one configuration, by one identity: the first's."""

    def __init__(self, directory, vault):
        self.first = GuardedVolume(directory, vault)
        self.vault, self.directory = vault, directory
        self.names = [self.first.name]
        self.daemons = {}

    def place(self, name):
        return self.directory / "volumes" / name

    def add(self, name, **settings):
        (self.place(name) / "backing").mkdir(parents=True)
        (self.place(name) / "mnt").mkdir()
        more = "".join(f"{k} = {v}\n" for k, v in settings.items())
        with open(self.first.config, "a", encoding="utf-8") as config:
            config.write(f"[volume {name}]\nbacking = {self.place(name)}/backing\n"
                         f"mount = {self.place(name)}/mnt\n{more}")
        self.names.append(name)
        return self

    def ctl(self, *args, check=True):
        return self.first.ctl(*args, check=check)

    def format(self, name, **settings):
        self.add(name, **settings)
        self.ctl("format", name)

    def copy(self, name):
        """As a copy would be that is made below: nobody wraps anything for it."""
        self.add(name)
        shutil.copytree(self.first.backing / ".tdefs", self.place(name) / "backing/.tdefs")
        shutil.copy(self.first.state / f"{self.first.name}.pin", self.first.state / f"{name}.pin")

    def mount(self, name):
        self.first.tdefs("mount", name)
        status = self.first.ctl_json("status", name)["volumes"][0]
        self.daemons[name] = status["pid"]

    def slot(self, name):
        slots = self.first.ctl_json("header", "dump", name)["slots"]
        return next(s["kid"] for s in slots if s["state"] == "active")

    def rotate(self, *args):
        """The exit code, how many came to what, and each volume's entry."""
        result = self.ctl("--json", "rotate", "--all", *args, check=False)
        answer = json.loads(result.stdout)
        assert answer["exit_code"] == result.returncode
        counts = {k: n for k, n in answer["counts"].items() if n}
        assert counts == collections.Counter(v["result"] for v in answer["volumes"])
        return result.returncode, counts, {v["name"]: v for v in answer["volumes"]}

    def new_version(self):
        self.vault.command("key", "create", "tde")

    def close(self):
        for name, pid in self.daemons.items():
            self.first.tdefs("unmount", name, check=False)
            wait_for(lambda pid=pid: process_is_gone(pid), "a daemon to be gone")
        self.first.close()


@pytest.fixture
def fleet(directory, vault):
    made = Fleet(directory, vault)
    yield made
    made.close()


@pytest.mark.unsanitized("500 headers and 20 daemons; the others go the same ways")
def test_many_volumes_on_one_vault(fleet):
    """Throttled in the middle, interrupted, resumed: each is rotated once, and the mounted ones go on."""
    fleet.first.format()
    mounted = [f"m{n}" for n in range(MOUNTED)]
    for name in mounted:
        fleet.format(name)
        fleet.mount(name)
        (fleet.place(name) / "mnt/f").write_text(name)
    for n in range(HEADERS - MOUNTED - 1):
        fleet.copy(f"v{n}")
    fleet.new_version()
    # 429 now and then, as a vault does at its limit; with and without a time to wait.
    fleet.vault.fault("add", "header", "*/unwrapkey", "Retry-After: 1")
    fleet.vault.fault("add", "status", "*/unwrapkey", "429", count=20)
    before = len(fleet.vault.audit())
    ctl = fleet.first.start_ctl("--json", "rotate", "--all")
    wait_for(lambda: len(fleet.vault.audit()) > before + HEADERS, "the work to be under way")
    ctl.kill()
    ctl.communicate()
    code, counts, volumes = fleet.rotate()
    assert code == 0 and set(counts) == {"rotated", "current"}, counts
    assert counts["rotated"] + counts["current"] == HEADERS and counts["current"] > 0
    new = {v["after"]["kid"] for v in volumes.values() if v["result"] == "rotated"}
    assert len(new) == 1
    assert {fleet.slot(name) for name in (fleet.first.name, *mounted[:3], "v0")} == new
    # Nothing is left to do, and nothing is wrapped.
    before = len(fleet.vault.audit())
    assert fleet.rotate()[:2] == (0, {"current": HEADERS})
    assert "KeyWrap" not in {e["operation"] for e in fleet.vault.audit()[before:]}
    for name in mounted:
        assert (fleet.place(name) / "mnt/f").read_text() == name
        fleet.first.tdefs("unmount", name)
        wait_for(lambda pid=fleet.daemons.pop(name): process_is_gone(pid), "a daemon to be gone")
    fleet.mount(mounted[0])
    assert (fleet.place(mounted[0]) / "mnt/f").read_text() == mounted[0]


def test_one_that_fails_does_not_stop_the_others(fleet, directory):
    fleet.first.format()
    pem = directory / "platform.pem"
    Volume.make_key(pem)
    for name in "locked", "gone", "good":
        fleet.format(name)
    fleet.format("file", protector=f"file:{pem}")
    fleet.add("empty")
    fleet.new_version()
    fleet.mount("locked")
    fleet.ctl("lock", "locked")
    shutil.rmtree(fleet.place("gone") / "backing/.tdefs")
    code, counts, volumes = fleet.rotate()
    assert code == 1
    assert {n: v["result"] for n, v in volumes.items()} == {
        "sales": "rotated", "locked": "failed", "gone": "failed", "good": "rotated",
        "file": "current", "empty": "not-formatted"}
    assert volumes["locked"]["exit_code"] == 8 and "inaccessible" in volumes["locked"]["error"]
    assert volumes["gone"]["exit_code"] == 1 and volumes["gone"]["next"]
    assert counts["failed"] == 2
    result = fleet.ctl("rotate", "--all", check=False)
    assert result.returncode == 1 and "\r" not in result.stderr  # no progress but on a terminal
    assert "6 volumes: 0 rotated, 3 had the key already, 0 left pinned, 1 not formatted, 2 failed" in result.stdout


def test_a_vault_that_is_away_is_asked_once(fleet):
    fleet.first.format()
    for n in range(30):
        fleet.copy(f"v{n}")
    fleet.new_version()
    fleet.vault.kill()
    code, counts, volumes = fleet.rotate()
    assert code == 8 and counts == {"failed": 31}
    assert {v["exit_code"] for v in volumes.values()} == {8}
    fleet.vault.start(listen=fleet.vault.address)
    assert fleet.rotate("--retire")[:2] == (0, {"rotated": 31})
    assert [s["state"] for s in fleet.first.ctl_json("header", "dump", "v3")["slots"]] == ["active"]


def test_what_is_pinned_is_left_alone(fleet):
    fleet.first.format()
    old = fleet.slot(fleet.first.name)
    for name in "pinned", "mounted", "free":
        fleet.format(name)
    fleet.mount("mounted")
    fleet.new_version()
    # The version that it has already is a choice, too, once there is a newer one.
    assert fleet.rotate("--to", old)[:2] == (0, {"current": 4})
    text = fleet.ctl("rotate", "--all", "--to", old).stdout
    assert text.count(f": pinned to {old}, not the newest version (--unpin)") == 4, text
    for name in "free", fleet.first.name:
        fleet.ctl("rotate", name, "--unpin")
    new = fleet.slot("free")
    assert new != old
    code, counts, volumes = fleet.rotate()
    assert (code, counts) == (0, {"current": 2, "pinned": 2}), volumes
    assert {fleet.slot(name) for name in ("pinned", "mounted")} == {old}
    text = fleet.ctl("rotate", "--all").stdout
    assert f"pinned: pinned to {old}: left alone (--unpin)" in text and "2 left pinned" in text
    assert fleet.rotate("--unpin")[:2] == (0, {"rotated": 2, "current": 2})
    assert {fleet.slot(name) for name in fleet.names} == {new}
    assert fleet.rotate()[:2] == (0, {"current": 4})


def test_it_takes_a_name_or_all(fleet):
    assert fleet.ctl("rotate", check=False).returncode == 2
    assert fleet.ctl("rotate", "sales", "--all", check=False).returncode == 2


def test_progress_is_shown_on_a_terminal(fleet):
    fleet.first.format()
    master, terminal = os.openpty()
    result = subprocess.run([BUILD / "tdefsctl", "--config", fleet.first.config, "rotate", "--all"],
                            stderr=terminal, stdout=subprocess.PIPE, check=True, timeout=300,
                            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    os.close(terminal)
    shown = os.read(master, 4096)
    assert b"1000 volumes/s" not in shown  # its clock starts with the work
    assert b"rotating 100% (1 of 1 volumes), " in shown and b" volumes/s, 0:00:00 left, 0 rotated, 0 failed" in shown
    os.close(master)
    assert b"1 volumes: 0 rotated, 1 had" in result.stdout
