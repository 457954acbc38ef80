# SPDX-License-Identifier: Apache-2.0
"""[policy]: what is recorded, what is refused, and what tdefsctl policy says of it."""

import json
import shutil

import pytest
from conftest import Volume, wait_for
from guard_kit import GuardedVolume
from kv_volume import VaultVolume


def events(v, name):
    path = v.directory / "events" / f"{v.name}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [e for e in map(json.loads, lines) if e["event"] == name]


def acts_told(v, name):
    return [(e["act"], e["policy"]) for e in events(v, name)]


class PlatformVolume(Volume):
    """By a PEM file, with a policy."""

    policy = ""

    def set_policy(self, policy):
        self.policy = policy
        self.write_config()

    def write_config(self, **settings):
        super().write_config(**settings)
        text = self.config.read_text(encoding="utf-8")
        self.config.write_text(f"[policy]\n{self.policy}\n{text}")


@pytest.fixture
def platform(directory):
    made = PlatformVolume(directory, "sales")
    yield made
    made.close()


def complies(v, *args):
    """The exit code, and of the volume each rule's state."""
    result = v.ctl("--json", "policy", *args, check=False)
    answer = json.loads(result.stdout)
    assert answer["exit_code"] == result.returncode
    volume = answer["volumes"][0]
    return result.returncode, {name: rule["state"] for name, rule in volume["rules"].items()}


# effect, and what it makes of each act with a platform key
TABLE = {"audit": "noted", "deny": "refused", "disabled": "allowed"}


def expect(v, act, effect, answer, *command):
    """It is done or refused, and told of, as the table says."""
    before = len(events(v, "policy_noted")), len(events(v, "policy_refused"))
    result = v.ctl(*command, check=False)
    assert result.returncode == (7 if answer == "refused" else 0), (act, effect, result.stderr)
    told = [(act, "customer_managed_key")]
    expected = {"noted": (told, []), "refused": ([], told), "allowed": ([], [])}[answer]

    def new_ones():
        return acts_told(v, "policy_noted")[before[0]:], acts_told(v, "policy_refused")[before[1]:]

    # A daemon's events are written in their own time.
    wait_for(lambda: new_ones() == expected, lambda: f"{act}, {effect}: {new_ones()}")
    if answer == "refused":
        assert "customer_managed_key = deny" in result.stderr and "next: " in result.stderr


@pytest.mark.parametrize("effect", TABLE)
def test_each_row_of_the_table(platform, directory, effect):
    v, answer = platform, TABLE[effect]
    v.set_policy(f"customer_managed_key = {effect}")
    expect(v, "format", effect, answer, "format", v.name)
    if answer == "refused":
        assert not (v.backing / ".tdefs").exists() and not v.remembered()
        v.set_policy("customer_managed_key = disabled")
        v.format()
        v.set_policy("customer_managed_key = deny")
    # Another file each time: a key that is the protector already is no rotation.
    keys = [directory / f"{n}.pem" for n in range(2)]
    for key in keys:
        Volume.make_key(key)

    def with_another_key(act, *command):
        was, v.key = v.key, keys.pop()
        v.write_config(linked=f"file:{was}")
        expect(v, act, effect, answer, act, *command)
        if answer == "refused":
            v.key = was
            v.write_config()

    with_another_key("rotate", v.name)
    copy = directory / "copy"
    shutil.copytree(v.backing, copy)
    with_another_key("rewrap", str(copy), "--to", f"file:{keys[0]}")
    # A policy keeps no volume down.
    noted = len(events(v, "policy_noted"))
    v.mount()
    assert v.status()["protector"]["kind"] == "platform"
    v.unmount()
    assert acts_told(v, "policy_noted")[noted:] == \
        ([] if effect == "disabled" else [("mount", "customer_managed_key")])
    code, rules = complies(v)
    assert (code, rules["customer_managed_key"]) == \
        ((0, "off") if effect == "disabled" else (7, "non-compliant"))
    assert rules["require_purge_protection"] == rules["allowed_vaults"] == "n/a"


def test_a_mounted_volume_is_refused_by_the_policy_of_now(platform, directory):
    v = platform
    v.format()
    v.mount()
    old, v.key = v.key, directory / "new.pem"
    Volume.make_key(v.key)
    v.write_config(linked=f"file:{old}")
    v.set_policy("customer_managed_key = deny")
    assert "customer_managed_key" in v.ctl("reload", v.name).stdout
    expect(v, "rotate", "deny", "refused", "rotate", v.name)
    assert v.status()["protector"]["kid"] == f"file:{old}"
    v.set_policy("customer_managed_key = audit")
    expect(v, "rotate", "audit", "noted", "rotate", v.name)


@pytest.fixture
def local(directory, vault):
    made = []

    def make(policy="", **settings):
        made.append(GuardedVolume(directory, vault, policy=policy, **settings))
        return made[-1]

    yield make
    for v in made:
        v.close()


def refused_by(v, policy, *command):
    before = len(events(v, "policy_refused"))
    result = v.ctl(*command, check=False)
    assert result.returncode == 7, result.stdout + result.stderr
    wait_for(lambda: len(events(v, "policy_refused")) > before, "the event")
    told = events(v, "policy_refused")[before:]
    assert [e["policy"] for e in told] == [policy] and told[0]["kind"] == "local-vault"
    assert told[0]["error"] in result.stderr


def set_policy(v, policy):
    v.policy = policy
    v.write_config()


def test_each_other_policy_refuses_by_its_name(local):
    v = local("customer_managed_key = deny\nminimum_rsa_bits = 4096")
    v.vault.command("key", "create", "tde", "--size", "3072")
    refused_by(v, "minimum_rsa_bits", "format", v.name)
    set_policy(v, "customer_managed_key = deny\nrequire_key_backup = yes")
    refused_by(v, "require_key_backup", "format", v.name)
    v.ctl("format", v.name, "--key-is-backed-up")
    code, rules = complies(v)
    assert code == 0 and rules["require_key_backup"] == "n/a", rules
    assert {rules[r] for r in ("customer_managed_key", "minimum_rsa_bits", "require_purge_protection",
                               "allowed_vaults")} == {"compliant"}
    assert not events(v, "policy_noted")
    v.vault.command("key", "create", "tde", "--size", "3072")
    refused_by(v, "require_key_backup", "rotate", v.name)
    refused_by(v, "allowed_vaults", "rotate", v.name, "--to", "https://elsewhere.test/keys/tde")
    set_policy(v, "minimum_rsa_bits = 4096")
    refused_by(v, "minimum_rsa_bits", "rotate", v.name)
    code, rules = complies(v, v.name)
    assert code == 7 and rules["minimum_rsa_bits"] == "non-compliant"
    text = v.ctl("policy", check=False).stdout
    assert "(local-vault)" in text and "RSA of 3072 bits, at least 4096" in text and "next: " in text


def test_what_no_vault_tells_is_unknown(local):
    v = local()
    v.format()
    v.vault.kill()
    code, rules = complies(v)
    assert code == 8 and rules["require_purge_protection"] == "unknown", rules
    set_policy(v, "minimum_rsa_bits = 4096")
    assert complies(v)[0] == 7  # it outweighs what is not known
    set_policy(v, "require_purge_protection = no")
    assert complies(v)[0] == 0
    shutil.rmtree(v.backing / ".tdefs")
    result = v.ctl("--json", "policy", check=False)
    assert result.returncode == 1 and json.loads(result.stdout)["volumes"][0]["compliant"] is None
    assert v.ctl("policy", "nobody", check=False).returncode == 2


def test_a_previous_slot_of_the_platform_does_not_comply(local, directory, vault):
    v = local()
    pem = directory / "old.pem"
    Volume.make_key(pem)
    v.kid = f"file:{pem}"
    v.write_config()
    v.format()
    v.kid = f"{vault.url}/keys/tde"
    v.write_config(linked=f"file:{pem}")
    v.ctl("rotate", v.name)
    code, rules = complies(v)
    assert (code, rules["customer_managed_key"]) == (7, "non-compliant")
    v.ctl("rotate", v.name, "--retire")
    assert complies(v)[0] == 0


def test_a_vault_without_purge_protection_does_not_comply(directory):
    from vault_server import running_vault
    with running_vault(directory / "lax", "--no-purge-protection") as server:
        v = VaultVolume(directory, server)
        refused_by(v, "require_purge_protection", "format", v.name)
        set_policy(v, "require_purge_protection = no")
        v.format()
        assert complies(v)[0] == 0
        set_policy(v, "")
        code, rules = complies(v)
        assert (code, rules["require_purge_protection"]) == (7, "non-compliant")
