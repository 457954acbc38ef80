# SPDX-License-Identifier: Apache-2.0
"""The machine that is measured on: what it is, file systems made for a run, a limit of memory."""

import contextlib
import os
import platform
import re
import subprocess
from pathlib import Path

from conftest import BUILD, LoopDisk, is_mounted, run
from engines import PG_BIN

from .programs import first_line

FILE_SYSTEMS = ("ext4", "xfs", "tmpfs")
IMAGE_MB = 64 << 10  # sparse


def libfuse_version(build=BUILD):
    """Of the shared library; a static one is in what the program says of itself."""
    try:
        linked = subprocess.run(["ldd", build / "tdefs"], capture_output=True, text=True,
                                check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    library = re.search(r"libfuse3\.so\S* => (\S+)", linked)
    return os.path.realpath(library[1]).rpartition(".so.")[2] if library else "static"


def facts(directory, used):
    """The machine, and the versions of what was used of it."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"),
                      re.MULTILINE)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    versions = {
        "fio": ("fio", "--version"),
        "pgbench": (PG_BIN / "postgres", "--version"),
        "sysbench": ("mariadbd", "--version"),
        "sqlite": ("sqlite3", "--version"),
        "native": ("dpkg-query", "-W", "-f", "${Version}\n", "sqlcipher"),
        "tdefs": (BUILD / "tdefs", "--version"),
        "gocryptfs": ("gocryptfs", "--version"),
        "securefs": ("dpkg-query", "-W", "-f", "${Version}\n", "securefs"),  # has none of its own
        "encfs": ("dpkg-query", "-W", "-f", "${Version}\n", "encfs"),
    }
    return {
        "kernel": platform.release().split("-")[0],
        "cpu": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": f"{memory / 2**30:.0f} GiB",
        "file system": first_line("findmnt", "-n", "-o", "FSTYPE", "--target", directory),
        "libfuse": libfuse_version(),
        **{name: first_line(*how) for name, how in versions.items() if name in used},
    }


@contextlib.contextmanager
def file_system(kind, directory):
    """A new file system of this kind, in an image in this directory; tmpfs is in memory."""
    place = Path(directory) / f"on-{kind}"
    disk = None
    try:
        if kind == "tmpfs":
            place.mkdir()
            run("mount", "-t", "tmpfs", "-o", "size=75%", "tdefs-bench", place)
        else:
            disk = LoopDisk(Path(directory) / f"{kind}.img", place, kind, IMAGE_MB)
            disk.mount()
        yield place
    finally:
        if is_mounted(place):
            run("umount", place)
        if disk:
            disk.image.unlink()
        place.rmdir()


def memory_controller():
    """Where cgroups that limit memory are made, and by which file; v2, or the older v1."""
    for top in Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"):
        known = top / "cgroup.controllers"
        if known.exists() and "memory" in known.read_text(encoding="ascii").split():
            (top / "cgroup.subtree_control").write_text("+memory", encoding="ascii")
            return top, "memory.max"
    top = Path("/sys/fs/cgroup/memory")
    if (top / "memory.limit_in_bytes").exists():
        return top, "memory.limit_in_bytes"
    raise RuntimeError("--memory needs a cgroup of memory: there is none beneath /sys/fs/cgroup")


def _cgroup_of_ourselves(top):
    """Where we are in this hierarchy, to return there."""
    for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
        _number, controllers, path = line.split(":", 2)
        if controllers == "" and top.name != "memory" or "memory" in controllers.split(","):
            return top / path.lstrip("/")
    return top


@contextlib.contextmanager
def limited_memory(limit):
    """
    This process, and so every daemon, engine and client that it starts, has no more memory than
    that, page cache included: what the backing's cache holds counts where the daemon runs.
    """
    top, how = memory_controller()
    before, mine = _cgroup_of_ourselves(top), top / f"tdefs-bench-{os.getpid()}"
    mine.mkdir()
    try:
        (mine / how).write_text(str(limit), encoding="ascii")
        (mine / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
        yield
    finally:
        (before / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
        mine.rmdir()
