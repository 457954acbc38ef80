# SPDX-License-Identifier: Apache-2.0
"""The mount against a plain file, by random sequences of every data operation."""

import mmap
import os
import shlex
import time

import pytest
from conftest import BUILD, CACHE_MODES, SANITIZED, run

OPERATIONS = 7_000 if SANITIZED else 40_000  # for each cache mode


@pytest.mark.parametrize("cache", CACHE_MODES)
def test_random_operations_agree_with_a_plain_file(make_volume, directory, cache):
    v = make_volume(cache=cache)
    v.mount()
    (directory / "plain").mkdir()
    seed = os.environ.get("TDEFS_TEST_SEED", str(int(time.time())))
    tdefs = shlex.join([str(BUILD / "tdefs"), "--config", str(v.config)])
    remount = f"{tdefs} unmount {v.name} && {tdefs} mount {v.name}"
    print(f"TDEFS_TEST_SEED={seed}")  # shown when it fails; set it to replay
    run(BUILD / "tests/oracle", v.mount_point, directory / "plain", seed, OPERATIONS, remount,
        *(["unmapped"] if cache == "direct" else []), env=v.environment())
    v.pid = v.status()["pid"]
    v.unmount()
    assert v.ctl("verify", v.name).returncode == 0


def test_stores_beyond_the_end_through_a_mapping(make_volume):
    """
    A bug of Linux up to 7.2, without which the oracle could store there, too: bytes that were
    stored through a mapping beyond the end of a FUSE file, in its last page, show when it grows;
    POSIX wants zeros. Should this test fail, the kernel has learnt better: let the oracle do it.
    """
    v = make_volume()
    fd = os.open(v.mount() / "f", os.O_CREAT | os.O_RDWR)
    os.pwrite(fd, b"x" * 4096, 0)
    with mmap.mmap(fd, 4096) as m:
        os.ftruncate(fd, 100)
        m[200:205] = b"stale"
        os.ftruncate(fd, 4096)
        seen = os.pread(fd, 5, 200)
    os.close(fd)
    release = tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2])
    assert seen == (b"stale" if release < (7, 3) else bytes(5))
