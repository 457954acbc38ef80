# SPDX-License-Identifier: Apache-2.0
"""Volumes whose protector lives in a key vault, from format to SQLite, and what takes the key away."""

import json
import os
import re
import sqlite3
import subprocess
from pathlib import Path

import pytest
from conftest import BUILD, run
from kv_volume import VaultVolume
from vault_client import clean_environment


@pytest.fixture
def make_kv_volume(directory, make_vault):
    """A function that makes a vault and a volume in it, formatted unless told otherwise."""
    volumes = []

    def make(*options, vault=None, formatted=True, **how):
        volume = VaultVolume(directory, vault or make_vault(*options), **how)
        volumes.append(volume)
        return volume.format() if formatted else volume

    yield make
    for volume in volumes:
        volume.close()


def refused(volume, code, *texts):
    """Format fails with this exit code and these words, and leaves nothing in the backing."""
    result = volume.ctl("format", volume.name, check=False)
    assert result.returncode == code, (result.returncode, result.stderr)
    for text in texts:
        assert text in result.stderr, result.stderr
    assert "  next: " in result.stderr
    assert list(volume.backing.iterdir()) == []
    assert volume.remembered() == []
    return result


def test_check_format_mount_and_sqlite(make_kv_volume):
    v = make_kv_volume(formatted=False)
    assert {r["state"] for r in v.requirements().values()} == {"ok"}
    text = v.ctl("check", v.name).stdout
    assert "round-trip" in text and f"{v.vault.url}/keys/tde/" in text
    v.format()
    assert v.active_kid().startswith(f"{v.vault.url}/keys/tde/")
    v.mount()
    db = sqlite3.connect(v.mount_point / "db")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
    with db:
        db.executemany("INSERT INTO t (b) VALUES (?)", [("plain text",)] * 1000)
    db.close()
    v.remount()
    db = sqlite3.connect(v.mount_point / "db")
    assert db.execute("SELECT count(*) FROM t WHERE b = 'plain text'").fetchone() == (1000,)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    v.unmount()
    assert b"plain text" not in b"".join(p.read_bytes() for p in v.backing.rglob("*") if p.is_file())
    assert v.ctl("verify", v.name).returncode == 0


def test_secret_of_the_environment_reaches_the_daemon(make_kv_volume):
    """It is read once and removed, and yet the daemon, a child, has it."""
    v = make_kv_volume(client_secret_file=None, formatted=False)
    v.more_environment = {"AZURE_CLIENT_SECRET": v.identity.secret}
    v.format()
    v.mount()
    assert v.identity.secret.encode() not in Path(f"/proc/{v.pid}/environ").read_bytes()
    (v.mount_point / "f").write_text("x")
    v.unmount()


def mount_fails(volume, *texts):
    result = volume.tdefs("mount", volume.name, check=False)
    assert result.returncode != 0
    for text in texts:
        assert text in result.stderr, result.stderr
    assert "  next: " in result.stderr


def resumes(volume):
    assert volume.ctl("resume", volume.name).stdout == f"{volume.name}: online\n"
    (volume.mount_point / "f").write_text("x")
    volume.unmount()


def test_a_disabled_key_opens_nothing(make_kv_volume):
    v = make_kv_volume()
    v.vault.command("key", "disable", "tde")
    v.mount_inaccessible("denied", "KeyDisabled", "enable the key")
    assert v.requirements()["enabled"]["state"] == "missing"
    assert v.requirements()["unwrapKey"]["state"] == "unknown"
    v.vault.command("key", "enable", "tde")
    resumes(v)


def test_a_deleted_key_opens_nothing(make_kv_volume):
    v = make_kv_volume()
    v.vault.command("key", "delete", "tde")
    v.mount_inaccessible("denied", "KeyNotFound", "recover")
    v.vault.command("key", "recover", "tde")
    resumes(v)


@pytest.mark.parametrize("permission", ["get", "unwrapKey"])
def test_a_permission_that_was_taken_away(make_kv_volume, permission):
    v = make_kv_volume()
    v.vault.command("revoke", v.name, "tde", permission)
    v.mount_inaccessible("denied", "HTTP 403", "grant get, wrapKey and unwrapKey")
    requirement = v.requirements()[permission]
    assert requirement["state"] == "missing" and requirement["next"]
    v.vault.command("grant", v.name, "tde", permission)
    resumes(v)


def test_wrapkey_is_needed_for_format_only(make_kv_volume):
    v = make_kv_volume()
    v.vault.command("revoke", v.name, "tde", "wrapKey")
    v.mount()
    v.unmount()
    assert v.requirements()["wrapKey"]["state"] == "missing"


@pytest.mark.parametrize("permission", ["get", "wrapKey", "unwrapKey"])
def test_format_needs_all_three_permissions(make_kv_volume, permission):
    v = make_kv_volume(formatted=False)
    v.vault.command("revoke", v.name, "tde", permission)
    refused(v, 1, permission, "HTTP 403")


def test_format_refuses_a_disabled_key(make_kv_volume):
    v = make_kv_volume(formatted=False)
    v.vault.command("key", "disable", "tde")
    refused(v, 2, "the key is disabled", "--enabled true")


def test_format_without_a_vault(make_kv_volume):
    v = make_kv_volume(formatted=False)
    v.vault.kill()
    refused(v, 8, "no connection")


def test_purge_protection_is_asked_for(make_kv_volume):
    v = make_kv_volume("--no-purge-protection", formatted=False)
    refused(v, 7, "purge-protection", "Purgeable")
    assert v.ctl("check", v.name, check=False).returncode == 7
    v.policy = "require_purge_protection = no"
    v.write_config()
    assert v.requirements()["purge-protection"]["state"] == "note"
    v.format()
    v.mount()
    v.unmount()


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_key_sizes(make_kv_volume, bits):
    v = make_kv_volume(formatted=False)
    v.vault.command("key", "create", "big", "--size", str(bits))
    v.vault.command("grant", v.name, "big", "get,wrapKey,unwrapKey")
    v.kid = f"{v.vault.url}/keys/big"
    v.write_config()
    assert v.requirements()["key-size"]["state"] == ("note" if bits == 4096 else "ok")
    v.format()
    v.mount()
    v.unmount()


def test_a_version_that_does_not_exist(make_kv_volume):
    v = make_kv_volume(formatted=False)
    v.kid += "/" + "0" * 32
    v.write_config()
    refused(v, 1, "KeyNotFound")


def test_key_operations_are_needed(make_kv_volume):
    v = make_kv_volume(formatted=False)
    v.vault.command("key", "create", "half", "--ops", "wrapKey")
    v.vault.command("grant", v.name, "half", "get,wrapKey,unwrapKey")
    v.kid = f"{v.vault.url}/keys/half"
    v.write_config()
    refused(v, 2, "key_ops lack")


def test_an_old_header_opens_after_a_rotation_in_the_vault(make_kv_volume):
    """A protector without a version covers the one that the header names; a new one does not."""
    v = make_kv_volume()
    old = v.active_kid()
    v.vault.command("key", "rotate", "tde")
    new = v.ctl_json("check", v.kid)["kid"]
    assert new != old and v.active_kid() == old
    v.mount()
    v.unmount()
    v.kid = new
    v.write_config()
    mount_fails(v, f"wrapped by {old}, but the protector is {new}")
    v.kid = old
    v.write_config()
    v.mount()
    v.unmount()


def test_check_is_of_the_version_that_wraps_the_volume(make_kv_volume):
    v = make_kv_volume()
    old = v.active_kid()
    v.vault.command("key", "rotate", "tde")
    assert v.ctl_json("check", v.name)["kid"] == old
    assert v.requirements()["header"]["state"] == "ok"
    v.vault.command("key", "disable", f"tde/{old.rsplit('/', 1)[1]}")
    assert v.ctl("check", v.name, check=False).returncode != 0
    assert v.requirements()["enabled"]["state"] == "missing"
    v.mount_inaccessible("denied", "disabled key")


def test_a_key_of_another_vault_is_not_asked(make_kv_volume, make_vault):
    v = make_kv_volume()
    other = make_vault(name="other")
    v.kid = f"{other.url}/keys/tde"
    v.write_config()
    mount_fails(v, "but the protector is")
    assert not [e for e in other.audit() if "unwrap" in json.dumps(e).lower()]


def test_check_of_any_kid(make_kv_volume):
    v = make_kv_volume(formatted=False)
    assert v.requirements(f"{v.vault.url}/keys/tde")["get"]["state"] == "ok"
    missing = v.ctl("check", f"{v.vault.url}/keys/none", check=False)
    assert missing.returncode == 1 and "missing" in missing.stdout
    nonsense = v.ctl("check", "https://nonsense", check=False)
    assert nonsense.returncode == 2 and "not a key identifier" in nonsense.stderr


def test_errors_in_any_language_are_valid_json(make_kv_volume):
    """What a vault says, however long and strange, is cut so that the report stays JSON."""
    v = make_kv_volume(formatted=False)
    message = "\u00e9" * 200
    v.vault.fault("add", "status", "/keys/*", f"403,Forbidden,Inner,x{message}")
    assert v.requirements()["get"]["state"] == "missing"


def test_what_the_server_prints_is_a_configuration(make_vault, directory):
    """The lines that tdefs-vault shows at its first start are the ones that tdefs reads."""
    vault = make_vault()
    text = "\n".join(line.strip() for line in vault.printed.splitlines()
                     if line.startswith("  ")).replace("/NAME", "/tde")
    assert text.startswith("[server]\n")
    app = vault.identity()
    secret = directory / "secret"
    secret.write_text(app.secret)
    secret.chmod(0o600)
    text = re.sub(r"(client_id *=).*", rf"\1 {app.client_id}", text)
    text = re.sub(r"(client_secret_file *=).*", rf"\1 {secret}", text)
    config = directory / "tdefs.conf"
    config.write_text(text + "\n[volume v]\nbacking = /b\nmount = /m\n")
    result = subprocess.run([BUILD / "tdefsctl", "--config", config, "check", "v"],
                            capture_output=True, text=True, timeout=60, check=False,
                            env=clean_environment(**vault.environment()))
    assert result.returncode == 0, result.stdout + result.stderr


def test_nothing_secret_is_left_anywhere(make_kv_volume):
    v = make_kv_volume()
    v.mount()
    (v.mount_point / "f").write_text("x")
    cmdline = Path(f"/proc/{v.pid}/cmdline").read_bytes()
    v.unmount()
    v.vault.command("key", "disable", "tde")
    failed = v.tdefs("mount", v.name, check=False)
    checked = v.ctl("check", v.name, check=False)
    texts = [cmdline, v.log.read_bytes(), v.vault.log.read_bytes(),
             (v.vault.data / "audit.log").read_bytes(), v.config.read_bytes(),
             *(t.encode() for r in (failed, checked) for t in (r.stdout, r.stderr)),
             *(p.read_bytes() for p in v.state.rglob("*") if p.is_file())]
    for text in texts:
        assert v.identity.secret.encode() not in text
        assert b"eyJ" not in text
    assert v.identity.client_id.encode() in (v.vault.data / "audit.log").read_bytes()
