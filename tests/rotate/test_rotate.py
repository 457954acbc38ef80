# SPDX-License-Identifier: Apache-2.0
"""Another TDE protector for a volume, mounted or not: which key counts then, and what is refused."""

import json
import os
import shutil

from conftest import SANITIZED, Volume, is_mounted, wait_for
from engines import SQLite

DATA = b"written under the first key\n"


def headers(v):
    return [(v.backing / ".tdefs" / name).read_bytes() for name in ("header", "header.bak")]


def slots(v, where=None):
    found = v.ctl_json("header", "dump", str(where or v.name))["slots"]
    return [(s["state"], s["kid"]) for s in found]


def rotate(v, *args, name=None):
    """What it answers; it must do it."""
    result = v.ctl("--json", "rotate", name or v.name, *args, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


def refused(v, code, *texts, verb=("rotate",), name=None):
    """It says why with this exit code, and what it left of the header is every byte."""
    before = headers(v)
    result = v.ctl(verb[0], name or v.name, *verb[1:], check=False)
    assert result.returncode == code, result.stdout + result.stderr
    for text in (*texts, "  next: "):
        assert text in result.stderr, result.stderr
    assert headers(v) == before


def new_version(v):
    """Another version of the key; the kid of the one before."""
    was = v.active_kid()
    v.vault.command("key", "create", "tde")
    return was


def set_enabled(v, kid, enabled):
    name = kid.removeprefix(f"{v.vault.url}/keys/")
    v.vault.command("key", "enable" if enabled else "disable", name)


def events(v, name):
    return [e for e in v.events() if e["event"] == name]


def test_a_new_version_and_the_probe_follows_it(make_volume_in):
    v = make_volume_in()
    (v.mount_point / "f").write_bytes(DATA)
    old = new_version(v)
    answer = rotate(v)
    assert answer["rotated"] and not answer["retired"]
    assert answer["before"]["kid"] == old != answer["after"]["kid"] == v.active_kid()
    assert slots(v).count(("previous", old)) == 1 and len(slots(v)) == 2
    status = v.status()
    assert status["protector"]["kid"] == answer["after"]["kid"]
    assert status["header_sequence"] == 2 and not status["protector_drift"]
    assert not rotate(v)["rotated"]  # it is the newest
    wait_for(lambda: events(v, "rotated"), "the event")
    assert events(v, "rotated")[0]["before"]["kid"] == old
    # The old version means nothing any more, the new one all.
    set_enabled(v, old, False)
    v.answers("granted")
    v.answers("granted")
    assert v.now() == "online"
    set_enabled(v, answer["after"]["kid"], False)
    v.reach("inaccessible", "denied")
    refused(v, 8, "no rotation while it is inaccessible")
    set_enabled(v, answer["after"]["kid"], True)
    v.reach("online")
    v.remount()
    assert (v.mount_point / "f").read_bytes() == DATA
    assert rotate(v, "--retire")["retired"]
    assert slots(v) == [("active", answer["after"]["kid"])]


def test_between_kinds_of_key_and_back(make_volume_in, directory):
    v = make_volume_in()
    (v.mount_point / "f").write_bytes(DATA)
    remote, first = v.kid, v.active_kid()
    pem = directory / "new.pem"
    Volume.make_key(pem)
    refused(v, 2, "is not its configured protector", "linked", verb=("rotate", "--to", f"file:{pem}"))
    refused(v, 7, "is not among allowed_vaults",
            verb=("rotate", "--to", "https://elsewhere.test/keys/tde"))
    v.kid = f"file:{pem}"
    v.write_config(linked=remote)
    assert "protector" in v.ctl("reload", v.name).stdout  # noted, and nothing else
    assert v.status()["protector_drift"]
    assert "tdefs_protector_drift{volume=\"sales\"} 1\n" in v.ctl("metrics", v.name).stdout
    assert "  drift      tdefs.conf names another protector" in v.ctl("status", v.name).stdout
    assert rotate(v)["after"]["kid"] == v.kid
    assert not v.status()["protector_drift"]
    assert "nothing has changed" in v.ctl("reload", v.name).stdout
    v.vault.kill()  # nobody needs it any more
    v.answers("granted")
    v.remount()
    assert (v.mount_point / "f").read_bytes() == DATA
    # And back, unmounted: the file opens it as a linked key. Before that a mount does, too.
    v.vault.start(listen=v.vault.address)
    v.kid = remote
    v.write_config(linked=f"file:{pem}")
    v.remount()
    assert v.status()["protector_drift"]
    v.unmount()
    assert rotate(v, "--retire")["after"]["kid"] == first
    pem.unlink()
    v.mount()
    assert (v.mount_point / "f").read_bytes() == DATA


def test_refusals_change_nothing(make_volume_in):
    v = make_volume_in()
    new_version(v)
    v.ctl("lock", v.name)
    refused(v, 8, "no rotation while it is inaccessible")
    v.unmount()
    refused(v, 4, "it is locked")
    v.mount_inaccessible("locked")
    v.ctl("resume", v.name)
    v.reach("online")
    assert "error" in v.control("rotate", to=5 * "x" * 200)
    v.vault.kill()
    refused(v, 8)
    wait_for(lambda: events(v, "rotation_failed"), "the event")
    v.unmount()
    refused(v, 8)
    v.vault.start(listen=v.vault.address)
    refused(v, 2, "rewrap needs --to", verb=("rewrap",))
    assert rotate(v)["rotated"]
    # Who puts the header of before back is found out, as at a mount.
    v.mount()
    refused(v, 1, "it is mounted", verb=("rewrap", "--to", v.kid))


def test_a_backup_is_rewrapped_by_its_previous_slot(make_volume_in, directory):
    v = make_volume_in()
    (v.mount_point / "f").write_bytes(DATA)
    old = new_version(v)
    lost = rotate(v)["after"]["kid"]
    v.unmount()
    copy = directory / "copy"
    shutil.copytree(v.backing, copy)
    v.vault.command("key", "create", "tde")
    set_enabled(v, lost, False)
    to = ("--to", v.kid)
    result = v.ctl("rewrap", str(copy), *to, check=False)
    assert result.returncode == 1 and "disabled" in result.stderr.lower(), result.stderr
    answer = json.loads(v.ctl("--json", "rewrap", str(copy), *to, "--from-previous").stdout)
    assert answer["before"]["kid"] == lost and answer["after"]["kid"] not in (old, lost)
    assert slots(v, copy)[0][0] == "previous" and len(slots(v, copy)) == 3
    assert events(v, "rotated")[-1]["from_previous"] is True
    # Of two previous slots the first is of a key that is lost, too.
    third = next(kid for state, kid in slots(v, copy) if state == "active")
    set_enabled(v, third, False)
    set_enabled(v, old, False)
    set_enabled(v, lost, True)
    v.vault.command("key", "create", "tde")
    answer = json.loads(v.ctl("--json", "rewrap", str(copy), *to, "--from-previous").stdout)
    assert answer["before"]["kid"] == third and answer["after"]["kid"] not in (old, lost, third)
    assert ("previous", lost) in slots(v, copy) and ("previous", old) not in slots(v, copy)
    # The copy stands in for the volume.
    shutil.rmtree(v.backing)
    copy.rename(v.backing)
    v.mount("--accept-header")
    assert (v.mount_point / "f").read_bytes() == DATA


def test_a_daemon_killed_at_any_moment_leaves_a_header_that_opens(make_volume_in):
    v = make_volume_in()
    (v.mount_point / "f").write_bytes(DATA)
    for n in range(4 if SANITIZED else 10):
        old = new_version(v)
        before = len(v.vault.audit())
        ctl = v.start_ctl("rotate", v.name)
        # After so many more questions to the vault; a rotation has some ten.
        wait_for(lambda: ctl.poll() is not None or len(v.vault.audit()) >= before + 2 * n, "questions")
        v.kill_daemon()
        ctl.communicate()
        v.unmount_dead()
        assert slots(v).count(("active", old)) == 1 or ("previous", old) in slots(v)
        v.mount()
        assert v.now() == "online" and (v.mount_point / "f").read_bytes() == DATA
        rotate(v)


def test_under_load_and_remounted(make_volume_in):
    v = make_volume_in()
    for n in range(3):
        engine = SQLite(v.mount_point)
        if n == 0:
            engine.create()
        engine.start_load(n)
        try:
            for _ in range(4):
                engine.await_commits(5)
                old = new_version(v)
                assert rotate(v)["before"]["kid"] == old
            engine.await_commits(5)
        finally:
            engine.kill()
        v.remount()
        engine.check()
    assert is_mounted(v.mount_point) and os.listdir(v.mount_point)
