# SPDX-License-Identifier: Apache-2.0
"""Who needs which key: what is found, what is not, and when a key may be disabled."""

import json
import os
import shutil

import pytest
from conftest import Volume, is_mounted, run


@pytest.fixture
def v(make_volume_in):
    return make_volume_in()


def ask(v, code, *args, once=False):
    """What it answers as JSON; with this exit code, as without --json."""
    result = v.ctl("--json", *args, check=False)
    assert result.returncode == code, result.stdout + result.stderr
    if once:
        return json.loads(result.stdout)
    text = v.ctl(*args, check=False)
    assert text.returncode == code, text.stdout + text.stderr
    assert "searched: the volumes of" in text.stdout
    return json.loads(result.stdout)


def protectors(v, code, *directories):
    """By path: {(state, kid): what its vault says}."""
    answer = ask(v, code, "protectors", *(f"--in={d}" for d in directories))
    return {h["path"]: {(s["state"], s["kid"]): s["key"] for s in h["slots"]} for h in answer["headers"]}


def disable_safely(v, code, key, *directories, **how):
    return ask(v, code, "safe-to-disable", key, *(f"--in={d}" for d in directories), **how)


def copy_of(v, place):
    shutil.copytree(v.backing, place, symlinks=True)
    return str(place)


def new_version(v):
    v.vault.command("key", "create", "tde")


def set_enabled(v, kid, enabled):
    v.vault.command("key", "enable" if enabled else "disable", kid.removeprefix(f"{v.vault.url}/keys/"))


def test_every_header_with_its_keys(v, directory):
    backups = directory / "backups"
    old, path = v.active_kid(), str(v.backing)
    assert protectors(v, 0) == {path: {("active", old): "granted"}}
    copy = copy_of(v, backups / "monday")
    new_version(v)
    v.ctl("rotate", v.name)
    new = v.active_kid()
    late = copy_of(v, backups / "deep" / "er" / "tuesday")
    both = {("active", new): "granted", ("previous", old): "granted"}
    # Each once, though it lies in two places that are searched; no way leads through a link.
    (backups / "link").symlink_to(v.backing)
    (directory / "elsewhere").mkdir()
    os.symlink(copy, directory / "elsewhere" / "monday")
    found = protectors(v, 0, backups, backups / "deep", directory / "elsewhere")
    assert found == {path: both, copy: {("active", old): "granted"}, late: both}
    answer = v.ctl_json("protectors", f"--in={backups}")
    first, *copies = answer["headers"]
    assert first["volume"] == v.name and first["mounted"] and first["slots"][0]["until"] is None
    assert all(h["volume"] is None and not h["mounted"] for h in copies)
    assert first["slots"][1]["until"] == first["slots"][0]["since"] >= first["slots"][1]["since"]
    assert answer["searched"] == {"volumes_of": str(v.config), "directories": [str(backups)]}
    v.unmount()
    assert not v.ctl_json("protectors")["headers"][0]["mounted"]
    # A key that only previous slots need is no trouble; one that a copy needs is.
    set_enabled(v, old, False)
    assert protectors(v, 0)[path][("previous", old)] == "denied"
    assert protectors(v, 4, backups)[copy] == {("active", old): "denied"}
    before = len(v.vault.audit())
    ask(v, 4, "protectors", f"--in={backups}")
    unwraps = [e for e in v.vault.audit()[before:] if e.get("operation") == "unwrapKey"]
    assert len(unwraps) <= 2 * 2, unwraps  # one for each key and call, however many headers
    v.vault.kill()  # which is then not asked for the other key
    answer = ask(v, 8, "protectors", f"--in={backups}", once=True)
    assert {s["key"] for h in answer["headers"] for s in h["slots"]} == {"unreachable"}


def test_a_header_backup_needs_its_key(v, directory):
    old = v.active_kid()
    backups = directory / "backups" / "headers"
    backups.mkdir(parents=True)
    file = backups / "sales.header"
    v.ctl("header", "backup", v.name, file)
    (backups / "noise").write_bytes(os.urandom(file.stat().st_size))
    v.vault.command("key", "create", "tde")
    v.ctl("rotate", v.name, "--retire")
    assert protectors(v, 0, backups, backups.parent)[str(file)] == {("active", old): "granted"}
    assert ask(v, 0, "safe-to-disable", old)["depends"] == []
    depends = ask(v, 1, "safe-to-disable", old, f"--in={backups}")["depends"]
    assert [(d["path"], d["slot"]) for d in depends] == [(str(file), "active")]
    file.unlink()
    assert ask(v, 0, "safe-to-disable", old, f"--in={backups}")["safe"]


def test_what_is_not_read_is_told(v, directory):
    place = directory / "search"
    place.mkdir()
    stranger = Volume(place, "other").format()
    damaged = copy_of(v, place / "damaged")
    for name in ("header", "header.bak"):
        (place / "damaged" / ".tdefs" / name).write_bytes(b"x" * 100)
    (place / "empty" / ".tdefs").mkdir(parents=True)
    (place / "file").mkdir()
    (place / "file" / ".tdefs").write_text("no directory")
    answer = ask(v, 1, "protectors", f"--in={place}")
    found = {h["path"]: h for h in answer["headers"]}
    assert set(found) == {str(v.backing), str(stranger.backing), damaged}
    assert "no good copy" in found[damaged]["error"] and not found[damaged]["slots"]
    slot = found[str(stranger.backing)]["slots"][0]
    assert slot["key"] == "not asked" and "tdefsctl link" in slot["next"]
    shutil.rmtree(damaged)
    assert ask(v, 2, "protectors", f"--in={place}")["not_searched"] == []
    # Nobody goes into another file system unasked; it is told, and can be asked for.
    (place / "crossing").mkdir()
    run("mount", "--bind", v.mount_point, place / "crossing")
    try:
        answer = ask(v, 1, "protectors", f"--in={place}")
        assert [m["path"] for m in answer["not_searched"]] == [str(place / "crossing")]
        assert not disable_safely(v, 1, "f" * 64, place)["safe"]
        assert disable_safely(v, 0, "f" * 64, place, place / "crossing")["safe"]
    finally:
        run("umount", place / "crossing")
    assert "No such file" in ask(v, 1, "protectors", f"--in={directory}/none")["not_searched"][0]["why"]
    # Deeper than it goes is not searched either.
    deep = directory / "deep"
    os.makedirs("/".join([str(deep), *199 * ["d"]]))
    assert disable_safely(v, 0, "f" * 64, deep)["safe"]
    os.mkdir("/".join([str(deep), *200 * ["d"]]))
    (missed,) = disable_safely(v, 1, "f" * 64, deep)["not_searched"]
    assert missed["path"].endswith(200 * "/d") and "too long" in missed["why"]
    # A backing whose disk is not mounted is not one that was never formatted.
    v.unmount()
    shutil.rmtree(v.backing)
    v.backing.mkdir()
    assert "it has a pin" in ask(v, 1, "protectors")["headers"][0]["error"]
    shutil.rmtree(v.state)
    assert ask(v, 0, "protectors")["headers"][0]["formatted"] is False
    assert not is_mounted(v.mount_point)


def test_safe_to_disable_only_what_nothing_needs(v, directory):
    backups = directory / "backups"
    old = v.active_kid()
    key = f"{v.vault.url}/keys/tde"
    copy = copy_of(v, backups / "monday")
    thumbprint = v.ctl_json("header", "dump", v.name)["slots"][0]["thumbprint"]
    new_version(v)
    answer = disable_safely(v, 1, old)
    assert answer["depends"][0]["slot"] == "active" and not answer["unknown"]
    v.ctl("rotate", v.name)
    assert [d["slot"] for d in disable_safely(v, 1, old)["depends"]] == ["previous"]
    v.ctl("rotate", v.name, "--retire")
    # The new version is what the setting stands for, and all versions are what it names.
    new = v.active_kid()
    assert {d.get("setting") for d in disable_safely(v, 1, new)["depends"]} == {None, "protector"}
    assert disable_safely(v, 1, key)["depends"]
    for name in (old, thumbprint, thumbprint.upper(), old.replace("https://", "HTTPS://")):
        assert disable_safely(v, 0, name)["safe"]
        assert [d["path"] for d in disable_safely(v, 1, name, backups)["depends"]] == [copy]
    # A setting that names it needs it; one that names its key does for what headers need only.
    v.write_config(linked=old)
    assert [d["setting"] for d in disable_safely(v, 1, old)["depends"]] == ["linked"]
    v.write_config(linked=key)
    assert disable_safely(v, 0, old)["safe"]
    v.write_config(linked=None)
    # In doubt it is not safe: a copy of the header that may be what opens one day, a silent vault.
    bak = v.backing / ".tdefs" / "header.bak"
    good = bak.read_bytes()
    shutil.copy(backups / "monday" / ".tdefs" / "header", bak)
    assert "out of date" in disable_safely(v, 1, old)["unknown"][0]["why"]
    bak.write_bytes(good)
    v.vault.kill()
    assert "protector = " in disable_safely(v, 1, old, once=True)["unknown"][0]["what"]
    v.vault.start(listen=v.vault.address)
    assert disable_safely(v, 0, old)["safe"]
    # [server]'s are needed, too, though no volume takes them over.
    text = v.config.read_text(encoding="utf-8")
    v.config.write_text(text.replace("[volume ", f"[volume other]\nbacking = {directory}/none\nmount = {directory}/n\n"
                                     f"protector = {new}\n[volume ").replace(f"mount = {v.mount_point}\n",
                                     f"mount = {v.mount_point}\nprotector = {new}\n").replace(
                                     f"protector = {key}\n", f"protector = {old}\n", 1), encoding="utf-8")
    (directory / "none").mkdir()
    assert disable_safely(v, 1, old)["depends"] == [{"volume": None, "setting": "protector", "kid": old}]
    v.config.write_text(text, encoding="utf-8")
    for bad in ("tde", "f" * 63, "http://a/keys/b"):
        assert v.ctl("safe-to-disable", bad, check=False).returncode == 2


def test_what_lies_where_nobody_looks_first_is_found(v, directory):
    """A copy beneath another volume's header, a header that a restore put aside, a mount without a configuration."""
    old = v.active_kid()
    v.unmount()
    copy = copy_of(v, directory / "copies" / "monday")
    backup = directory / "header.old"
    v.ctl("header", "backup", v.name, backup)
    new_version(v)
    v.ctl("rotate", v.name, "--retire")
    assert disable_safely(v, 0, old)["safe"]
    # Somebody copied what is in a volume, header and all, to where the copies are.
    shutil.copytree(v.backing, directory / "copies", dirs_exist_ok=True)
    assert [d["path"] for d in disable_safely(v, 1, old, directory / "copies")["depends"]] == [copy]
    assert {d["path"] for d in disable_safely(v, 1, old, directory)["depends"]} == {copy, str(backup)}
    # The ciphertext of a header is none, as a volume on a volume has it below.
    shutil.rmtree(copy)
    v.mount()
    (v.mount_point / "upper").mkdir()
    (v.mount_point / "upper" / "header").write_bytes(b"TDEFSVOL" + b"x" * 8000)
    v.unmount()
    (v.backing / "upper").rename(v.backing / "inner")
    (v.backing / "upper").mkdir()
    (v.backing / "inner").rename(v.backing / "upper" / ".tdefs")
    assert disable_safely(v, 0, old, v.backing)["safe"]
    (v.backing / "upper" / ".tdefs" / "header").write_bytes(b"x" * 8000)
    assert not disable_safely(v, 1, old, v.backing)["safe"]
    shutil.rmtree(v.backing / "upper")
    # To undo a restore takes the key of what it put aside.
    new = v.active_kid()
    v.ctl("header", "restore", v.name, backup, "--force")
    v.mount()
    new_version(v)
    v.ctl("rotate", v.name, "--retire")
    assert [d["slot"] for d in disable_safely(v, 1, new)["depends"]] == ["kept"]
    for kept in (v.backing / ".tdefs").glob("*.kept-*"):
        kept.unlink()
    assert disable_safely(v, 0, new)["safe"]
    # Mounted still, and in tdefs.conf no more.
    text = v.config.read_text(encoding="utf-8")
    v.config.write_text(text.replace(f"[volume {v.name}]", "[volume other]"), encoding="utf-8")
    assert [m["path"] for m in disable_safely(v, 1, "f" * 64)["not_searched"]] == \
        [f"{v.directory}/run/{v.name}.sock"]
    v.config.write_text(text, encoding="utf-8")


def test_a_file_is_known_by_each_of_its_names(make_volume, directory):
    v = make_volume()
    (directory / "link.pem").symlink_to(v.key)
    for name in (v.key, f"{v.key.parent}//{v.key.name}", f"{v.key.parent}/./{v.key.name}", directory / "link.pem"):
        answer = disable_safely(v, 1, f"file:{name}")
        assert {d.get("setting", d.get("slot")) for d in answer["depends"]} == {"active", "protector"}, name
    Volume.make_key(directory / "another.pem")
    assert disable_safely(v, 0, f"file:{directory}/another.pem")["safe"]


def test_a_key_is_asked_for_once_for_all_volumes(v, directory):
    with open(v.config, "a", encoding="utf-8") as config:
        for n in range(30):
            (directory / f"b{n}").mkdir()
            config.write(f"[volume v{n}]\nbacking = {directory}/b{n}\nmount = {directory}/m{n}\n")
    v.unmount()  # its daemon asks for the key, too, now and then
    before = len(v.vault.audit())
    assert disable_safely(v, 0, "f" * 64, once=True)["safe"]
    assert len([e for e in v.vault.audit()[before:] if e["operation"] == "KeyGet" and e["identity"] != "-"]) == 1
