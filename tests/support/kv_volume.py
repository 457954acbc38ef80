# SPDX-License-Identifier: Apache-2.0
"""A volume whose protector is in a tdefs-vault."""

from conftest import Volume
from vault_server import b64


class VaultVolume(Volume):
    """A volume with a protector in a tdefs-vault, by the client secret of an identity of its own."""

    def __init__(self, directory, vault, name="sales", kid=None, policy="", **settings):
        self.vault = vault
        self.identity = vault.identity(name, grant=None)
        vault.command("grant", name, "tde", "get,wrapKey,unwrapKey")
        self.secret_file = directory / f"{name}.secret"
        self.secret_file.write_text(self.identity.secret + "\n")
        self.secret_file.chmod(0o600)
        self.kid, self.policy = kid or f"{vault.url}/keys/tde", policy
        self.more_environment = {}
        super().__init__(directory, name, key=self.secret_file, **settings)

    def write_config(self, **settings):
        self.settings.update(settings)
        s = {"protector": self.kid, "identity": "client-secret", "ca_file": self.vault.data / "ca.pem",
             "client_id": self.identity.client_id, "client_secret_file": self.secret_file,
             "authority_host": self.vault.url, "state_dir": self.state,
             "runtime_dir": self.directory / "run", "event_dir": self.directory / "events",
             "log": self.log, **self.written_settings()}
        lines = "".join(f"{k} = {v}\n" for k, v in s.items() if v is not None)
        self.config.write_text(f"[policy]\n{self.policy}\n[server]\n{lines}[volume {self.name}]\n"
                               f"backing = {self.backing}\nmount = {self.mount_point}\n")

    def environment(self):
        return {**super().environment(), **self.more_environment}

    def requirements(self, *args):
        report = self.ctl_json("check", *(args or [self.name]))
        return {r["requirement"]: r for r in report["requirements"]}

    def dek(self):
        """The DEK in the clear, as the vault gives it to whoever may unwrap."""
        slot = next(s for s in self.ctl_json("header", "dump", self.name)["slots"] if s["state"] == "active")
        path = slot["kid"].removeprefix(self.vault.url)
        return self.identity.login().unwrap(path, b64(bytes.fromhex(slot["wrapped_dek"])))

    def active_kid(self):
        found = self.ctl_json("header", "dump", self.name)["slots"]
        return next(s["kid"] for s in found if s["state"] == "active")
