# SPDX-License-Identifier: Apache-2.0
"""Two vaults with the same key: which of them decides, and what is known of the second before it is needed."""

import contextlib
import re
import socket
from pathlib import Path

import pytest
from conftest import wait_for
from guard_kit import MARKER, error_of
from two_vaults import TwoVaultVolume, new_key, two_vaults

ROOT = Path(__file__).parents[2]
KEY = "get,wrapKey,unwrapKey"


@pytest.fixture
def vaults(directory):
    with two_vaults(directory) as servers:
        yield servers


def leaves(facts):
    return {f"{k}.{m}" if isinstance(v, dict) else k for k, v in facts.items()
            for m in (v if isinstance(v, dict) else [k])}


@pytest.fixture
def make_two(directory, vaults):
    with contextlib.ExitStack() as stack:
        def make(mounted=True, **settings):
            volume = TwoVaultVolume(directory, *vaults, **settings)
            stack.callback(volume.close)
            volume.format()
            if mounted:
                volume.mount()
            return volume

        yield make


def start(vault):
    vault.start(listen=vault.address)


def test_the_secondary_serves_while_the_primary_is_gone(make_two, vaults):
    first, second = vaults
    v = make_two()
    path = v.mount_point / "f"
    path.write_bytes(MARKER)
    wait_for(lambda: v.secondary()["proved_at"], "the first proof")
    assert not v.secondary()["ha_broken"] and not v.secondary()["serving"]
    first.kill()
    v.until_served()
    v.answers("granted")
    status = v.status()
    assert status["state"] == "online" and path.read_bytes() == MARKER
    assert status["key_access"]["vault"] == {"address": second.url, "serving": "secondary"}
    assert "secondary_serves" in v.alarms() and "primary" in status["key_access"]["next_step"]
    assert first.address in status["secondary"]["primary_error"]
    assert "serving" in v.ctl("status", v.name).stdout
    page = (ROOT / "src/control/STATUS.md").read_text(encoding="utf-8")
    assert leaves(status["secondary"]) == set(re.findall(r"^\| `secondary\.([^`]+)` \|", page, re.M))
    # It serves: now its denial counts, too, and is its own to undo, or the primary's.
    second.command("revoke", "sales", "tde", "unwrapKey")
    v.reach("inaccessible", "denied")
    assert error_of(path.read_bytes) == "EKEYREVOKED"
    assert v.secondary()["last_answer"]["class"] == "denied"
    start(first)
    v.reach("online")
    v.until("the primary to serve", serving=False, primary_error=None)
    assert path.read_bytes() == MARKER
    names = [e["event"] for e in v.events() if e["event"].endswith("_serves")]
    assert names[:2] == ["secondary_serves", "primary_serves"]


def test_only_the_primary_undoes_its_denial(make_two, vaults):
    first, second = vaults
    v = make_two(mount_timeout="0")
    (v.mount_point / "f").write_bytes(MARKER)
    first.command("key", "disable", "tde")
    v.reach("inaccessible", "denied")

    def stays_denied():
        v.answers("granted")
        v.answers("granted")
        assert v.secondary()["serving"]
        status = v.status()
        assert (status["state"], status["reasons"]) == ("inaccessible", ["denied"])
        assert first.url in status["key_access"]["next_step"]
        assert error_of((v.mount_point / "f").read_bytes) == "EKEYREVOKED"

    first.kill()
    stays_denied()
    assert v.ctl("resume", v.name, check=False).returncode == 4
    v.unmount()
    v.mount_inaccessible("denied")
    stays_denied()
    start(first)
    v.answers("denied")
    first.command("key", "enable", "tde")
    v.reach("online")
    assert (v.mount_point / "f").read_bytes() == MARKER


def test_a_secondary_that_does_not_serve_denies_nothing(make_two, vaults):
    first, second = vaults
    v = make_two(outage_read_only_after="3s", outage_deny_after="1h")
    second.command("revoke", "sales", "tde", KEY)
    first.kill()
    v.reach("read-only", "outage")
    assert v.secondary()["last_answer"]["class"] == "denied"
    v.until("the alarm", ha_broken=True)
    second.command("grant", "sales", "tde", "get,unwrapKey")
    v.reach("online")
    v.until("the proof that it would do again", ha_broken=False, serving=True)


def test_mounted_by_the_secondary_alone(make_two, vaults):
    first, _ = vaults
    v = make_two(mounted=False)
    first.kill()
    v.mount()
    status = v.status()
    assert status["state"] == "online" and status["secondary"]["serving"]
    (v.mount_point / "f").write_bytes(MARKER)
    start(first)
    v.until("the primary to serve", serving=False)
    v.remount()
    assert (v.mount_point / "f").read_bytes() == MARKER


def test_another_key_there_is_an_alarm_and_mounts(make_two, vaults, directory):
    first, second = vaults
    second.command("key", "delete", "tde")
    second.command("key", "purge", "tde", "--yes")
    second.command("key", "import", "tde", new_key(directory / "other.pem"))
    v = make_two()
    v.until("the alarm", ha_broken=True, proved_at=None)
    assert v.now() == "online" and "ha_broken" in v.alarms()
    assert "is another key" in v.secondary()["reason"] and v.secondary()["since"]
    result = v.ctl("check", v.name, "--ha", check=False)
    assert result.returncode == 1 and "the secondary" in result.stderr, result
    result = v.ctl("check", v.name, check=False)
    assert result.returncode == 1 and "another key wrapped the volume" in result.stdout, result
    # The right one comes back as a new version: found by itself, whichever is the newest.
    second.command("key", "import", "tde", directory / "tde.pem")
    v.until("the proof", ha_broken=False, reason=None)
    assert v.secondary()["proved_at"] and "ha_broken" not in v.alarms()

    def told():
        return [e["event"] for e in v.events() if e["event"].startswith("ha_")]

    wait_for(lambda: told()[:2] == ["ha_broken", "ha_proof"], "both events")


@contextlib.contextmanager
def black_hole(vault):
    """What listens at the vault's address, and never says a word."""
    vault.kill()
    host, port = vault.address.rsplit(":", 1)
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host, int(port)))
        s.listen(1000)
        yield


def test_a_secondary_that_hangs_hides_no_denial(make_two, vaults):
    first, second = vaults
    v = make_two()
    with black_hole(second):
        first.kill()
        v.answers("unreachable")
        v.until("the alarm", ha_broken=True)
        start(first)
        v.answers("granted")
        first.command("revoke", "sales", "tde", "unwrapKey")
        v.reach("inaccessible", "denied")
        first.command("grant", "sales", "tde", KEY)
        v.reach("online")
        v.unmount()  # it waits for nobody for ever


def test_check_proves_both(make_two, vaults):
    first, second = vaults
    v = make_two(mounted=False)
    good = v.ctl("check", v.name, "--ha")
    assert "both vaults unwrap the same DEK" in good.stdout and "BOTH" in good.stdout
    proof = v.ctl_json("check", v.name, "--ha")
    assert proof["same_dek"] and proof["primary"].startswith(first.url)
    assert proof["secondary"].startswith(f"{second.url}/keys/tde/")
    listed = v.ctl_json("check", v.name)["secondary"]
    states = {r["requirement"]: r["state"] for r in listed["requirements"]}
    assert states["canary"] == "ok" and states["header"] == "ok" and states["wrapKey"] == "note", states
    second.command("revoke", "sales", "tde", "unwrapKey")
    refused = v.ctl("check", v.name, "--ha", check=False)
    assert refused.returncode == 1 and "the secondary" in refused.stderr, refused
    v.write_config(secondary=None, allowed_vaults=f"{first.address} {second.address}")
    assert v.ctl("check", v.name, "--ha", check=False).returncode == 2
