# SPDX-License-Identifier: Apache-2.0
"""The daemon dies in mid-load: what an fsync promised of pages overwritten over and over is there."""

import os
import random
import struct
import threading

import pytest
from conftest import CACHE_MODES, SANITIZED, wait_for

PAGE, PAGES, BLOCK = 16384, 400, 4096
ROUNDS = 2 if SANITIZED else 6


def page(number, version):
    """Each block of it says which page and version it is of, from end to end."""
    return struct.pack("<QQ", number, version) * (PAGE // 16)


class Pager:
    """Threads that overwrite pages, and one that syncs and remembers what was promised."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR)
        self.versions, self.promised = [0] * PAGES, [0] * PAGES
        self.syncs, self.stopping = 0, False
        self.threads = [threading.Thread(target=self.write, args=(i,), daemon=True) for i in range(3)]
        self.threads.append(threading.Thread(target=self.sync, daemon=True))
        for t in self.threads:
            t.start()

    def write(self, lane):
        chance = random.Random()
        while not self.stopping:
            n = chance.randrange(PAGES // 3) * 3 + lane  # one writer a page
            try:
                os.pwrite(self.fd, page(n, self.versions[n] + 1), n * PAGE)
            except OSError:
                return
            self.versions[n] += 1

    def sync(self):
        while not self.stopping:
            written = list(self.versions)
            try:
                os.fsync(self.fd)
            except OSError:
                return
            self.promised = written
            self.syncs += 1

    def end(self):
        self.stopping = True
        for t in self.threads:
            t.join()
        try:
            os.close(self.fd)
        except OSError:
            pass  # the mount is dead


def check(path, promised):
    with open(path, "rb") as f:
        for n in range(PAGES):
            data = f.read(PAGE)
            for at in range(0, PAGE, BLOCK):
                number, version = struct.unpack_from("<QQ", data, at)
                assert data[at:at + BLOCK] == page(n, version)[:BLOCK] and number == n, (n, at)
                assert version >= promised[n], f"page {n}: {version}, but {promised[n]} was synced"


@pytest.mark.parametrize("cache", CACHE_MODES)
def test_synced_overwrites_survive_the_daemon(make_volume, cache):
    v = make_volume(cache=cache)
    mnt = v.mount()
    (mnt / "f").write_bytes(b"".join(page(n, 0) for n in range(PAGES)))
    for _ in range(ROUNDS):
        pager = Pager(mnt / "f")
        goal = random.randrange(3, 40)
        wait_for(lambda p=pager, g=goal: p.syncs >= g, "pages to be synced", 120)
        v.kill_daemon()
        pager.end()
        v.unmount_dead()
        v.mount()
        check(mnt / "f", pager.promised)
        (mnt / "f").write_bytes(b"".join(page(n, 0) for n in range(PAGES)))
