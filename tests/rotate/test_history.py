# SPDX-License-Identifier: Apache-2.0
"""A volume that has seen many protectors: its old backups, with and without their keys; all kinds under load."""

import re
import shutil

from conftest import Volume, wait_for
from engines import SQLite

ROTATIONS = 5


def set_enabled(v, kid, enabled):
    v.vault.command("key", "enable" if enabled else "disable", kid.removeprefix(f"{v.vault.url}/keys/"))


def take(v, protector):
    """Rotate to the newest version of this key, as README says; what was the protector is linked."""
    before, v.kid = v.kid, protector
    v.write_config(linked=before if before != protector else None)
    answer = v.ctl_json("rotate", v.name)
    assert answer["rotated"], answer
    return answer["after"]["kid"]


def new_key(v, directory, n):
    """Another version of the first key, another key, and another kind of key, in turn."""
    if n % 3 == 2:
        pem = directory / f"key{n}.pem"
        Volume.make_key(pem)
        return f"file:{pem}"
    name = "tde" if n % 3 == 0 else f"tde{n}"
    v.vault.command("key", "create", name)
    v.vault.command("grant", v.identity.name, name, "get,wrapKey,unwrapKey")
    return f"{v.vault.url}/keys/{name}"


def restore(v, backup):
    if v.pid:
        v.unmount()
    shutil.rmtree(v.backing)
    shutil.copytree(backup, v.backing)


def test_old_backups_with_and_without_their_keys(make_volume_in, directory):
    v = make_volume_in()
    kids, backups = [v.active_kid()], []
    for n in range(ROTATIONS + 1):
        (v.mount_point / f"f{n}").write_text(f"of generation {n}\n")
        v.ctl("sync", v.name)
        backups.append(directory / f"backup{n}")
        shutil.copytree(v.backing, backups[-1])
        if n < ROTATIONS:
            kids.append(take(v, new_key(v, directory, n)))
    # No key was used twice, and the newest header needs none of those of before.
    assert len(set(kids)) == ROTATIONS + 1
    v.write_config(linked=None)
    v.remount()
    assert len(list(v.mount_point.iterdir())) == ROTATIONS + 1

    for n, backup in enumerate(backups[:-1]):
        restore(v, backup)
        v.write_config(linked=None)
        if not kids[n].startswith(f"{v.kid}/"):  # a version of today's protector needs no more
            refused = v.tdefs("mount", v.name, "--accept-header", check=False)
            assert refused.returncode != 0 and "  next: " in refused.stderr, refused.stderr
            for slot in v.ctl_json("header", "dump", v.name)["slots"]:
                what = rf"{slot['state']}: thumbprint {slot['thumbprint']}, in use \d.* UTC to .*, {slot['kid']}"
                assert re.search(what, refused.stderr), refused.stderr
            assert "tdefsctl link" in refused.stderr and kids[n] in refused.stderr, refused.stderr
            v.write_config(linked=kids[n])
        # Its key is disabled: that is final, whatever else is linked; and it is back.
        if kids[n].startswith("https:"):
            set_enabled(v, kids[n], False)
            v.tdefs("mount", v.name, "--accept-header")
            v.pid = v.status()["pid"]
            v.reach("inaccessible", "denied")
            assert (v.ctl("status", v.name, check=False)).returncode == 4
            v.unmount()
            set_enabled(v, kids[n], True)
        v.mount("--accept-header")
        v.reach("online")
        found = sorted(p.read_text() for p in v.mount_point.iterdir())
        assert found == [f"of generation {i}\n" for i in range(n + 1)]
        # Now that it runs here, it gets today's protector, and needs its old key no more.
        assert v.ctl_json("rotate", v.name, "--retire")["after"]["kid"] == kids[-1]
        v.write_config(linked=None)
        v.remount()


def test_all_kinds_of_key_in_turn_under_load(make_volume_in, directory):
    v = make_volume_in()
    engine = SQLite(v.mount_point).create()
    engine.start_load(0)
    try:
        for n in range(6):
            kid = take(v, new_key(v, directory, n + 1))
            assert v.status()["protector"]["kid"] == kid and not v.status()["protector_drift"]
            engine.await_commits(5)
            v.answers("granted")  # by that key
    finally:
        engine.kill()
    v.kill_daemon()
    v.unmount_dead()
    v.mount()
    wait_for(lambda: v.now() == "online", "the volume")
    engine.check()
