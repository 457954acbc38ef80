# SPDX-License-Identifier: Apache-2.0
"""A protector that is rotated all the time beneath PostgreSQL: no client notices, nothing is lost."""

import re
import subprocess

import loaded
from conftest import wait_for
from engines import PG_BIN, as_user

SECONDS = 60
FEWEST = 2  # rotations in that time, however slow the machine


def pgbench(engine):
    """Of its own, as it tells of errors at its end."""
    return subprocess.Popen([*as_user(engine.user), str(PG_BIN / "pgbench"), "-h", str(engine.sockets), "-p",
                             str(engine.port), "-c", "4", "-T", str(SECONDS), "-n", "postgres"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def rotate(v):
    """To a version that is made for it, by the daemon; the kid of before."""
    before = v.control("status")["protector"]["kid"]
    v.vault.command("key", "rotate", "tde")
    number = v.control("rotate")["rotation"]

    def done():
        last = v.control("status")["rotation"]
        return last["number"] == number and not last["busy"] and last

    last = wait_for(done, "the rotation")
    assert last["rotated"] and last["error"] is None and last["before"]["kid"] == before
    assert last["after"]["kid"] != before
    return before


def test_rotation_each_second_under_pgbench(make_volume_in, directory):
    v = make_volume_in()
    work = loaded.create("postgresql", v.mount_point, directory)
    work.begin()
    clients = pgbench(work.engine)
    try:
        kids = []
        while clients.poll() is None:
            kids.append(rotate(v))
            work.await_commits(2)
        told = clients.stdout.read()
    finally:
        clients.kill()
        clients.communicate()
    assert clients.returncode == 0, told
    assert re.search(r"number of failed transactions: 0 ", told), told
    assert len(set(kids)) == len(kids) >= FEWEST
    assert v.control("status")["alarms"] == []
    # Everything is killed with a rotation under way.
    v.vault.command("key", "rotate", "tde")
    assert "rotation" in v.control("rotate")
    v.kill_daemon()
    work.halt()
    v.vault.kill()
    v.vault.start(listen=v.vault.address)
    v.unmount_dead()
    v.mount()
    assert v.now() == "online"
    work.recover()
    work.check()
