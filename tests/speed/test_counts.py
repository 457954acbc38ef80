# SPDX-License-Identifier: Apache-2.0
"""
What an engine's operation costs, in requests to the daemon and in the daemon's calls of the backing
file system: these are the same on every machine, as seconds are not, and they decide the speed
(tools/bench). So are CPU instructions beside the cipher's, which valgrind counts where a virtual
machine has no counters.
"""

import os
import re
import signal
import subprocess
from dataclasses import dataclass, field

import pytest
from conftest import BUILD, run, wait_for

MIB = 1 << 20
PIECE = os.urandom(MIB)
REPEATED = 50
LATE = 3 / REPEATED  # RELEASE and FORGET are not waited for: some belong to what was before
QUIET = {"probe_interval": "5m"}  # no probe meanwhile
NO_REQUESTS = ("read_bytes", "written_bytes", "io_errors", "errors_latched", "errors_released",
               "damaged_headers")
# Of /dev/fuse, as many as requests; and what memory, locks and threads take now and then.
NOT_BACKING = re.compile(r"^(read|writev?|futex|m(un)?map|m?protect|madvise|brk|clone3?|sched_yield|"
                         r"set_robust_list|rseq|rt_sig\w+|prctl|restart_syscall|clock_nanosleep|exit|"
                         r"p?poll|epoll_\w+|getrandom|mremap|mprotect|accept4?|recv\w+|send\w+|"
                         r"getsockopt|gettid|getpid|tgkill|nanosleep)$")


@dataclass
class Cost:
    """At most so many, for one operation; what is not named: none."""

    why: str
    requests: dict
    calls: dict
    setattrs_in_writeback: int = 0  # the kernel tells the times that it kept
    calls_in_writeback: dict = field(default_factory=dict)


COSTS = {
    "commit": Cost(
        "whole sectors, of a size that stays: nothing is read, no header and no tail written again",
        {"writes": 1, "syncs": 1}, {"pwrite64": 1, "fdatasync": 1},
        setattrs_in_writeback=1),
    "cached_read": Cost("the kernel has the page", {}, {}),
    "read_mib": Cost(
        "the largest request that there is; each is one call, as sectors lie in a row behind the header",
        {"reads": 1}, {"pread64": 1}),
    "write_mib": Cost(
        "the largest request that there is; the size is in the file's length, so nothing else grows",
        {"writes": 1, "syncs": 1}, {"pwrite64": 1, "fdatasync": 1},
        setattrs_in_writeback=1),
    "replace": Cost(
        "the new name is looked up before it is made and before it is taken, the old one's inode has "
        "changed; the file's header goes before its data; a directory is opened for each request "
        "that names something in it",
        {"lookups": 2, "creates": 1, "writes": 1, "syncs": 1, "getattrs": 2, "releases": 1,
         "renames": 1, "syncdirs": 1, "forgets": 1},
        {"openat": 1, "pwrite64": 2, "fsync": 2, "renameat": 1, "lseek": 1, "newfstatat": 5,
         "name_to_handle_at": 4, "open_by_handle_at": 8, "close": 9, "setfsuid": 3, "setfsgid": 3},
        # Times are put on the disk for an fsync, and when it is closed.
        setattrs_in_writeback=3,
        calls_in_writeback={"utimensat": 3, "newfstatat": 2, "fcntl": 2, "close": 4, "open_by_handle_at": 2}),
    "look_at": Cost("nobody but this mount changes a file: attributes stay known", {}, {}),
    "reopen": Cost("its descriptor stays open", {"opens": 1, "releases": 1}, {}),
}


def commit(place):
    """A page of a file that is there, as long as it will be: a log's, a redo log's."""
    fd = os.open(place / "log", os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(fd, bytes(64 * 8192), 0)
    os.fsync(fd)
    os.pread(fd, 8192, 0)

    def again(n):
        os.pwrite(fd, bytes([n]) * 8192, 8192 * (n % 64))
        os.fdatasync(fd)
    return again, lambda: os.close(fd)


def cached_read(place):
    fd = os.open(place / "table", os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(fd, bytes(64 * 8192), 0)
    os.fsync(fd)
    os.pread(fd, 64 * 8192, 0)
    return lambda n: os.pread(fd, 8192, 8192 * (n % 64)), lambda: os.close(fd)


def read_mib(place):
    """Cold, from one end to the other, as a scan of a table does."""
    fd = os.open(place / "table", os.O_RDWR | os.O_CREAT, 0o600)
    for n in range(REPEATED + 1):
        os.pwrite(fd, PIECE, n * MIB)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def again(n):
        for part in range(0, MIB, 8192):
            os.pread(fd, 8192, n * MIB + part)
    return again, lambda: os.close(fd)


def write_mib(place):
    """Appended and synced, as a load or a dump does."""
    fd = os.open(place / "dump", os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(fd, b"x", 0)
    os.fsync(fd)

    def again(n):
        os.pwrite(fd, PIECE, n * MIB)
        os.fdatasync(fd)
    return again, lambda: os.close(fd)


def replace(place):
    """A new file put in an old one's place, durably."""
    (place / "state").write_text("0")
    directory = os.open(place, os.O_RDONLY | os.O_DIRECTORY)

    def again(n):
        fd = os.open(place / "state.new", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, bytes([n]) * 512)
        os.fsync(fd)
        os.close(fd)
        os.rename(place / "state.new", place / "state")
        os.fsync(directory)
    return again, lambda: os.close(directory)


def look_at(place):
    """What is there and is known: its attributes are the kernel's."""
    (place / "table").write_text("x")
    return lambda n: os.stat(place / "table"), lambda: None


def reopen(place):
    (place / "table").write_text("x")

    def again(_n):
        os.close(os.open(place / "table", os.O_RDWR))
    return again, lambda: None


WORK = {f.__name__: f for f in (commit, cached_read, read_mib, write_mib, replace, look_at, reopen)}


def requests(volume):
    return {k: v for k, v in volume.status()["counters"].items() if k not in NO_REQUESTS}


class Strace:
    """The daemon's system calls between two moments, by name."""

    def __init__(self, volume):
        self.out, self.said = volume.directory / "calls", volume.directory / "strace"
        with open(self.said, "w", encoding="utf-8") as said:
            self.process = subprocess.Popen(
                ["strace", "-f", "-c", "-o", self.out, "-p", str(volume.pid)],
                stdout=said, stderr=said, stdin=subprocess.DEVNULL)

    def _attached(self):
        said = self.said.read_text(encoding="utf-8")
        assert self.process.poll() is None, said
        return "attached" in said

    def __enter__(self):
        try:
            wait_for(self._attached, "strace to attach")
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()

    def calls(self):
        rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) (?: *\d+)? +(\w+)$",
                          self.out.read_text(encoding="utf-8"), re.M)
        return {name: int(n) for n, name in rows
                if name != "total" and not NOT_BACKING.match(name)}


def measured(volume, what):
    """Requests by kind and the daemon's calls by name, each for one operation."""
    place = volume.mount_point / what
    place.mkdir()
    again, end = WORK[what](place)
    try:
        again(0)
        before = requests(volume)
        with Strace(volume) as trace:
            for n in range(1, REPEATED + 1):
                again(n)
        after = requests(volume)
    finally:
        end()
    return ({k: (after[k] - before[k]) / REPEATED for k in after if after[k] != before[k]},
            {name: n / REPEATED for name, n in trace.calls().items()})


def above(found, most):
    return {name: (n, most.get(name, 0)) for name, n in found.items() if n > most.get(name, 0) + LATE}


def allowed(cost, cache):
    if cache == "write-through":
        return cost.requests, cost.calls
    more = cost.calls_in_writeback
    return ({**cost.requests, "setattrs": cost.setattrs_in_writeback},
            {name: cost.calls.get(name, 0) + more.get(name, 0) for name in {*cost.calls, *more}})


@pytest.mark.parametrize("cache", ["write-through", "writeback"])
def test_no_operation_costs_more_than_it_must(make_volume, cache):
    v = make_volume(cache=cache, **QUIET)
    v.mount()
    wrong = []
    for what, cost in COSTS.items():
        found, calls = measured(v, what)
        print(what, found, calls)
        most, most_calls = allowed(cost, cache)
        wrong += [f"{what}: {name}: {n:g}, not {bound}: {cost.why}" for name, (n, bound)
                  in {**above(found, most), **above(calls, most_calls)}.items()]
    assert not wrong, "\n".join(wrong)


def test_what_is_counted_is_what_was_done(make_volume):
    """A bound that nothing reaches would hold for a counter that is broken, too."""
    v = make_volume(cache="write-through", **QUIET)
    v.mount()
    found, calls = measured(v, "replace")
    for name in "lookups", "creates", "writes", "syncs", "releases", "renames", "syncdirs":
        assert found[name] >= 1 - LATE, found
    assert calls["renameat"] >= 1 and calls["fsync"] >= 1, calls
    before = requests(v)
    names = os.listdir(v.mount_point / "replace")
    for name in names:
        (v.mount_point / "replace" / name).unlink()
    (v.mount_point / "replace").rmdir()
    os.statvfs(v.mount_point)
    after = requests(v)
    assert after["deletes"] - before["deletes"] == len(names) + 1
    assert after["readdirs"] > before["readdirs"] and after["opens"] > before["opens"]
    assert after["others"] > before["others"]


# A page's read or write in the daemon, as a multiple of what its cipher needs.
INSTRUCTIONS = {
    "write": (1.10, "where it goes is locked, counted and written: nothing is copied or allocated"),
    "read": (1.18, "the same, and holes are looked for"),
}


def instructions(what, n):
    told = run("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
               BUILD / "tests" / "hot_path", what, str(n)).stderr
    return int(re.search(r"Collected : (\d+)", told).group(1))


def a_page(what):
    """Instructions for one more page: what begins and ends a process is left out."""
    few, many = 100, 300
    return (instructions(what, many) - instructions(what, few)) / (many - few)


def test_a_page_costs_its_cipher_and_little_else():
    cipher = a_page("cipher")
    found = {what: a_page(what) / cipher for what in INSTRUCTIONS}
    print(cipher, found)
    wrong = [f"{what}: {found[what]:.3f} of the cipher's instructions, not {most}: {why}"
             for what, (most, why) in INSTRUCTIONS.items() if found[what] > most]
    assert not wrong, "\n".join(wrong)
