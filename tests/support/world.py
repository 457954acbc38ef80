# SPDX-License-Identifier: Apache-2.0
"""What a daemon sees of the world, for a test to change while it runs: names and clocks (world.c)."""

import mmap
import struct

from conftest import BUILD

HOUR = 3600


class World:
    NAME = "vault.test"

    def __init__(self, directory):
        self.path = directory / "world"
        self.path.write_bytes(bytes(mmap.PAGESIZE))
        with open(self.path, "r+b") as f:
            self.page = mmap.mmap(f.fileno(), mmap.PAGESIZE)
        self.name_is_known(True)

    def environment(self):
        return {"LD_PRELOAD": str(BUILD / "tests/libworld.so"), "TDEFS_TEST_WORLD": str(self.path)}

    def _add(self, at, seconds):
        struct.pack_into("<q", self.page, at, struct.unpack_from("<q", self.page, at)[0] + seconds)

    def pass_time(self, seconds):
        """As after a suspend: both clocks have gone on."""
        self._add(0, seconds)
        self._add(8, seconds)

    def name_is_known(self, known):
        struct.pack_into("<q", self.page, 16, int(known))

    def close(self):
        self.page.close()
