# SPDX-License-Identifier: Apache-2.0
"""Sides: directories to measure in, all kept on one file system."""

import os
import subprocess

from conftest import Volume, is_mounted, run, wait_for

from .programs import measured

OURS = {"tdefs": "write-through", "tdefs-writeback": "writeback"}
PEERS = ("gocryptfs", "securefs")


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

    def __init__(self, name, data, work):
        self.name, self.backing, self.work = name, data / name, work / name
        self.backing.mkdir()
        self.work.mkdir()
        self.root = self.backing

    def open(self):
        pass

    def close(self):
        pass

    def settle(self):
        """Put everything on disk, the mount's files one by one, and drop it from the cache."""
        os.sync()
        for_each_file(self.root, os.fsync)
        os.sync()
        for top in dict.fromkeys([self.root, self.backing]):
            for_each_file(top, lambda fd: os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED))


class Tdefs(Plain):
    def __init__(self, name, data, work):
        super().__init__(name, data, work)
        self.volume = Volume(self.work, backing=self.backing, cache=OURS[name])

    def open(self):
        self.root = self.volume.format().mount()

    def close(self):
        self.volume.close()


class Peer(Plain):
    """Another encrypting FUSE file system; in the foreground, so that its process is known."""

    COMMANDS = {
        "gocryptfs": ("gocryptfs -init -q -scryptn 10 -passfile {key} {backing}",
                      "gocryptfs -fg -q -nosyslog -allow_other -passfile {key} {backing} {root}"),
        "securefs": ("securefs create -r 1 --keyfile {key} {backing}",
                     "securefs mount --keyfile {key} -o allow_other {backing} {root}"),
    }
    process = None

    def open(self):
        self.root, key = self.work / "mnt", self.work / "key"
        self.root.mkdir()
        key.write_text(os.urandom(32).hex())
        create, mount = ([word.format(key=key, backing=self.backing, root=self.root)
                          for word in line.split()] for line in self.COMMANDS[self.name])
        measured(*create)
        with open(self.work / "log", "wb") as log:
            self.process = subprocess.Popen(mount, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        wait_for(lambda: is_mounted(self.root) or self.process.poll() is not None, "the mount")
        if not is_mounted(self.root):
            raise RuntimeError((self.work / "log").read_text(errors="replace").strip())

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


SIDES = {"plain": Plain, **dict.fromkeys(OURS, Tdefs), **dict.fromkeys(PEERS, Peer)}
