# SPDX-License-Identifier: Apache-2.0
"""
What takes a key away, and what gives it back, against a real tdefs-vault.

A cause is lost and regained by functions of a `Scene`: a mounted volume, its vault, and the world
its daemon sees. Hours pass by its injected clock, so that nothing here depends on a machine's speed.
"""

import contextlib
import dataclasses
import itertools
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable

from conftest import BUILD, is_mounted, process_is_gone, wait_for
from guard_kit import GuardedVolume
from users import ALL_WORKS, Users
from vault_server import VaultServer
from world import HOUR, World

CONFIRMATIONS = 2
READ_ONLY_AFTER, DENY_AFTER = 4 * HOUR, 8 * HOUR  # the defaults
HEAL_WINDOW = HOUR // 2
DENIED, UNREACHABLE, LOCKED, NOTHING = "denied", "unreachable", "locked", "nothing"


class NamedVault(VaultServer):
    """A vault that its clients know by a name of World."""

    def start(self, *more, listen=None):
        return super().start("--names", World.NAME, *more, listen=listen)

    @property
    def url(self):
        return f"https://{World.NAME}:{self.address.rsplit(':', 1)[1]}"


class Scene:
    def __init__(self, directory):
        self.directory = directory
        self.world = World(directory)
        self.stack = contextlib.ExitStack()
        self.stack.callback(self.world.close)
        self.vault = self.make_vault("server")
        self.v = None
        self.serial = itertools.count()
        self.backup = self.hole = self.mounting = None  # what a cause keeps for its end

    def make_vault(self, name):
        place = self.directory / name
        place.mkdir()
        vault = NamedVault(place, "--no-purge-protection")
        self.stack.callback(vault.close)
        vault.start()
        vault.command("key", "create", "tde", "--size", "2048")
        return vault

    def mount(self, **settings):
        self.v = GuardedVolume(self.directory, self.vault, policy="require_purge_protection = no", **settings)
        self.stack.callback(self.v.close)
        self.v.more_environment = self.world.environment()
        self.v.format()
        self.v.mount()
        return self.v

    def users(self):
        made = Users(self.v.mount_point / "users")
        self.stack.callback(made.close)
        assert made.get() == ALL_WORKS
        return made

    def operator(self):
        """Somebody who may do everything."""
        return self.vault.identity(f"operator{next(self.serial)}").login()

    def unmount(self):
        """
        A killed engine's io_uring may hold its files a moment longer than the process lives. It exits 1
        when pages that were refused while it was down are lost, like those of SQLite's mapped index.
        """
        wait_for(lambda: self.v.tdefs("unmount", self.v.name, check=False) and not is_mounted(self.v.mount_point),
                 "users of the mount to let go")
        wait_for(lambda: process_is_gone(self.v.pid), "the daemon to be gone")

    def again(self):
        """A new daemon; nobody may have a file open."""
        self.unmount()
        self.v.tdefs("mount", self.v.name)
        self.v.pid = self.v.status()["pid"]

    def start_vault(self):
        self.vault.start(listen=self.vault.address)

    def close(self):
        if self.mounting and self.mounting.poll() is None:
            self.v.tdefs("unmount", self.v.name, check=False)
        if self.hole:
            self.hole.close()
        self.stack.close()


# How it is lost and regained.

def command(*args):
    return lambda s: s.vault.command(*args)


def grant(s):
    s.vault.command("grant", s.v.name, "tde", "get,wrapKey,unwrapKey")


def revoke(permission):
    return lambda s: s.vault.command("revoke", s.v.name, "tde", permission)


def purge(s):
    s.backup = s.operator().ok("POST", "/keys/tde/backup")["value"]
    s.vault.command("key", "delete", "tde")
    s.vault.command("key", "purge", "tde", "--yes")


def restore(s):
    s.operator().ok("POST", "/keys/restore", {"value": s.backup})


def remove_identity(s):
    s.vault.command("identity", "remove", s.v.name, "--yes")


def new_identity(s):
    """Another one under the same name: the daemon must be started with its secret."""
    s.v.identity = s.vault.identity(s.v.name, grant=None)
    grant(s)
    s.v.secret_file.write_text(s.v.identity.secret + "\n")
    s.v.write_config()
    s.again()


def stop(s):
    s.vault.kill()


def start(s):
    s.start_vault()


def freeze(s):
    """The kernel takes connections and requests; nothing ever answers."""
    s.vault.process.send_signal(signal.SIGSTOP)


def thaw(s):
    s.vault.process.send_signal(signal.SIGCONT)


def black_hole(s):
    """
    Nothing answers a connection's first packet: a listener's queue that is full drops it. (As nft
    would in a network namespace, but wants no privilege, and pins no mount.)
    """
    s.vault.kill()
    host, port = s.vault.address.rsplit(":", 1)
    s.hole = contextlib.ExitStack()

    def listen():
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, int(port)))
            listener.listen(0)
            return s.hole.enter_context(listener)
        except OSError:
            listener.close()
            return None

    wait_for(listen, "the vault's port")
    for _ in range(8):
        full = s.hole.enter_context(socket.socket())
        full.setblocking(False)
        full.connect_ex((host, int(port)))


def fill_hole(s):
    s.hole.close()
    s.start_vault()


def lose_name(s):
    """It goes with the connections: libcurl keeps those, and what it knows of a name for a minute."""
    s.world.name_is_known(False)
    s.vault.kill()
    s.world.pass_time(61)
    wait_for(lambda: "resolve host" in str(s.v.status()["key_access"]["last_answer"]), "the name to be forgotten",
             240)
    s.start_vault()


def find_name(s):
    s.world.name_is_known(True)


def impostor(s):
    """Somebody else at the same address, with a certificate of another authority."""
    other = s.make_vault(f"other{next(s.serial)}")
    other.kill()
    s.vault.kill()
    other.start(listen=s.vault.address)
    s.vault, s.hole = other, s.vault


def unmask(s):
    s.vault.kill()
    s.vault, s.hole = s.hole, None
    s.start_vault()


def storm(kind, value, glob="/keys/*"):
    return lambda s: s.vault.fault("add", kind, glob, *([value] if value else []))


def calm(s):
    s.vault.fault("clear")


def suspend(s):
    """It wakes after a night, and the vault went to bed, too."""
    s.vault.kill()
    s.world.pass_time(DENY_AFTER + HOUR)
    s.v.answers("unreachable")
    if s.v.now() == "online":  # an answer was on its way, and counted when it woke: another night
        s.world.pass_time(DENY_AFTER + HOUR)


def lock(s):
    s.v.control("lock")


def resume(s):
    """A moment may pass until it can be asked: the vault is busy with a probe."""
    wait_for(lambda: s.v.ctl("resume", s.v.name, check=False).returncode == 0, "resume to be obeyed")


def late(s):
    s.world.pass_time(HEAL_WINDOW + 60)


def enable_late(s):
    s.vault.command("key", "enable", "tde")
    s.v.answers("granted")
    s.v.answers("granted")
    assert s.v.now() == "inaccessible"
    assert "too old" in s.v.status()["key_access"]["next_step"]
    resume(s)


def resume_locked(s):
    s.v.answers("granted")
    s.v.answers("granted")
    assert s.v.now() == "inaccessible"
    resume(s)


def wait_at_mount(s):
    """The daemon ends while the vault is away, and the next one waits for it with the mount."""
    s.unmount()
    s.v.write_config(mount_timeout="0")
    s.mounting = s.stack.enter_context(subprocess.Popen(
        [BUILD / "tdefs", "--config", s.v.config, "mount", s.v.name], stderr=subprocess.DEVNULL,
        env={**os.environ, **s.v.environment()}))
    wait_for(lambda: s.v.status()["state"] == "waiting", "the state waiting")


def start_and_mount(s):
    s.start_vault()
    assert s.mounting.wait(120) == 0
    s.v.pid = s.v.status()["pid"]


def flap(times, period=None):
    """The vault goes and comes; without a period as soon as a probe has seen it."""

    def lose(s):
        for _ in range(times):
            if period:
                time.sleep(period)
            s.vault.kill()
            if period:
                time.sleep(period)
            else:
                s.v.answers("unreachable")
            s.start_vault()
            s.v.answers("granted")

    return lose


@dataclasses.dataclass(frozen=True)
class Cause:
    name: str
    verdict: str  # what the probes say
    lose: Callable
    regain: Callable
    meanwhile: Callable = None  # once it is down and nobody has a file open
    seen_as: str = None  # the class of the answers, if it is not the verdict
    at_once: bool = False  # it does not stop at read-only on the way
    resumed: str = None  # what an operator does to bring it back; else the probes do
    counted: bool = True  # the number of probes can be told: no new daemon in between

    @property
    def restarts(self):
        return self.meanwhile is not None or self.regain is new_identity


ENABLE, DISABLE = command("key", "enable", "tde"), command("key", "disable", "tde")

CAUSES = [
    Cause("get revoked", DENIED, revoke("get"), grant),
    Cause("unwrapKey revoked", DENIED, revoke("unwrapKey"), grant),
    Cause("wrapKey revoked", NOTHING, revoke("wrapKey"), grant),
    Cause("key disabled", DENIED, DISABLE, ENABLE),
    Cause("key deleted", DENIED, command("key", "delete", "tde"), command("key", "recover", "tde")),
    Cause("key purged", DENIED, purge, restore),
    Cause("firewall", DENIED, command("firewall", "on"), command("firewall", "off")),
    Cause("identity removed", DENIED, remove_identity, new_identity, counted=False),
    Cause("restart while denied", DENIED, DISABLE, ENABLE, meanwhile=Scene.again, counted=False),
    Cause("denied for longer than heal_window", DENIED, DISABLE, enable_late, meanwhile=late, resumed="resume"),
    Cause("locked", LOCKED, lock, resume_locked, resumed="resume"),
    Cause("restart while locked", LOCKED, lock, resume_locked, meanwhile=Scene.again, resumed="resume"),
    Cause("vault stopped", UNREACHABLE, stop, start),
    Cause("vault frozen", UNREACHABLE, freeze, thaw),
    Cause("packets lost", UNREACHABLE, black_hole, fill_hole),
    Cause("name lost", UNREACHABLE, lose_name, find_name),
    Cause("wrong certificate", UNREACHABLE, impostor, unmask),
    Cause("storm of 429", UNREACHABLE, storm("status", "429"), calm),
    Cause("storm of 503", UNREACHABLE, storm("status", "503"), calm),
    Cause("answers broken off", UNREACHABLE, storm("drop", None), calm),
    Cause("wrong plaintexts", UNREACHABLE, storm("wrong", None, "*/unwrapkey"), calm, seen_as="broken"),
    Cause("suspended, vault stopped", UNREACHABLE, suspend, start, at_once=True),
    Cause("restart while unreachable", UNREACHABLE, stop, start_and_mount, meanwhile=wait_at_mount, resumed="mount"),
    Cause("vault flapping", NOTHING, flap(3), lambda s: None),
]
FLAPPING = Cause("vault flapping for minutes", NOTHING, flap(60, 1), lambda s: None)


class Watch:
    """Looks at a volume's status all the time, so that what it did can be told by its probes."""

    def __init__(self, v):
        self.v, self.seen, self.stopping = v, [], threading.Event()
        self.began = time.monotonic()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def _look(self):
        while not self.stopping.wait(0.02):
            with contextlib.suppress(OSError, ValueError, KeyError):  # a new daemon is on its way
                status = self.v.control("status")
                self.seen.append((time.monotonic() - self.began, status["state"], status["key_access"]["probes"],
                                  status["pid"], status["key_access"]["cache_purged"]))

    def stop(self):
        self.stopping.set()
        self.thread.join()
        return self

    def first(self, condition, since=0.0):
        """Seconds until then, or None."""
        return next((at for at, *what in self.seen if at >= since and condition(*what)), None)

    def assert_counted(self, base, verdict, before, least, most):
        """
        As long as fewer than `least` probes since `base` gave this verdict the volume is as before,
        and no longer once they are `most`. (The count goes up a moment before the state changes.)
        """
        for at, state, probes, *_ in self.seen:
            new = {k: n - base[k] for k, n in probes.items()}
            if new["unreachable"] or new["broken"]:
                return  # a slow machine's timeouts
            assert state in before or new[verdict] >= least, (at, state, new)
            assert state not in before or new[verdict] < most, (at, state, new)
