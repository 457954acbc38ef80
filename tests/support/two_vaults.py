# SPDX-License-Identifier: Apache-2.0
"""A volume whose key is in two vaults."""

import contextlib
import subprocess

from conftest import wait_for
from guard_kit import GuardedVolume
from vault_server import VaultServer


def new_key(path):
    subprocess.run(["openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048",
                    "-out", path], check=True)
    return path


@contextlib.contextmanager
def two_vaults(directory):
    """Two tdefs-vaults that have the same key "tde"."""
    pem = new_key(directory / "tde.pem")
    with contextlib.ExitStack() as stack:
        servers = []
        for name in ("first", "second"):
            place = directory / name
            place.mkdir()
            server = VaultServer(place, "--no-purge-protection")
            stack.callback(server.close)
            server.start()
            server.command("key", "import", "tde", pem)
            servers.append(server)
        yield servers


class TwoVaultVolume(GuardedVolume):
    def __init__(self, directory, first, second, **settings):
        self.second = second
        self.other_identity = second.identity("sales", grant=None)
        second.command("grant", "sales", "tde", "get,unwrapKey")
        self.other_secret = directory / "second.secret"
        self.other_secret.write_text(self.other_identity.secret + "\n")
        self.other_secret.chmod(0o600)
        super().__init__(directory, first, policy="require_purge_protection = no",
                         secondary=f"{second.url}/keys/tde", **settings)

    def write_config(self, **settings):
        super().write_config(**settings)
        with self.config.open("a") as config:
            config.write(f"[vault {self.second.address}]\n"
                         f"client_id = {self.other_identity.client_id}\n"
                         f"client_secret_file = {self.other_secret}\n"
                         f"authority_host = {self.second.url}\nca_file = {self.second.data / 'ca.pem'}\n")

    def secondary(self):
        return self.status()["secondary"]

    def until(self, what, **facts):
        """Wait until the status of the secondary has these facts."""
        wait_for(lambda: facts.items() <= self.secondary().items(), lambda: f"{what}; it is {self.secondary()}")

    def until_served(self):
        self.until("the secondary to serve", serving=True)

    def alarms(self):
        return [a["name"] for a in self.status()["alarms"]]
