# SPDX-License-Identifier: Apache-2.0
"""Sides: directories to measure in, all kept on one file system."""

import os
import shutil
import subprocess
from pathlib import Path

from conftest import BUILD, Volume, is_mounted, run, wait_for

from .programs import measured

# tdefs as it comes, in each cache mode, and with whatever else --side names.
OURS = {
    "tdefs": {},
    "tdefs-write-through": {"cache": "write-through"},
    "tdefs-writeback": {"cache": "writeback"},
}
RING = "tdefs-io_uring"
PEERS = ("gocryptfs", "securefs", "encfs")
# libfuse's own example, which encrypts nothing and checks nothing: what a FUSE mount itself costs.
PASSTHROUGH = "passthrough"
EXAMPLE = Path("/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c")
OTHERS = (PASSTHROUGH, *PEERS)


def for_each_file(top, do):
    for path in top.rglob("*"):
        if path.is_file() and not path.is_symlink():
            fd = os.open(path, os.O_RDONLY)
            try:
                do(fd)
            finally:
                os.close(fd)


class Plain:
    """The backing directory itself."""

    pid = None  # of the daemon behind it

    def __init__(self, name, data, work):
        self.name, self.backing, self.work = name, data / name, work / name
        self.backing.mkdir()
        self.work.mkdir()
        self.root = self.backing

    def open(self):
        pass

    def close(self):
        pass

    def settle(self, below="."):
        """
        Put everything on disk, the mount's files below that one by one, and drop them from the
        cache; of the backing directory, where names may be others, all.
        """
        os.sync()
        for_each_file(self.root / below, os.fsync)
        os.sync()
        for top in dict.fromkeys([self.root / below, self.backing]):
            for_each_file(top, lambda fd: os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED))


class Native(Plain):
    """The backing directory, where an engine encrypts by itself: suites that know how, know it."""


class Tdefs(Plain):
    """A volume with these settings; `build` among them is the build directory of its programs."""

    def __init__(self, name, data, work, settings):
        super().__init__(name, data, work)
        build, settings = settings.get("build", BUILD), {**settings}
        settings.pop("build", None)
        self.volume = Volume(self.work, backing=self.backing, unsupported_backing="yes", **settings)
        self.volume.build = Path(build)

    def open(self):
        self.volume.format()
        self.mount()

    def mount(self):
        """Unless it is."""
        if is_mounted(self.volume.mount_point):
            self.volume.pid = self.volume.status()["pid"]
        else:
            self.volume.mount()
        self.root, self.pid = self.volume.mount_point, self.volume.pid

    def close(self):
        self.volume.close()


class Peer(Plain):
    """Another FUSE file system; in the foreground, so that its process is known."""

    COMMANDS = {
        PASSTHROUGH: ("gcc -O2 -D_FILE_OFFSET_BITS=64 {example} -I/usr/include/fuse3 -lfuse3 "
                      "-o {work}/passthrough_ll",
                      "{work}/passthrough_ll -f -o allow_other,source={backing},cache=always "
                      "{root}"),
        "gocryptfs": ("gocryptfs -init -q -scryptn 10 -passfile {key} {backing}",
                      "gocryptfs -fg -q -nosyslog -allow_other -passfile {key} {backing} {root}"),
        "securefs": ("securefs create -r 1 --keyfile {key} {backing}",
                     "securefs mount --keyfile {key} -o allow_other {backing} {root}"),
        # Made by its first mount; --public: what is created belongs to who creates it.
        "encfs": (None, "encfs --standard -S -f --public {backing} {root}"),
    }
    process = None

    def open(self):
        self.root, self.key = self.work / "mnt", self.work / "key"
        self.root.mkdir()
        self.key.write_text(os.urandom(32).hex() + "\n")
        if self.COMMANDS[self.name][0]:
            measured(*self._command(0))
        with open(self.work / "log", "wb") as log, open(self.key, "rb") as key:
            self.process = subprocess.Popen(self._command(1), stdin=key, stdout=log, stderr=log,
                                            start_new_session=True)
        wait_for(lambda: is_mounted(self.root) or self.process.poll() is not None, "the mount")
        if not is_mounted(self.root):
            raise RuntimeError((self.work / "log").read_text(errors="replace").strip())
        self.pid = self.process.pid

    def _command(self, which):
        return [word.format(key=self.key, backing=self.backing, root=self.root, work=self.work,
                            example=EXAMPLE) for word in self.COMMANDS[self.name][which].split()]

    def close(self):
        if self.process is None:
            return
        if not is_mounted(self.root):
            self.process.terminate()
        elif run("umount", self.root, check=False).returncode != 0:
            run("umount", "-l", self.root, check=False)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def has_ring():
    switch = Path("/sys/module/fuse/parameters/enable_uring")
    return switch.exists() and switch.read_text(encoding="ascii").strip() == "Y"


def all_sides(own):
    """
    {name: how to make it}, in the order of the tables. `own` are sides with settings of the
    caller's, {name: {key: value}}.
    """
    ours = {**OURS, RING: {"io_uring": "yes"}, **own}

    def tdefs(settings):
        return lambda name, data, work: Tdefs(name, data, work, settings)

    return {"plain": Plain, **{name: tdefs(settings) for name, settings in ours.items()},
            "native": Native, **dict.fromkeys(OTHERS, Peer)}


def packages_of(other):
    """The Debian packages that this side needs, and that are not there."""
    if other != PASSTHROUGH:
        return [] if shutil.which(other) else [other]
    return [package for package, there in (("gcc", shutil.which("gcc")),
                                           ("libfuse3-dev", EXAMPLE.exists())) if not there]


def missing_others():
    return {other: f"not installed (apt-get install {' '.join(packages_of(other))})"
            for other in OTHERS if packages_of(other)}
