# SPDX-License-Identifier: Apache-2.0
"""Copies of a volume: how they are taken, restored, proved, and mounted beside the original."""

import json
import os
import threading

import pytest
from conftest import MAPPING_MODES, is_mounted, run, wait_for
from engines import Load, PostgreSQL, SQLite, give_to
from guard_kit import error_of

DATA = b"held until the thaw\n"


def tree(path):
    """Every byte and every change of the backing, but for when it was read."""
    found = {}
    for at, _, names in os.walk(path):
        for name in [".", *names]:
            p = os.path.join(at, name)
            st = os.lstat(p)
            found[p] = (st.st_ino, st.st_mode, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
    return found


def in_thread(function, *args):
    """Run it beside the test: the list that will have the error's name or None, and the thread."""
    answer = []
    thread = threading.Thread(target=lambda: answer.append(error_of(function, *args)), daemon=True)
    thread.start()
    return answer, thread


def held(v):
    return v.control("status")["freeze"]["held"]


def freeze(v, time="60s"):
    result = json.loads(v.ctl("--json", "freeze", v.name, "--for", time).stdout)
    assert result["frozen"]
    return result


def events(v, name):
    return [e for e in v.events() if e["event"] == name]


def changes(mount):
    """One of each kind of change, each in a directory of its own: the kernel lets one at a time into each."""
    d = [mount / str(n) for n in range(10)]
    return [lambda: (d[0] / "old").write_bytes(DATA), lambda: (d[1] / "new").write_bytes(DATA),
            lambda: (d[2] / "directory").mkdir(), lambda: (d[3] / "old").unlink(),
            lambda: os.rename(d[4] / "old", d[4] / "to"), lambda: os.link(d[5] / "old", d[5] / "twin"),
            lambda: os.symlink("x", d[6] / "link"), lambda: os.truncate(d[7] / "old", 3),
            lambda: os.chmod(d[8] / "old", 0o600), lambda: os.mkfifo(d[9] / "pipe")]


@pytest.mark.parametrize("cache", MAPPING_MODES)
def test_a_freeze_holds_every_change_and_nothing_else(make_volume_in, cache):
    v = make_volume_in(cache=cache, threads=4)
    m = v.mount_point
    for n in range(10):
        (m / str(n)).mkdir()
        (m / str(n) / "old").write_bytes(b"before")
    writer = os.open(m / "1/old", os.O_RDWR)
    freeze(v)
    before = tree(v.backing)
    waiting = [in_thread(change) for change in changes(m)]
    # More of them than there are request threads; what only reads, and the control socket, go on.
    wait_for(lambda: held(v) == len(waiting), lambda: f"changes to be held: {held(v)} {[len(a) for a, _ in waiting]}", 15)
    assert v.status()["state"] == "online" and "FROZEN" in v.ctl("status", v.name).stdout
    assert os.pread(writer, 6, 0) == b"before"
    os.fsync(writer)
    assert v.control("rotate", to="")["exit_code"] == 8
    assert v.ctl("freeze", v.name, "--for", "5s", check=False).returncode == 8
    assert tree(v.backing) == before
    v.ctl("thaw", v.name)
    for answer, thread in waiting:
        thread.join(60)
        assert answer == [None]
    os.close(writer)
    assert (m / "0/old").read_bytes() == (m / "1/new").read_bytes() == DATA
    assert (m / "2/directory").is_dir() and os.listdir(m / "3") == [] and os.listdir(m / "4") == ["to"]
    assert sorted(os.listdir(m / "5")) == ["old", "twin"] and os.readlink(m / "6/link") == "x"
    assert (m / "7/old").read_bytes() == b"bef" and (m / "8/old").stat().st_mode & 0o777 == 0o600
    assert (m / "9/pipe").is_fifo()
    assert v.status()["freeze"]["ended_by"] == "thaw"
    wait_for(lambda: events(v, "thawed"), "the event")
    assert events(v, "thawed")[0]["by"] == "thaw" and events(v, "frozen")
    v.remount()
    assert (m / "1/new").read_bytes() == DATA


def test_a_freeze_ends_by_itself_and_thaw_says_so(make_volume_in):
    v = make_volume_in()
    freeze(v, "1s")
    (v.mount_point / "f").write_bytes(DATA)  # waits for the end
    late = v.ctl("thaw", v.name, check=False)
    assert late.returncode == 1 and "take it again" in late.stderr and "time" in late.stderr
    freeze(v)
    answer, thread = in_thread((v.mount_point / "g").write_bytes, DATA)
    wait_for(lambda: held(v) > 0, "a write to be held")
    v.vault.command("key", "disable", "tde")
    v.reach("inaccessible", "denied")
    thread.join(60)
    # A first denial ends it, before it is confirmed: what was held went on by the state of then.
    assert answer in ([None], ["EKEYREVOKED"]) and v.status()["freeze"]["ended_by"] == "state"
    v.vault.command("key", "enable", "tde")
    v.reach("online")
    freeze(v)
    v.unmount()
    assert events(v, "thawed")[-1]["by"] == "unmount"


def test_sync_and_its_refusals(make_volume_in):
    v = make_volume_in(cache="writeback")
    fd = os.open(v.mount_point / "f", os.O_RDWR | os.O_CREAT)
    try:
        os.write(fd, DATA * 1000)  # dirty in the kernel; a copy of now would lack it
        v.ctl("sync", v.name)
        assert (v.backing / "f").stat().st_size >= 4096 + len(DATA) * 1000
    finally:
        os.close(fd)
    assert v.ctl("freeze", v.name, check=False).returncode == 2
    assert v.ctl("freeze", v.name, "--for", "6m", check=False).returncode == 2
    assert v.ctl("thaw", v.name, check=False).returncode == 1
    v.ctl("lock", v.name)
    assert v.ctl("sync", v.name, check=False).returncode == 8
    v.unmount()
    assert v.ctl("sync", v.name, check=False).returncode == 5


def header(v, where=None):
    return v.ctl_json("header", "dump", str(where or v.name))


def refused(v, code, *args, program="ctl"):
    result = getattr(v, program)(*args, check=False)
    assert result.returncode == code and "  next: " in result.stderr, result.stdout + result.stderr
    return result.stderr


def test_a_header_is_put_back(make_volume_in, directory):
    v = make_volume_in()
    (v.mount_point / "f").write_bytes(DATA)
    old, new = directory / "old.header", directory / "new.header"
    v.ctl("header", "backup", v.name, old)
    assert old.read_bytes() == (v.backing / ".tdefs/header").read_bytes()
    assert old.stat().st_mode & 0o777 == 0o600
    assert "nothing is overwritten" in refused(v, 1, "header", "backup", v.name, old)
    v.vault.command("key", "create", "tde")
    v.ctl("rotate", v.name)
    v.ctl("header", "backup", v.name, new)
    assert "it is mounted" in refused(v, 1, "header", "restore", v.name, new)
    v.unmount()
    # Both copies are lost: the pin knows whose header and which it was.
    for name in ("header", "header.bak"):
        (v.backing / ".tdefs" / name).write_bytes(b"lost")
    assert "older" in refused(v, 1, "header", "restore", v.name, old)
    assert (v.backing / ".tdefs/header").read_bytes() == b"lost"
    answer = json.loads(v.ctl("--json", "header", "restore", v.name, new).stdout)
    assert answer["proved"] and (v.backing / ".tdefs" / answer["kept"]).read_bytes() == b"lost"
    v.mount()
    assert (v.mount_point / "f").read_bytes() == DATA
    v.unmount()
    # An older one, by force: the pin moves, and what was there is kept beside what was kept before.
    v.ctl("header", "restore", v.name, old, "--force")
    assert header(v)["sequence"] == 1
    assert {"header.kept-1", "header.kept-2", "header.bak.kept-1"} <= set(os.listdir(v.backing / ".tdefs"))
    v.mount()
    assert (v.mount_point / "f").read_bytes() == DATA
    assert [e["sequence"] for e in events(v, "header_restored")] == [2, 1]
    v.unmount()
    # One that no vault opens now is put back by force only, and said to be unproved.
    version = v.active_kid().removeprefix(f"{v.vault.url}/keys/")
    v.vault.command("key", "disable", version)
    assert "--force" in refused(v, 1, "header", "restore", v.name, old)
    assert "without proof" in v.ctl("header", "restore", v.name, old, "--force").stdout
    v.vault.command("key", "enable", version)
    v.mount()


def test_a_vault_that_is_not_reached_is_tried_again(make_volume_in, directory):
    v = make_volume_in()
    v.ctl("header", "backup", v.name, directory / "h")
    v.unmount()
    v.vault.stop()
    proof, thread = in_thread(refused, v, 8, "restore-proof", v.name)  # each waits for the vault
    assert "--force" in refused(v, 8, "header", "restore", v.name, directory / "h")
    assert "header.kept-1" not in os.listdir(v.backing / ".tdefs")
    thread.join(120)
    assert proof == [None]


def test_what_only_force_passes_over(make_volume_in, directory):
    v, fork = make_volume_in(), directory / "fork"
    v.ctl("header", "backup", v.name, directory / "one")
    v.unmount()
    copy_by("cp", v.backing, fork)
    for n, where in enumerate((fork, v.name)):  # each on its own: two headers of one age
        v.vault.command("key", "create", "tde")
        v.ctl("rewrap", str(where), "--to", v.kid)
        v.ctl("header", "backup", str(where), directory / f"two{n}")
    assert "rotated on its own" in refused(v, 1, "header", "restore", v.name, directory / "two0")
    pin = v.state / f"{v.name}.pin"
    good = pin.read_text()
    pin.write_text("damaged")
    assert "its pin is damaged" in refused(v, 1, "header", "restore", v.name, directory / "two1")
    pin.write_text("uuid " + ("1" if good[5] == "0" else "0") + good[6:])
    assert "another volume's" in refused(v, 1, "header", "restore", v.name, directory / "two1")
    pin.write_text(good)
    # Of two copies that differ, and of the second when the first is gone, none is lost.
    tdefs = v.backing / ".tdefs"
    (tdefs / "header").unlink()
    in_force = (tdefs / "header.bak").read_bytes()
    out = v.ctl("header", "restore", v.name, directory / "one", "--force").stdout
    assert "retired" in out and "header.bak.kept-1" in out
    assert (tdefs / "header.bak.kept-1").read_bytes() == in_force
    assert events(v, "header_restored")[-1]["older_than"] == 2


def test_no_header_of_another_volume_or_of_nobody(make_volume_in, make_volume, directory):
    v, other = make_volume_in(), make_volume("other")
    foreign, own, edited = (directory / f"{n}.header" for n in ("foreign", "own", "edited"))
    other.ctl("header", "backup", other.name, foreign)
    v.ctl("header", "backup", v.name, own)
    v.unmount()
    for force in ((), ("--force",)):
        assert "another volume's" in refused(v, 1, "header", "restore", v.name, foreign, *force)
    edited.write_bytes(own.read_bytes()[:-1])
    assert "damaged" in refused(v, 1, "header", "restore", v.name, edited)
    (v.state / f"{v.name}.pin").unlink()
    for name in ("header", "header.bak"):
        (v.backing / ".tdefs" / name).unlink()
    assert "neither a good header nor a pin" in refused(v, 1, "header", "restore", v.name, own)
    v.ctl("header", "restore", v.name, own, "--force")
    assert events(v, "header_restored")[-1]["proved"]
    v.mount()


COPIES = {"cp": ["cp", "-a"], "rsync": ["rsync", "-aS"], "tar": None}


def copy_by(how, source, target):
    target.mkdir(mode=0o700)
    if how == "tar":
        run("sh", "-c", f"tar -C {source} -cSf - . | tar -C {target} -xSf -")
    else:
        run(*COPIES[how], f"{source}/" if how == "rsync" else f"{source}/.", f"{target}/")


@pytest.mark.parametrize("how", COPIES)
def test_a_snapshot_under_load_beside_its_original(make_volume_in, directory, how):
    v = make_volume_in()
    engine = SQLite(v.mount_point)
    engine.create()
    engine.start_load(1)
    twin, twin_mount = directory / "twin", directory / "twin-mnt"
    twin_mount.mkdir()
    try:
        engine.await_commits(20)
        freeze(v)
        acked = set(engine.acked)
        copy_by(how, v.backing, twin)
        v.ctl("thaw", v.name)
        engine.await_commits(20)  # it goes on
        with open(v.config, "a", encoding="utf-8") as config:
            config.write(f"[volume twin]\nbacking = {twin}\nmount = {twin_mount}\n")
        proof = v.ctl_json("restore-proof", str(twin))
        assert proof["bad"] == [] and proof["key_used"] and proof["files"] > 0
        assert [p["kid"] for p in proof["protectors"]] == [v.active_kid()]
        assert "--accept-header" in refused(v, 1, "mount", "twin", program="tdefs")
        assert "--new-uuid" in refused(v, 1, "mount", "twin", "--accept-header", program="tdefs")
        v.tdefs("mount", "twin", "--new-uuid")
        assert header(v, twin)["uuid"] != header(v)["uuid"]
        assert header(v, twin)["key_domain_id"] == header(v)["key_domain_id"]
        assert v.status()["state"] == "online"
        copy = SQLite(twin_mount)
        copy.acked = acked
        copy.check()
        v.tdefs("unmount", "twin")
        v.tdefs("mount", "twin")  # from now on as any other
    finally:
        engine.kill()
        if is_mounted(twin_mount):
            v.tdefs("unmount", "twin")
    v.remount()
    engine.check()


@pytest.mark.unsanitized("what an engine's load adds, the others have shown")
def test_a_snapshot_under_pgbench(make_volume_in, directory):
    v = make_volume_in(cache="writeback")
    pg = PostgreSQL(v.mount_point / "data", directory / "pg").create()
    twin, twin_mount = directory / "twin", directory / "twin-mnt"
    twin_mount.mkdir()
    copy = PostgreSQL(twin_mount / "data", directory / "pg-twin", port=5998)
    copy.work.mkdir()
    copy.sockets.mkdir()
    give_to(copy.sockets, copy.user)
    try:
        pg.start_background()
        load = Load(pg, 1)
        load.await_commits(30)
        freeze(v)
        copy_by("cp", v.backing, twin)
        acked = load.acked()  # also of while it was frozen
        v.ctl("thaw", v.name)
        load.await_commits(10)
        pg.kill()
        load.finish()
        with open(v.config, "a", encoding="utf-8") as config:
            config.write(f"[volume twin]\nbacking = {twin}\nmount = {twin_mount}\n")
        v.tdefs("mount", "twin", "--new-uuid")
        (copy.data / "postmaster.pid").unlink(missing_ok=True)
        copy.start()
        assert acked <= copy.committed() and len(acked) >= 120
        copy.check()
    finally:
        pg.kill()
        copy.kill()
        if is_mounted(twin_mount):
            v.tdefs("unmount", "twin")


def test_a_copy_on_another_host(make_volume_in, directory):
    v = make_volume_in()
    (v.mount_point / "f").write_bytes(DATA)
    v.ctl("sync", v.name)
    v.vault.command("key", "disable", "tde")
    assert v.ctl("restore-proof", v.name, check=False).returncode != 0  # no key: no proof
    v.vault.command("key", "enable", "tde")
    v.reach("online")
    v.unmount()
    v.state.rename(directory / "state-of-the-first-host")
    v.state.mkdir()
    moved = directory / "moved"
    copy_by("cp", v.backing, moved)
    v.backing = moved
    v.write_config()
    assert "--accept-header" in refused(v, 1, "mount", v.name, program="tdefs")
    v.mount("--accept-header")
    assert (v.mount_point / "f").read_bytes() == DATA
