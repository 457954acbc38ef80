# SPDX-License-Identifier: Apache-2.0
"""fio: an engine's requests without an engine, and what the daemon takes for one."""

import json
import os
import resource
from pathlib import Path

from .programs import measured
from .suite import Suite

JOBS = 4


def fio(path, size, seconds, how):
    """One run; fio's own account of its job."""
    limit = [f"--runtime={seconds}"] if "--bs=8k" in how else []
    out = measured("fio", "--name=row", f"--filename={path}", f"--size={size}M", *limit,
                   "--ioengine=psync", "--thread", "--group_reporting", "--fallocate=none",
                   "--output-format=json", *how.split())
    return json.loads(out[out.index("{"):])["jobs"][0]


READ = f"--rw=randread --bs=8k --numjobs={JOBS} --size=25% --offset_increment=25%"
WRITE = "--rw=randwrite --bs=8k --norandommap --time_based"
SYNCED = f"{WRITE} --fdatasync=1"
WRITE_ALL = "--rw=write --bs=1M --end_fsync=1"


class Fio(Suite):
    """Pages of a database at random, by several threads; a log's, and long requests, by one."""

    name = "fio"
    needs = {"fio": "fio"}
    rows = {
        "randread 8k direct": ("IOPS", f"{READ} --direct=1"),
        "randread 8k buffered": ("IOPS", READ),
        "randwrite 8k direct": ("IOPS", f"{WRITE} --numjobs={JOBS} --direct=1"),
        "randwrite 8k buffered": ("IOPS", f"{WRITE} --numjobs={JOBS}"),
        "randwrite 8k fdatasync": ("IOPS", SYNCED),
        "read 1M": ("MiB/s", "--rw=read --bs=1M"),
        "write 1M": ("MiB/s", WRITE_ALL),
    }

    def __init__(self, options):
        self.size, self.seconds = options.size, max(1, options.seconds // 2)

    def prepare(self, side):
        super().prepare(side)
        fio(side.root / "fio/data", self.size, self.seconds, WRITE_ALL)

    def measure(self, side, row):
        unit, how = self.rows[row]
        path = side.root / "fio" / ("new" if row == "write 1M" else "data")
        (side.root / "fio/new").unlink(missing_ok=True)
        side.settle()
        try:
            done = fio(path, self.size, self.seconds, how)["read" if "read" in row else "write"]
        finally:
            side.settle()
        return done["iops"] if unit == "IOPS" else done["bw_bytes"] / 2**20


def cpu_seconds(pid):
    """User and system time of a process, of threads that ended, too."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    user, system = stat.rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def memory(pid, which):
    """Rss or Locked of a process, in MiB: what is there (VmLck counts all that might be)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{which}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no {which}")


class Daemon(Suite):
    """What the process behind a mount takes: for one request, and for open files."""

    name = "daemon"
    needs = {"fio": "fio"}
    WORK = {
        "CPU of an 8k read": f"{READ} --direct=1",
        "CPU of an 8k write, fdatasync": SYNCED,
    }

    def __init__(self, options):
        self.size, self.seconds, self.files = options.size, max(1, options.seconds // 2), options.files
        self.rows = {
            **{name: ("µs",) for name in self.WORK},
            f"resident memory, {self.files} open files": ("MiB", "Rss"),
            f"locked memory, {self.files} open files": ("MiB", "Locked"),
        }

    @staticmethod
    def applies(side):
        return side.pid is not None

    def set_up(self, data, work, sides):
        """As many files open at once as there may be: ours, and so the daemon's."""
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def prepare(self, side):
        super().prepare(side)
        (side.root / "daemon/fio").mkdir()
        (side.root / "daemon/many").mkdir()
        fio(side.root / "daemon/fio/data", self.size, self.seconds, WRITE_ALL)
        for n in range(self.files):  # each with something in it, and so a key of its own
            (side.root / f"daemon/many/{n}").write_bytes(b"x" * 512)

    def measure(self, side, row):
        if row in self.WORK:
            return self._cpu(side, self.WORK[row])
        return self._open(side, self.rows[row][1])

    def _cpu(self, side, how):
        side.settle("daemon/fio")
        before = cpu_seconds(side.pid)
        job = fio(side.root / "daemon/fio/data", self.size, self.seconds, how)
        requests = job["read"]["total_ios"] + job["write"]["total_ios"]
        return (cpu_seconds(side.pid) - before) / requests * 1e6

    def _open(self, side, which):
        opened = []
        try:
            for n in range(self.files):
                opened.append(os.open(side.root / f"daemon/many/{n}", os.O_RDWR))
                os.pread(opened[-1], 16, 0)
            return memory(side.pid, which)
        finally:
            for fd in opened:
                os.close(fd)
