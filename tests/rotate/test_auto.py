# SPDX-License-Identifier: Apache-2.0
"""
A newer version of the protector's key is taken without being asked for, or not, and why; and what is
told of a protector that expires. Minutes pass by an injected clock, and a reload wakes whoever waits.
"""

import contextlib
import time

import pytest
from conftest import wait_for
from exposition import Metrics
from guard_kit import GuardedVolume
from two_vaults import TwoVaultVolume, new_key, two_vaults

MINUTE, DAY = 60, 24 * 3600
DATA = b"written under the first key\n"
AUTO = {"auto_rotate": "yes", "rotation_poll": f"{MINUTE}s"}


@pytest.fixture
def make(directory, vault):
    """A function that makes a volume, formatted, and not mounted yet."""
    with contextlib.ExitStack() as stack:
        def made(**settings):
            volume = GuardedVolume(directory, vault, **settings)
            stack.callback(volume.close)
            volume.format()
            return volume

        yield made


def told(v, name):
    return [e for e in v.events() if e["event"] == name]


def alarms(v):
    return [a["name"] for a in v.status()["alarms"]]


def metric(v, name):
    return Metrics(v.control("metrics")["metrics"]).value(name, volume=v.name)


def newest(v, key="tde"):
    """Make a version of the key; its kid."""
    version = v.vault.command_json("key", "rotate", key)["key"]["kid"].rsplit("/", 1)[1]
    return f"{v.vault.url}/keys/{key}/{version}"


def until_used(v, kid):
    wait_for(lambda: v.status()["protector"]["kid"] == kid, lambda: f"{kid} in use; it is {v.status()}")


def pass_minutes(world, v, count=2):
    world.pass_time(count * MINUTE)
    v.ctl("reload", v.name)


def until_taken(world, v, kid):
    """As many pauses pass as it takes: each try that was in vain sets the time of the next."""
    tried = [0]

    def taken():
        status = v.status()
        if status["protector"]["kid"] == kid:
            return True
        if status["auto_rotation"]["at"] != tried[0]:
            tried[0] = status["auto_rotation"]["at"]
            pass_minutes(world, v)
        return False

    wait_for(taken, lambda: f"{kid} in use; it is {v.status()}")


def turn(v, on):
    """What nobody asks for does not come in between."""
    v.write_config(auto_rotate="yes" if on else "no")
    v.ctl("reload", v.name)


def refused(v, code, *texts, args=()):
    result = v.ctl("rotate", v.name, *args, check=False)
    assert result.returncode == code, result.stdout + result.stderr
    for text in texts:
        assert text in result.stderr, result.stderr


def test_a_newer_version_is_taken(make):
    """Soon after the mount, within a quarter of rotation_poll."""
    v = make(**AUTO)
    first = v.active_kid()
    v.mount()
    (v.mount_point / "f").write_bytes(DATA)
    assert v.status()["auto_rotation"] == {"enabled": True, "at": None, "held": False, "left": False, "failures": 0,
                                           "error": None, "next": None}
    v.unmount()
    kid = newest(v)
    v.mount()
    until_used(v, kid)
    event = wait_for(lambda: told(v, "rotated"), "the event")[0]
    assert (event["by"], event["before"]["kid"], event["after"]["kid"]) == ("auto_rotate", first, kid)
    assert not event["pinned"] and told(v, "newer_version")[0]["kid"] == kid
    status = v.status()
    assert status["rotation"]["by"] == "auto_rotate" and not status["alarms"]
    wait_for(lambda: v.status()["auto_rotation"]["at"] is None, "nothing more to be done")
    v.remount()
    assert (v.mount_point / "f").read_bytes() == DATA and v.active_kid() == kid
    # By hand it is an operator's.
    turn(v, on=False)
    newest(v)
    assert "rotated" in v.ctl("rotate", v.name).stdout
    assert v.status()["rotation"]["by"] == "operator"


def test_a_given_version_is_only_the_start(directory, vault):
    """It is what a volume is formatted by; from then on each version of that key is the protector."""
    v = GuardedVolume(directory, vault, **AUTO)
    start = newest(v)
    second = newest(v)
    v.kid = start
    v.write_config()
    try:
        v.format()
        assert v.active_kid() == start
        v.mount()
        until_used(v, second)
        assert not v.status()["protector_drift"] and alarms(v) == []
        v.remount()
        turn(v, on=False)
        assert v.status()["protector_drift"]  # before the next mount refuses
        turn(v, on=True)
        assert not v.status()["protector_drift"]
        v.unmount()
        third = newest(v)
        v.ctl("rotate", v.name)
        assert v.active_kid() == third
    finally:
        v.close()


def test_an_older_version_pins(make):
    """For plain rotations, and for those that nobody asks for, over mounts; mounted or not."""
    v = make()
    first = v.active_kid()
    second = newest(v)
    v.mount()
    v.ctl("rotate", v.name, "--to", second)
    assert not v.status()["protector"]["pinned"]  # it is the newest
    answer = v.ctl_json("rotate", v.name, "--to", first)
    assert answer["pinned"] and answer["after"]["kid"] == first and v.status()["protector"]["pinned"]
    assert told(v, "rotated")[-1]["pinned"]
    refused(v, 2, "it is pinned to " + first, "--unpin")
    refused(v, 2, "--unpin takes the newest", args=("--to", second, "--unpin"))
    v.unmount()
    refused(v, 2, "it is pinned to " + first)
    assert v.ctl_json("header", "dump", v.name)["pinned"]
    assert "pinned" in v.ctl("header", "dump", v.name).stdout
    v.write_config(**AUTO)
    v.mount()
    wait_for(lambda: v.status()["auto_rotation"]["left"], "the decision")
    assert v.active_kid() == first and alarms(v) == [] and v.status()["auto_rotation"]["at"] is None
    assert "pinned to this version" in v.ctl("status", v.name).stdout
    assert metric(v, "tdefs_protector_pinned") == 1 and metric(v, "tdefs_protector_newer_version") == 1
    turn(v, on=False)
    answer = v.ctl_json("rotate", v.name, "--unpin")
    assert answer["rotated"] and not answer["pinned"] and v.active_kid() == second
    assert not v.ctl_json("header", "dump", v.name)["pinned"]
    # The version stays, the pin comes and goes.
    third = newest(v)
    answer = v.ctl_json("rotate", v.name, "--to", second)
    assert answer["pinned"] and not answer["rotated"]
    v.unmount()
    assert v.ctl_json("rotate", v.name, "--unpin")["after"]["kid"] == third
    v.mount()
    assert v.status()["protector"]["kid"] == third


@pytest.mark.unsanitized("libworld.so is none of a sanitizer's")
def test_what_fails_is_alarmed_and_tried_again(world, make):
    v = make(**AUTO)
    v.more_environment = world.environment()
    first = v.active_kid()
    v.vault.fault("add", "status", "/keys/tde/*/wrapkey", "403,Forbidden,ForbiddenByRbac")
    kid = newest(v)
    v.mount()
    header = (v.backing / ".tdefs/header").read_bytes()

    def failures():
        return v.status()["auto_rotation"]["failures"]

    pauses = []
    for n in (1, 2, 3):
        wait_for(lambda n=n: failures() == n, lambda n=n: f"failure {n}; it is {v.status()['auto_rotation']}")
        last = v.status()
        pauses.append(last["auto_rotation"]["at"] - last["rotation"]["at"])
        assert alarms(v) == ["rotation_failed"] and "403" in last["auto_rotation"]["error"]
        assert last["auto_rotation"]["next"] and last["state"] == "online"
        pass_minutes(world, v, 2 ** n)
    assert pauses[0] < pauses[1] < pauses[2]
    wait_for(lambda: len(told(v, "rotation_failed")) >= 3, "the events")
    assert {e["by"] for e in told(v, "rotation_failed")} == {"auto_rotate"}
    assert (v.backing / ".tdefs/header").read_bytes() == header and v.active_kid() == first
    assert metric(v, "tdefs_rotation_failures") >= 3 and "rotation_failed" in v.ctl("status", v.name).stdout
    v.vault.fault("clear")
    pass_minutes(world, v, 70)
    until_taken(world, v, kid)
    wait_for(lambda: alarms(v) == [], "the alarm to end")
    assert failures() == 0


@pytest.mark.unsanitized("libworld.so is none of a sanitizer's")
def test_it_waits_for_the_second_vault(world, directory):
    with two_vaults(directory) as (one, two):
        v = TwoVaultVolume(directory, one, two, **AUTO)
        v.more_environment = world.environment()
        try:
            held_and_taken(world, directory, v, one, two)
        finally:
            v.close()


def held_and_taken(world, directory, v, one, two):
    v.format()
    two.command("grant", "sales", "tde", "get,unwrapKey,list")
    pem = new_key(directory / "next.pem")
    one.command("key", "import", "tde", pem)
    first = v.active_kid()
    v.mount()
    wait_for(lambda: (lambda s: s["auto_rotation"]["at"] or s["auto_rotation"]["held"])(v.status()), "it to be found")
    pass_minutes(world, v)
    wait_for(lambda: v.status()["auto_rotation"]["held"], lambda: f"the hold; it is {v.status()}")
    turn(v, on=False)
    assert alarms(v) == []  # nobody wants it any more
    turn(v, on=True)
    wait_for(lambda: v.status()["auto_rotation"]["at"], "it to be found again")
    pass_minutes(world, v)
    wait_for(lambda: v.status()["auto_rotation"]["held"], lambda: f"the hold; it is {v.status()}")
    event = wait_for(lambda: told(v, "rotation_held"), "the event")[0]
    assert event["secondary"] == v.settings["secondary"] and event["kid"] == v.status()["protector"]["newest"]["kid"]
    assert alarms(v) == ["rotation_held"] and "secondary" in v.status()["auto_rotation"]["error"]
    # Also while that vault does not answer; told of once.
    two.kill()
    asked = v.status()["auto_rotation"]["at"]
    pass_minutes(world, v)
    wait_for(lambda: v.status()["auto_rotation"]["at"] > asked, "the next try")
    two.start(listen=two.address)
    two.command("key", "import", "tde", pem)
    until_taken(world, v, event["kid"])
    assert first != event["kid"] and len(told(v, "rotation_held")) == 1
    wait_for(lambda: v.secondary()["proved_at"] and not v.secondary()["ha_broken"], "the proof by the new key")
    wait_for(lambda: alarms(v) == [], "the alarms to end")


@pytest.mark.unsanitized("libworld.so is none of a sanitizer's")
def test_after_a_change_to_another_key_that_one_is_asked_for(world, make):
    v = make(**AUTO)
    v.more_environment = world.environment()
    v.mount()
    v.vault.command("key", "create", "other")
    v.vault.command("grant", v.name, "other", "get,wrapKey,unwrapKey")
    old, v.kid = v.kid, f"{v.vault.url}/keys/other"
    v.write_config(linked=old)
    v.vault.command("key", "rotate", "tde")
    v.ctl("reload", v.name)
    pass_minutes(world, v)  # a newer one of the key that goes is nobody's any more
    wait_for(lambda: v.status()["protector_drift"], "the drift")
    assert v.status()["protector"]["kid"].startswith(old)
    v.ctl("rotate", v.name)
    assert v.status()["protector"]["kid"].startswith(v.kid + "/")
    until_taken(world, v, newest(v, "other"))
    assert alarms(v) == []


def test_a_protector_that_expires_is_told_of_and_goes_on_opening(make):
    v = make(expiry_warning="30d")
    first = v.active_kid()
    path = first.removeprefix(v.vault.url)
    admin = v.vault.identity("admin").login()

    def set_expiry(days):
        at = int(time.time()) + days * DAY
        admin.ok("PATCH", path, {"attributes": {"exp": at}})
        return at

    set_expiry(40)
    v.mount()
    (v.mount_point / "f").write_bytes(DATA)
    wait_for(lambda: v.status()["protector"]["expires"], "the date")
    assert alarms(v) == [] and "expires" in v.ctl("status", v.name).stdout
    at = set_expiry(10)
    wait_for(lambda: alarms(v) == ["expiry"], "the alarm")
    v.answers("granted")
    event, = wait_for(lambda: told(v, "protector_expires"), "the event")
    assert (event["kid"], event["expires"], event["expired"]) == (first, at, False)
    assert metric(v, "tdefs_protector_expiry_timestamp_seconds") == at
    # Expired: it opens, also anew, and wraps nothing.
    set_expiry(-1)
    wait_for(lambda: len(told(v, "protector_expires")) == 2, "another date")
    assert told(v, "protector_expires")[-1]["expired"] is True
    v.answers("granted")
    v.remount()
    v.answers("granted")
    assert v.now() == "online" and (v.mount_point / "f").read_bytes() == DATA and alarms(v) == ["expiry"]
    refused(v, 2, "expiration-date", "goes on opening volumes")
    newest(v)
    v.ctl("rotate", v.name)
    assert v.active_kid() != first
    wait_for(lambda: alarms(v) == [], "the alarm to end")
