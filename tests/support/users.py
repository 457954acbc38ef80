# SPDX-License-Identifier: Apache-2.0
"""Who uses a volume while its key is lost: a reader, a writer, a mapping, somebody who deletes."""

import os

from guard_kit import MARKER, Reader, error_of

PAGE = MARKER * 1000
NOBODY = 65534
ALL_WORKS = {"reader": None, "writer": None, "mapping": None, "rm": None}
READ_ONLY = {"reader": None, "writer": "EROFS", "mapping": None, "rm": "EROFS"}


def refused(error):
    return {"reader": error, "writer": error, "mapping": "SIGBUS", "rm": error}


class Users:
    """Each has something of its own in `place`, a directory of the volume, and has it open."""

    def __init__(self, place):
        self.place = place
        self.fds, self.mapping = (), None
        place.parent.chmod(0o755)
        place.mkdir()
        place.chmod(0o777)
        self.path("read").write_bytes(PAGE)
        self.path("map").write_bytes(PAGE)
        self.path("write").write_bytes(bytes(len(PAGE)))
        self.open()

    def path(self, name):
        return self.place / name

    def open(self):
        self.fds = os.open(self.path("read"), os.O_RDONLY), os.open(self.path("write"), os.O_RDWR)
        self.mapping = Reader(self.path("map"))
        # To be deleted, by somebody who is not root: root may, in Azure SQL and here.
        self.path("victim").touch()
        os.chown(self.path("victim"), NOBODY, NOBODY)

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = ()
        if self.mapping:
            self.mapping.close()
            self.mapping = None

    def get(self):
        """What each gets: None, or the name of an error or a signal."""
        return {"reader": self._read(), "writer": self._write(), "mapping": self._look(), "rm": self._remove()}

    def _read(self):
        error = error_of(os.pread, self.fds[0], len(PAGE), 0)
        assert error or os.pread(self.fds[0], len(PAGE), 0) == PAGE
        return error

    def _write(self):
        error = error_of(os.pwrite, self.fds[1], PAGE, 0)
        return error or error_of(os.fsync, self.fds[1])

    def _look(self):
        seen = self.mapping.look()
        assert not isinstance(seen, bytes) or seen == PAGE[:16]
        return None if isinstance(seen, bytes) else seen.name

    def _remove(self):
        """The victim is there again afterwards."""
        pipe, end = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setuid(NOBODY)
                os.write(end, (error_of(os.unlink, self.path("victim")) or "").encode())
            finally:
                os._exit(0)
        os.close(end)
        os.waitpid(child, 0)
        with open(pipe, encoding="ascii") as answer:
            error = answer.read() or None
        if error is None:
            self.path("victim").touch()
            os.chown(self.path("victim"), NOBODY, NOBODY)
        return error

    def mapping_again(self):
        """The process that touched a mapped page is gone; another one."""
        self.mapping.close()
        self.mapping = Reader(self.path("map"))
