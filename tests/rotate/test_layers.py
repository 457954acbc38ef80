# SPDX-License-Identifier: Apache-2.0
"""
Infrastructure encryption: a volume on a volume, each by a key in a vault of its own. An engine needs
both; whoever takes either away takes the data away.
"""

import contextlib

import pytest
from conftest import Volume, wait_for
from engines import Load, PostgreSQL
from guard_kit import MARKER, GuardedVolume
from vault_server import running_vault


@pytest.fixture
def layers(directory):
    """The lower volume, with the platform's key, and the upper one, whose backing is in its mount."""
    with contextlib.ExitStack() as stack:
        made = []
        for name in "lower", "upper":
            place = directory / name
            place.mkdir()
            vault = stack.enter_context(running_vault(place / "server"))
            more = {}
            if made:
                more = {"backing": made[0].mount_point / "upper", "unsupported_backing": "yes"}
            v = GuardedVolume(place, vault, name=name, **more)
            made.append(v)
            stack.callback(v.close)
            v.format()
            v.mount()
        yield made


@pytest.mark.unsanitized("an engine's load on two daemons: what each of them does, others try")
def test_postgresql_on_two_layers_loses_either_key(layers, directory):
    lower, upper = layers
    engine = PostgreSQL(upper.mount_point / "data", directory / "pg").create()
    acked = set()
    try:
        for generation, lost in enumerate((lower, upper), 1):
            load = Load(engine, generation)
            load.await_commits(30)
            lost.vault.command("key", "disable", "tde")
            lost.reach_purged("denied")
            with pytest.raises(OSError):
                (upper.mount_point / "probe").write_bytes(b"x" * 4096)
            engine.kill()
            acked |= load.finish()
            lost.vault.command("key", "enable", "tde")
            lost.reach("online")
            upper.reach("online")  # what the lower one refused is no loss of the upper one's key
            engine.start()
            assert acked <= engine.committed()
        engine.check()
    finally:
        engine.kill()


def test_either_key_alone_gives_nothing(layers):
    lower, upper = layers
    (upper.mount_point / "f").write_bytes(MARKER * 1000)
    upper.unmount()
    # With the lower key: the upper volume's ciphertext. Beneath: not even that.
    assert MARKER not in (lower.mount_point / "upper/f").read_bytes()
    inner = (lower.mount_point / "upper/f").read_bytes()
    lower.unmount()
    assert inner[4096:8192] not in (lower.backing / "upper/f").read_bytes()
    # The upper one does not come up on the bare mount point of the lower one.
    refused = upper.tdefs("mount", upper.name, check=False)
    assert refused.returncode != 0 and "next: " in refused.stderr
    lower.mount()
    upper.mount()
    assert (upper.mount_point / "f").read_bytes() == MARKER * 1000
    # Each rotates by itself; the lower one cannot go while the upper one is on it.
    for v in lower, upper:
        v.vault.command("key", "create", "tde")
        v.ctl("rotate", v.name)
    assert lower.tdefs("unmount", lower.name, check=False).returncode != 0
    assert (upper.mount_point / "f").read_bytes() == MARKER * 1000


def alarms(v):
    return {a["name"] for a in v.status()["alarms"]}


def test_what_the_upper_volume_cannot_write_is_an_alarm(layers):
    lower, upper = layers
    lower.ctl("lock", lower.name)
    lower.reach("inaccessible", "locked")
    assert "state_not_kept" not in alarms(upper)  # it has nothing to write
    result = upper.ctl("lock", upper.name, check=False)
    assert result.returncode == 1 and "a restart would not know" in result.stderr, result.stderr
    upper.reach("inaccessible", "locked")
    wait_for(lambda: "state_not_kept" in alarms(upper), "the alarm")
    for v in lower, upper:
        v.ctl("resume", v.name)
        v.reach("online")
    wait_for(lambda: "state_not_kept" not in alarms(upper), "the alarm to end")
    assert not alarms(lower)


def test_a_platform_key_below_needs_no_vault(directory):
    """As a cloud does it: a key of the host beneath, and the customer's above."""
    place = directory / "lower"
    place.mkdir()
    lower = Volume(place, "lower")
    with running_vault(directory / "server") as vault:
        try:
            lower.format()
            lower.mount()
            upper = GuardedVolume(directory, vault, backing=lower.mount_point / "upper")
            refused = upper.ctl("format", upper.name, check=False)
            assert refused.returncode == 2 and "unsupported_backing" in refused.stderr
            upper.write_config(unsupported_backing="yes")
            upper.format()
            upper.mount()
            (upper.mount_point / "f").write_bytes(MARKER)
            upper.ctl("verify", upper.name)
            lower.ctl("verify", lower.name)
            upper.close()
        finally:
            lower.close()
