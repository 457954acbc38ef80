# SPDX-License-Identifier: Apache-2.0
"""Linked keys: what tdefsctl writes into tdefs.conf, what it refuses, and the error where a key is missing."""

import contextlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess

import pytest
from conftest import Volume, run, wait_for
from guard_kit import GuardedVolume
from two_vaults import two_vaults


def answers(v, code, *args, says=()):
    """With this exit code, what to do next, and these texts; the configuration stays, if it is refused."""
    before = v.config.read_bytes()
    result = v.ctl(*args, check=False)
    assert result.returncode == code, result.stdout + result.stderr
    for text in says:
        assert text in result.stdout + result.stderr, result.stdout + result.stderr
    if code:
        assert "  next: " in result.stderr
        assert v.config.read_bytes() == before
    return result


@pytest.fixture
def keys(directory):
    made = []
    for name in "abc":
        Volume.make_key(directory / f"{name}.pem")
        made.append(f"file:{directory}/{name}.pem")
    return made


def settings(v, server="", volume="", end=""):
    """A configuration with these lines more; what a test changes in it is between them."""
    return (f"# by hand\n[server]\nprotector = file:{v.key}\n{server}state_dir={v.state}\n"
            f"runtime_dir = {v.directory}/run ; a comment\nevent_dir = {v.directory}/events\n\n"
            f"[volume other]\nbacking = {v.directory}/b2\nmount = {v.directory}/m2\n\n"
            f"[volume sales]\n{volume}backing = {v.backing}\nmount = {v.mount_point}\n{end}")


def test_one_line_changes_and_every_other_byte_stays(make_volume, keys):
    v = make_volume()
    a, b, c = keys
    # What is there, what is asked, what is there then. unlink takes back what link does.
    table = [
        (("", ""), ("sales", a), ("", f"linked = {a}\n")),
        ((f"linked={b}  ; old\n", ""), ("--all", a), (f"linked={b}  ; old\nlinked = {a}\n", "")),
        (("", f"linked : {b},{c}\n"), ("sales", a), ("", f"linked : {b},{c}\nlinked = {a}\n")),
        (("", f"linked = {b}\n    {c}\n"), ("sales", a), ("", f"linked = {b}\n    {c}\nlinked = {a}\n")),
        (("", ";linked = x\n"), ("sales", a), ("", f"linked = {a}\n;linked = x\n")),
    ]
    for before, (name, kid), after in table:
        v.config.write_text(settings(v, *before))
        answer = v.ctl_json("link", name, kid)
        assert answer["changed"] and v.config.read_text() == settings(v, *after), before
        assert not v.ctl_json("link", name, kid)["changed"]
        assert v.config.read_text() == settings(v, *after)
        assert v.ctl_json("unlink", name, kid)["changed"]
        assert v.config.read_text() == settings(v, *before)
        assert not v.ctl_json("unlink", name, kid)["changed"]
    # A list of its own goes on with what was inherited; one of several kids keeps the others.
    v.config.write_text(settings(v, f"linked = {b}\n"))
    v.ctl("link", "sales", a)
    assert v.config.read_text() == settings(v, f"linked = {b}\n", f"linked = {b}\nlinked = {a}\n")
    v.ctl("link", "--all", c)
    assert v.config.read_text() == settings(v, f"linked = {b}\nlinked = {c}\n",
                                            f"linked = {b}\nlinked = {a}\nlinked = {c}\n")
    v.config.write_text(settings(v, f"linked = {a} {b}, {c} ; three\n"))
    v.ctl("unlink", "--all", b)
    assert v.config.read_text() == settings(v, f"linked = {a}, {c} ; three\n")
    answers(v, 2, "unlink", "sales", c, says=["would change more", "--all"])
    # What goes on after the line that is gone begins the list now.
    for kid, after in ((a, f"linked =   {b}\n# of\n\t{c}\n"), (b, f"linked = {a}\n# of\n\t{c}\n"),
                       (c, f"linked = {a}\n   {b}\n# of\n")):
        v.config.write_text(settings(v, f"linked = {a}\n   {b}\n# of\n\t{c}\n"))
        v.ctl("unlink", "--all", kid)
        assert v.config.read_text() == settings(v, after)
    v.ctl("unlink", "--all", a)
    assert v.config.read_text() == settings(v, f"linked =   {b}\n# of\n")
    # There is no [server], and no newline at the end.
    text = settings(v).replace("[server]\n", "").replace("# by hand\n", "[server]\n") + "# end"
    v.config.write_text(text)
    v.ctl("link", "sales", a)
    assert v.config.read_text() == text.replace("[volume sales]\n", f"[volume sales]\nlinked = {a}\n")


def test_the_file_keeps_owner_mode_and_place(make_volume, keys):
    v = make_volume()
    os.chmod(v.config, 0o640)
    os.chown(v.config, 12, 34)
    os.setxattr(v.config, "user.label", b"mine")
    real = v.directory / "real.conf"
    v.config.rename(real)
    v.config.symlink_to(real)
    real.with_name(".real.conf.tdefsctl").write_text("what a crash left")
    real.with_name("real.conf.new").write_text("an operator's draft")
    v.ctl("link", "sales", keys[0])
    assert v.config.is_symlink() and f"linked = {keys[0]}" in real.read_text()
    st = real.stat()
    assert (stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid) == (0o640, 12, 34)
    assert os.getxattr(real, "user.label") == b"mine"
    assert not real.with_name(".real.conf.tdefsctl").exists()
    assert real.with_name("real.conf.new").read_text() == "an operator's draft"
    for args in (("sales",), ("--all",), ("--all", "sales", keys[1])):
        assert v.ctl("link", *args, check=False).returncode == 2
    answers(v, 2, "link", "sales", "f" * 64, says=["no key identifier"])
    answers(v, 2, "link", "nobody", keys[1], says=["no volume nobody"])
    answers(v, 2, "link", "sales", f"file:{v.directory}/none.pem", says=["No such file"])
    # No place for the new file: the old one stands.
    before = real.read_text()
    run("mount", "--bind", v.directory, v.directory)
    try:
        run("mount", "-o", "remount,bind,ro", v.directory)
        result = v.ctl("link", "sales", keys[1], check=False)
        assert result.returncode == 1 and "Read-only" in result.stderr, result.stderr
    finally:
        subprocess.run(["umount", v.directory], check=False)
    assert real.read_text() == before


def has_a_socket(pid):
    place = f"/proc/{pid}/fd"
    try:
        return any(os.readlink(f"{place}/{fd}").startswith("socket:") for fd in os.listdir(place))
    except FileNotFoundError:
        return False


def test_only_a_key_that_may_unwrap_is_linked(make_volume_in):
    v = make_volume_in()
    v.vault.command("key", "create", "old")
    old = f"{v.vault.url}/keys/old"
    answers(v, 1, "link", v.name, old, says=["old"])
    v.vault.command("grant", v.name, "old", "get")
    answers(v, 1, "link", v.name, old, says=["unwrap"])
    v.vault.command("grant", v.name, "old", "get,unwrapKey")
    v.vault.command("key", "disable", "old")
    answers(v, 2, "link", v.name, old, says=["disabled"])
    v.vault.command("key", "enable", "old")
    answers(v, 0, "link", v.name, old, says=["no header that was found is wrapped by it"])
    answers(v, 0, "unlink", v.name, old)
    v.write_config(allowed_vaults=v.vault.address, linked=None)
    answers(v, 2, "link", v.name, "https://elsewhere.test/keys/tde", says=["allowed_vaults"])
    # Who changes the file meanwhile is not overwritten.
    v.write_config(allowed_vaults=None)
    v.vault.process.send_signal(signal.SIGSTOP)
    ctl = v.start_ctl("--json", "link", v.name, old)
    try:
        wait_for(lambda: has_a_socket(ctl.pid), "the question to the vault")
        v.config.write_text(v.config.read_text() + "# mine\n")
    finally:
        v.vault.process.send_signal(signal.SIGCONT)
    assert json.loads(ctl.communicate()[0])["exit_code"] == 8 and ctl.returncode == 8
    assert "# mine" in v.config.read_text() and "linked" not in v.config.read_text()
    v.vault.kill()
    result = v.ctl("--json", "link", v.name, old, check=False)
    assert result.returncode == 8 and "linked" not in v.config.read_text(), result.stdout


def test_a_missing_key_is_named_with_the_time_of_its_use(make_volume_in, directory):
    v = make_volume_in()
    (v.mount_point / "f").write_bytes(b"data\n")
    first = v.active_kid()
    v.vault.command("key", "create", "tde")
    v.ctl("rotate", v.name)
    v.unmount()
    second = v.active_kid()
    copy = directory / "copy"
    shutil.copytree(v.backing, copy)
    slots = v.ctl_json("header", "dump", str(copy))["slots"]
    v.vault.command("key", "create", "tde")
    v.ctl("rotate", v.name, "--retire")
    v.kid = v.active_kid()
    v.write_config()
    named = [*(s["thumbprint"] for s in slots), first, second, "header: active: ", "; previous: ",
             " to now", "tdefsctl link", "restore"]
    answers(v, 2, "verify", str(copy), says=[*named, "neither configured nor linked"])
    answers(v, 2, "rewrap", str(copy), "--to", v.kid, says=[*named, "--from-previous"])
    answers(v, 2, "rewrap", str(copy), "--to", v.kid, "--from-previous", says=named)
    shutil.move(v.backing, directory / "newest")
    shutil.copytree(copy, v.backing)
    result = v.tdefs("mount", v.name, "--accept-header", check=False)
    assert result.returncode == 1, result.stderr
    for text in [*named, "but the protector is"]:
        assert text in result.stderr, result.stderr
    # With the key linked, all of them go; and it stays linked as long as the header needs it.
    answers(v, 0, "link", "--all", second, f"--in={copy}", says=[f"opens {copy}", f"opens {v.backing}"])
    answers(v, 0, "verify", str(copy))
    v.mount("--accept-header")
    assert (v.mount_point / "f").read_bytes() == b"data\n"
    answers(v, 1, "unlink", "--all", second, says=["opens with", "tdefsctl rotate"])
    v.ctl("rotate", v.name)
    answers(v, 0, "unlink", "--all", second)
    # A key that is gone is named so, too.
    v.unmount()
    v.vault.command("key", "disable", v.active_kid().removeprefix(f"{v.vault.url}/keys/"))
    result = v.ctl("verify", v.name, check=False)
    assert result.returncode == 1 and "header: active: thumbprint" in result.stderr, result.stderr


def test_to_another_vault_where_we_are_somebody_else(directory):
    """README, "Another protector": mounted all the while; in the end nothing needs the first vault."""
    with two_vaults(directory) as (first, second), \
            contextlib.closing(GuardedVolume(directory, first, policy="require_purge_protection = no")) as v:
        v.format()
        v.mount()
        (v.mount_point / "f").write_text("kept")
        old, identity = v.active_kid(), second.identity("moved", grant=None)
        second.command("grant", "moved", "tde", "get,wrapKey,unwrapKey")
        secret = directory / "moved.secret"
        secret.write_text(identity.secret + "\n")
        secret.chmod(0o600)
        v.ctl("link", v.name, old)
        there = v.config.read_text()
        ours = r"(?m)^(?:client_id|client_secret_file|authority_host|ca_file) = .*\n"
        before = "".join(re.findall(ours, there))
        for key, value in {"protector": f"{second.url}/keys/tde", "client_id": identity.client_id,
                           "client_secret_file": secret, "authority_host": second.url,
                           "ca_file": second.data / "ca.pem"}.items():
            there = re.sub(f"(?m)^{key} = .*$", f"{key} = {value}", there)
        v.config.write_text(there + f"[vault {first.address}]\n" + before)
        v.ctl("check", f"{second.url}/keys/tde")
        v.ctl("rotate", v.name, "--retire")
        assert second.address in v.active_kid()
        refused = v.ctl("unlink", v.name, old, check=False)
        assert refused.returncode == 2 and "no volume uses this vault" in refused.stderr
        v.config.write_text(there)
        v.ctl("unlink", v.name, old)
        first.kill()
        v.remount()
        assert (v.mount_point / "f").read_text() == "kept"
