# SPDX-License-Identifier: Apache-2.0
"""
Every cause that takes the key away, and one engine at work through it, by turns: what happens, what
users get, how it comes back. Every engine through every cause: test_all.py.
"""

import contextlib
import os
import resource
import signal
from pathlib import Path

import pytest
from causes import CAUSES, DENY_AFTER, HEAL_WINDOW, READ_ONLY_AFTER
from conftest import process_is_gone, wait_for
from guard_kit import MARKER, error_of
from loaded import ENGINES
from through import through
from users import READ_ONLY, refused

PAIRS = [(cause, ENGINES[i % len(ENGINES)]) for i, cause in enumerate(CAUSES)]


@pytest.mark.parametrize("cause,engine", PAIRS, ids=[f"{c.name}-{e}" for c, e in PAIRS])
def test_cause(scene, directory, cause, engine):
    through(scene, directory, cause, engine)


def test_commands_and_opens_in_an_outage(scene):
    v = scene.mount()
    path = v.mount_point / "f"
    path.write_bytes(MARKER)
    v.vault.kill()
    v.answers("unreachable")
    access = v.status()["key_access"]
    assert access["next_step"] and 0 < access["seconds_until_read_only"] < READ_ONLY_AFTER
    assert access["seconds_until_read_only"] < access["seconds_until_denied"] < DENY_AFTER
    scene.world.pass_time(READ_ONLY_AFTER)
    v.reach("read-only", "outage")
    assert v.ctl("status", v.name, check=False).returncode == 3
    assert error_of(os.open, path, os.O_WRONLY | os.O_TRUNC) == "EROFS"
    os.close(os.open(path, os.O_RDWR))
    scene.world.pass_time(DENY_AFTER - READ_ONLY_AFTER)
    v.reach_purged("outage")
    assert v.ctl("status", v.name, check=False).returncode == 4
    assert v.ctl("safe-to-restart", v.name, check=False).returncode == 8
    v.vault.start(listen=v.vault.address)
    v.reach("online")
    assert path.read_bytes() == MARKER
    assert v.ctl("safe-to-restart", v.name).returncode == 0


def test_denied_but_readable_for_a_while(scene):
    v = scene.mount(on_denied="read-only")
    users = scene.users()
    v.vault.command("key", "disable", "tde")
    v.reach("read-only", "denied")
    assert users.get() == READ_ONLY
    scene.world.pass_time(HEAL_WINDOW)  # denied_read_only_for is as long
    v.reach_purged("denied")
    assert users.get() == refused("EKEYREVOKED")


def test_no_core_can_be_had(scene):
    """Not even by who lifts its limit, where core_pattern names a file."""
    v = scene.mount()
    assert resource.prlimit(v.pid, resource.RLIMIT_CORE) == (0, 0)
    with contextlib.suppress(PermissionError):  # a container may forbid it
        resource.prlimit(v.pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    place = Path(os.readlink(f"/proc/{v.pid}/cwd"))
    before = set(place.glob("*core*"))
    os.kill(v.pid, signal.SIGSEGV)
    wait_for(lambda: process_is_gone(v.pid), "the daemon to be gone")
    v.pid = None
    v.unmount_dead()
    assert set(place.glob("*core*")) == before
