# SPDX-License-Identifier: Apache-2.0
"""Where somebody new stumbles: what is said then, and that it is true."""

import json
import os
import shutil
import signal
import subprocess

import pytest
from conftest import BUILD, is_mounted, process_is_gone, run, wait_for


def refused(v, code, *args, says, next_step):
    result = v.ctl(*args, check=False)
    assert result.returncode == code, result.stdout + result.stderr
    assert says in result.stderr and next_step in result.stderr.split("\n  next: ", 1)[1], result.stderr
    return result


def test_a_vault_that_is_away_is_told_by_name_and_tried_again(make_volume_in):
    v = make_volume_in(probe_interval="1s", probe_timeout="1s")
    v.ctl("lock", v.name)
    v.vault.stop()
    assert v.ctl("check", v.name, check=False).returncode == 8
    result = v.ctl("resume", v.name, check=False)
    assert result.returncode == 4
    assert f"tdefsctl: volume {v.name}: not resumed: vault {v.vault.url}" in result.stderr
    assert "\n  next: " in result.stderr
    v.vault.start(listen=v.vault.address)
    assert v.ctl("resume", v.name).stderr == ""


def test_status_of_a_killed_daemon_says_how_to_go_on(make_volume):
    v = make_volume()
    assert "next" not in v.ctl("status", v.name, check=False).stdout
    v.mount()
    os.kill(v.pid, signal.SIGKILL)
    wait_for(lambda: process_is_gone(v.pid), "the daemon to be gone")
    result = v.ctl("status", v.name, check=False)
    assert result.returncode == 5 and "  next       tdefs unmount sales: " in result.stdout
    assert v.status()["next_step"].startswith("tdefs unmount sales: ")
    v.unmount_dead()
    v.mount()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_import_says_that_it_goes_on(make_volume, directory, number):
    v = make_volume()
    source = directory / "source"
    source.mkdir()
    for i in range(200):
        (source / f"f{i}").write_bytes(os.urandom(100000))
    v.mount()
    command = [BUILD / "tdefsctl", "--config", v.config, "import", source, v.name]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **v.environment()}) as ctl:
        wait_for(lambda: len(os.listdir(v.mount_point)) > 2, "some files to be there")
        ctl.send_signal(number)
        said = ctl.communicate()[1]
    assert ctl.returncode == -number
    assert "interrupted" in said and "  next: give the same command again" in said
    assert v.ctl_json("import", str(source), v.name)["resumed"]


def test_a_new_uuid_is_no_mount_option(make_volume):
    v = make_volume()
    result = run(BUILD / "mount.tdefs", v.name, v.mount_point, "-o", f"config={v.config},new_uuid", check=False,
                 env=v.environment())
    assert result.returncode == 1 and "  next: tdefs mount NAME --new-uuid" in result.stderr
    assert not is_mounted(v.mount_point)


def test_a_key_that_is_none_is_told_so(make_volume):
    v = make_volume()
    for verb, bad in (("rotate", "tde"), ("rewrap", "https://a.test/keys/"), ("rotate", "k" * 3000)):
        refused(v, 2, verb, v.name, "--to", bad, says="no key identifier", next_step="give https://VAULT/keys/NAME")


def test_usage_errors_name_the_verbs_own_help(make_volume):
    v = make_volume()
    for args in (("rotate",), ("rewrap", v.name), ("freeze", v.name), ("extend", v.name), ("drill", v.name),
                 ("status", "--watch"), ("header", "show", v.name), ("events", v.name, "--anchor", "x"),
                 ("link", v.name), ("format",), ("lock", v.name, "--for", "x"), ("status", "--nonsense")):
        refused(v, 2, *args, says="tdefsctl: ", next_step=f"see tdefsctl {args[0]} --help")
    for verb in "protectors", "safe-to-disable":
        assert "[--in DIR]" in run(BUILD / "tdefsctl", verb, "--help").stdout.splitlines()[0]


def test_the_policy_of_key_backups_is_for_files_too(make_volume):
    v = make_volume(formatted=False)
    v.config.write_text("[policy]\nrequire_key_backup = yes\n" + v.config.read_text(encoding="utf-8"), encoding="utf-8")
    refused(v, 7, "format", v.name, says="requires a backup", next_step="copy its file")
    v.ctl("format", v.name, "--key-is-backed-up")
    refused(v, 7, "rotate", v.name, says="requires a backup", next_step="copy its file")


def test_format_warns_of_a_way_past_the_mount_only_where_there_is_one(make_volume, directory):
    def warned(name, **where):
        return "other users can reach" in make_volume(name, formatted=False, **where).ctl("format", name).stderr

    assert warned("open")
    (directory / "closed").mkdir(mode=0o700)
    assert not warned("closed")
    (directory / "closed/open").mkdir(mode=0o755)
    assert not warned("deep", backing=directory / "closed/open/backing")


def test_a_header_that_is_there_is_not_kept_again(make_volume, directory):
    v = make_volume()
    v.ctl("header", "backup", v.name, directory / "h")
    for _ in range(2):
        assert v.ctl_json("header", "restore", v.name, str(directory / "h"))["kept"] is None
    assert not [n for n in os.listdir(v.backing / ".tdefs") if "kept" in n]
    (v.backing / ".tdefs/header.bak").write_bytes(b"damaged")
    assert v.ctl_json("header", "restore", v.name, str(directory / "h"))["kept"]
    v.mount()


def test_a_misspelled_key_is_needed_by_nothing_and_said_so(make_volume_in):
    v = make_volume_in()
    kid = v.active_kid()
    wrong = kid.replace("/keys/tde/", "/keys/tdee/")
    text = v.ctl("safe-to-disable", wrong).stdout
    assert f"safe to disable: {wrong}\n  no volume, header or setting that was found names this key\n" in text
    assert f"the closest that one of them names: {kid}\n" in text
    assert v.ctl_json("safe-to-disable", wrong)["closest"] == kid
    assert "names this key" not in v.ctl("safe-to-disable", kid, check=False).stdout
    thumbprint = v.ctl_json("header", "dump", v.name)["slots"][0]["thumbprint"]
    other = thumbprint[:-1] + ("0" if thumbprint[-1] != "0" else "1")
    assert v.ctl_json("safe-to-disable", other)["closest"] == thumbprint


def test_the_vault_tells_which_version_it_disables(vault):
    old = json.loads(vault.command("key", "show", "tde", "--json").stdout)["key"]["kid"]
    vault.command("key", "create", "tde")
    new = json.loads(vault.command("key", "show", "tde", "--json").stdout)["key"]["kid"]
    said = vault.command("key", "disable", "tde").stdout
    assert said.startswith(f"{new}: disabled\n") and "this version only" in said and "key versions tde" in said
    assert vault.command("key", "disable", f"tde/{old.rsplit('/', 1)[1]}").stdout == f"{old}: disabled\n"
    vault.command("key", "enable", "tde")
    lines = vault.command("key", "versions", "tde").stdout.splitlines()
    assert set(lines) == {f"{new}  enabled", f"{old}  disabled"}
    answer = json.loads(vault.command("key", "versions", "tde", "--json").stdout)
    assert answer["schema"] == 1 and {i["kid"] for i in answer["versions"]} == {old, new}
    assert vault.command("key", "delete", "tde").stdout == "tde: deleted, recoverable\n"


def bytes_of(*paths):
    return [p.read_bytes() for p in paths]


def test_a_dry_run_tells_what_would_be_and_changes_nothing(make_volume_in, directory):
    v = make_volume_in()
    old, files = v.active_kid(), [v.backing / ".tdefs/header", v.backing / ".tdefs/header.bak", v.config]
    v.ctl("header", "backup", v.name, directory / "first")
    v.vault.command("key", "create", "tde")
    before = bytes_of(*files)
    events = v.ctl("events", v.name).stdout
    foreseen = v.ctl_json("rotate", v.name, "--retire", "--dry-run")
    assert (foreseen["dry_run"], foreseen["rotated"], foreseen["retired"]) == (True, True, True)
    assert foreseen["before"]["kid"] == old and v.active_kid() == old
    assert "would be rotated; nothing was changed" in v.ctl("rotate", v.name, "--dry-run").stdout
    assert v.ctl_json("rotate", "--all", "--dry-run")["schema"] == 1
    assert v.ctl_json("link", v.name, old, "--dry-run")["changed"]
    assert f"{old}: would be linked" in v.ctl("link", v.name, old, "--dry-run").stdout
    assert bytes_of(*files) == before
    told = v.ctl("events", v.name).stdout.removeprefix(events)
    assert "rotated" not in told and "linked" not in told
    # It came as was foreseen; and so back.
    done = v.ctl_json("rotate", v.name, "--retire")
    assert (done["before"], done["after"], done["dry_run"]) == (foreseen["before"], foreseen["after"], False)
    shutil.copytree(v.backing, directory / "copy")
    v.unmount()
    before = bytes_of(*files)
    refused(v, 1, "header", "restore", v.name, directory / "first", "--dry-run", says="older", next_step="--force")
    assert "would restore" in v.ctl("header", "restore", v.name, directory / "first", "--dry-run", "--force").stdout
    kid = done["after"]["kid"]
    assert not v.ctl_json("rewrap", str(directory / "copy"), "--to", kid, "--dry-run")["rotated"]
    assert bytes_of(*files) == before and not list((v.backing / ".tdefs").glob("*kept*"))


def test_a_dry_run_of_an_import_looks_at_both_sides(make_volume, directory):
    v = make_volume()
    (directory / "source/deep").mkdir(parents=True)
    (directory / "source/deep/f").write_bytes(b"x" * 5000)
    v.mount()
    answer = v.ctl_json("import", str(directory / "source"), v.name, "--dry-run")
    assert (answer["files"], answer["bytes"], answer["verified"], answer["dry_run"]) == (1, 5000, False, True)
    assert "would import from" in v.ctl("import", directory / "source", v.name, "--dry-run").stdout
    assert not os.listdir(v.mount_point) and "import" not in v.ctl("events", v.name).stdout
    v.ctl("import", directory / "source", v.name)
    events = v.ctl("events", v.name).stdout
    for target in directory / "absent", directory / "empty":
        if target.name == "empty":
            target.mkdir()
        answer = v.ctl_json("export", v.name, str(target), "--dry-run")
        assert (answer["files"], answer["bytes"], answer["verified"], answer["dry_run"]) == (1, 5000, False, True)
        assert "would export to" in v.ctl("export", v.name, target, "--dry-run").stdout
        assert list(target.iterdir()) == [] if target.name == "empty" else not target.exists()
    (directory / "empty/f").touch()
    refused(v, 1, "export", v.name, directory / "empty", "--dry-run", says="not empty", next_step="")
    assert v.ctl("events", v.name).stdout == events
    (directory / "other").mkdir()
    refused(v, 1, "import", directory / "other", v.name, "--dry-run", says="not empty", next_step="")


def test_what_is_not_known_is_null(make_volume_in):
    v = make_volume_in()
    v.vault.stop()
    report = v.ctl_json("check", v.name)
    assert report["kid"] is None and report["thumbprint"] is None
    v.vault.start(listen=v.vault.address)
    report = v.ctl_json("check", v.name)
    assert report["kid"] == v.active_kid() and report["requirements"][0]["next"] is None
    answer = json.loads(v.vault.command("key", "show", "nonesuch", "--json", check=False).stdout)
    assert answer["schema"] == 1 and answer["exit_code"] == 1 and "nonesuch" in answer["error"] and answer["next"]
