# SPDX-License-Identifier: Apache-2.0
"""A volume with short timers whose key can be lost, and what users of it get meanwhile."""

import errno
import json
import mmap
import os
import signal
import socket
import subprocess
import sys

from conftest import SANITIZED, wait_for
from kv_volume import VaultVolume

PROBE, CONFIRM = 1, 1
# A vault that is only slow is no outage. Each unreachable answer takes this long, of which release has many.
PATIENCE = "15s" if SANITIZED else "4s"
TIMERS = {"probe_interval": f"{PROBE}s", "probe_timeout": PATIENCE, "denied_confirm_interval": f"{CONFIRM}s",
          "drain_timeout": "10s"}
MARKER = b"the quick brown fox of tdefs "


class GuardedVolume(VaultVolume):
    def __init__(self, directory, vault, **settings):
        super().__init__(directory, vault, **{**TIMERS, **settings})

    def now(self):
        return self.status()["state"]

    def reach(self, state, *reasons):
        """Wait until the volume is in this state, for exactly these reasons."""
        wait_for(lambda: (lambda s: (s["state"], s["reasons"]) == (state, list(reasons)))(self.status()),
                 lambda: f"{state} {reasons}; it is {self.status()}")

    def reach_purged(self, *reasons):
        self.reach("inaccessible", *reasons)
        wait_for(lambda: self.status()["key_access"]["cache_purged"], "the cache to be purged")

    def control(self, command, **more):
        """
        Ask the daemon without starting a program: a child closes the descriptors that it inherits,
        and the kernel writes a file's dirty pages at each close.
        """
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.directory / "run" / f"{self.name}.sock"))
            s.sendall(json.dumps({"command": command, **more}).encode() + b"\n")
            with s.makefile() as answer:
                return json.loads(answer.readline())

    def control_until(self, state, **access):
        def reached():
            status = self.control("status")
            return status["state"] == state and access.items() <= status["key_access"].items()

        wait_for(reached, f"{state}, {access}")

    def events(self):
        """Those of its log so far; the last line may still be on its way."""
        path = self.directory / "events" / f"{self.name}.jsonl"
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def answers(self, verdict):
        """Wait for an answer of this class that the vault gave from now on."""
        before = self.status()["key_access"]["probes"][verdict]
        wait_for(lambda: self.status()["key_access"]["probes"][verdict] > before, f"a {verdict} probe")


def error_of(function, *args):
    """The errno's name, or None."""
    try:
        function(*args)
        return None
    except OSError as e:
        return errno.errorcode[e.errno]


def touch_mapping(path):
    """What a process that reads a mapped page of the file gets: its first bytes, or a signal."""
    code = ("import mmap,sys\n"
            "f=open(sys.argv[1],'rb')\n"
            "m=mmap.mmap(f.fileno(),0,prot=mmap.PROT_READ)\n"
            "print('ready',flush=True)\n"
            "for line in sys.stdin: print(m[:16].hex(),flush=True)\n")
    return subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)


class Reader:
    """A process that has a file mapped, and reads its first page when it is asked to."""

    def __init__(self, path):
        self.process = touch_mapping(path)
        assert self.process.stdout.readline() == "ready\n"

    def look(self):
        """The bytes, or the signal that ended it."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if line:
            return bytes.fromhex(line)
        return signal.Signals(-self.process.wait())

    def close(self):
        self.process.kill()
        self.process.communicate()


def memory_of(pid):
    """All of a process's memory that can be read."""
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps:
        ranges = [line.split()[:2] for line in maps]
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for where, permissions in ranges:
            if permissions[0] != "r":
                continue
            start, end = (int(x, 16) for x in where.split("-"))
            try:
                memory.seek(start)
                yield memory.read(end - start)
            except (OSError, ValueError, OverflowError):
                pass  # [vvar] and the like


def holds(pid, needle):
    return any(needle in chunk for chunk in memory_of(pid))


def map_shared(fd, size):
    return mmap.mmap(fd, size, mmap.MAP_SHARED)


def write_all(fd, data):
    assert os.write(fd, data) == len(data)
