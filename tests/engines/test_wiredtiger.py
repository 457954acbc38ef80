# SPDX-License-Identifier: Apache-2.0
"""
WiredTiger, MongoDB's storage engine, on a volume, opened and written as mongod does (wiredtiger_load.c):
journal, checkpoints, mappings, kills, and every document it acknowledged. mongod itself is not in Debian.
"""

import pytest
from conftest import CACHE_MODES, run
from documents import CARD
from engines import WiredTiger

KILLS = 2


def files_with(text, directory, names="*"):
    found = (p for p in directory.rglob(names) if p.is_file())
    return [p.name for p in found if text.encode() in p.read_bytes()]


@pytest.mark.parametrize("cache", [*CACHE_MODES, "direct-logs"])
def test_documents_are_kept_and_not_told(make_volume, cache):
    v = make_volume(cache=cache)
    db = WiredTiger(v.mount() / "db").create()
    try:
        db.start_load(1)
        db.await_commits(300)
        second = run(db.PROGRAM, "check", db.data, check=False)
        assert second.returncode == 1 and "already being managed by another process" in second.stderr
        db.stop()
    finally:
        db.kill()
    db.verify()
    v.remount()
    db.check()
    # Snappy leaves it where it comes first in a page; the index is not compressed at all.
    assert {"collection.wt", "index.wt"} <= set(files_with(CARD, db.data, "*.wt"))
    assert files_with(CARD, v.backing) == []
    v.unmount()
    assert v.ctl("verify", v.name).returncode == 0


@pytest.mark.parametrize("victim", ["engine", "tdefs"])
@pytest.mark.parametrize("cache", ["write-through", "writeback", "direct-logs"])
def test_killed_in_mid_load(make_volume, cache, victim):
    v = make_volume(cache=cache)
    db = WiredTiger(v.mount() / "db").create()
    db.killed_in_mid_load(v, victim, KILLS, commits=(20, 400))
