# SPDX-License-Identifier: Apache-2.0
"""README's story of a protector: its commands, in their order, as they stand there."""

import os
import re

import pytest
from conftest import BUILD, is_mounted, run
from documents import sh_of
from vault_server import VaultServer

VOLUMES = ("sales", "fresh")
ALL = (*VOLUMES, "copy")  # which the story makes itself


class Host:
    """What README's host has, below a directory: its places, its vault, its configuration."""

    def __init__(self, directory):
        self.directory = directory
        for place in ("etc/tdefs", "var/lib", "backup", *(f"srv/{v}" for v in VOLUMES)):
            (directory / place).mkdir(parents=True)
        for volume in VOLUMES:
            (directory / "srv/tdefs" / volume).mkdir(mode=0o700, parents=True)
        self.vault = VaultServer(directory)
        self.vault.data = directory / "var/lib/tdefs-vault"
        self.vault.master_key = directory / "tdefs-vault-master-key"  # a systemd credential

    def configure(self):
        self.vault.start()
        identity = self.vault.identity("dbhost", grant=None)
        secret = self.directory / "etc/tdefs/client-secret"
        secret.touch(0o600)
        secret.write_text(identity.secret + "\n")
        (self.directory / "etc/tdefs/tdefs.conf").write_text(
            f"[server]\nprotector = {self.vault.url}/keys/tde\nidentity = client-secret\n"
            f"client_id = {identity.client_id}\nclient_secret_file = {secret}\n"
            f"authority_host = {self.vault.url}\nca_file = {self.vault.data}/ca.pem\n"
            f"state_dir = {self.directory}/state\nruntime_dir = {self.directory}/run\n"
            f"event_dir = {self.directory}/events\nlog = {self.directory}/log\n"
            + "".join(f"[volume {v}]\nbacking = {self.directory}/srv/tdefs/{v}\n"
                      f"mount = {self.directory}/srv/{v}\n" for v in VOLUMES))

    def here(self, command):
        """README's places are below the directory, and its vault has the port that was free."""
        command = re.sub(r"(?<![\w./])/(etc|srv|backup|var/lib)/", rf"{self.directory}/\1/", command)
        command = re.sub(r"(?<![\w./])/(backup)\b(?!/)", rf"{self.directory}/\1", command)
        return command.replace("127.0.0.1:8443", self.vault.address)

    def sh(self, script):
        return run("sh", "-eux", "-c", self.here(script),
                   env={"PATH": f"{BUILD}:{os.environ['PATH']}",
                        "TDEFS_CONFIG": str(self.directory / "etc/tdefs/tdefs.conf"),
                        "CREDENTIALS_DIRECTORY": str(self.directory),
                        "ASAN_OPTIONS": "detect_leaks=0"})

    def close(self):
        for volume in ALL:
            if is_mounted(self.directory / "srv" / volume):
                self.sh(f"tdefs unmount {volume}")
        self.vault.close()


@pytest.fixture
def host(directory):
    made = Host(directory)
    yield made
    made.close()


def test_the_life_of_a_protector(host):
    host.configure()
    blocks = sh_of("README.md", "The life of a protector")
    assert len(blocks) > 5
    # One shell, as its reader's; what it said is shown when a command fails.
    printed = host.sh("\n".join(blocks)).stdout
    assert "not yet" in printed
    # What it says in the end is so: everything is there, under the new key alone.
    where = host.directory / "srv"
    assert {(where / v / "orders").read_text() for v in ALL} == {"100 orders\n"}
    for volume in ALL:
        slots = host.sh(f"tdefsctl header dump {volume}").stdout
        assert "/keys/tde2/" in slots and "/keys/tde/" not in slots, slots
