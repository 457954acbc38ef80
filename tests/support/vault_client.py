# SPDX-License-Identifier: Apache-2.0
"""The driver tests/vault/vault_call, its configuration, its environment and its answers."""

import json
import os
import subprocess

from conftest import BUILD


def clean_environment(**more):
    """Nothing of the host's own identities and proxies."""
    unwanted = ("AZURE_", "IDENTITY_", "IMDS_", "MSI_", "TDEFS_CONFIG")
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(unwanted) and not k.lower().endswith("_proxy")}
    return {**env, **more}


class Client:
    def __init__(self, directory):
        self.directory = directory
        self.config = directory / "tdefs.conf"
        self.defaults = {}
        self.more_environment = {}

    def configure(self, protector, **settings):
        """A setting of None is left out."""
        lines = "".join(f"{k} = {v}\n" for k, v in {**self.defaults, **settings}.items()
                        if v is not None)
        self.config.write_text(f"[server]\nprotector = {protector}\n{lines}"
                               f"[volume v]\nbacking = /b\nmount = /m\n")
        return self

    def secret_file(self, name, text):
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def environment(self, **more):
        return clean_environment(
            ASAN_OPTIONS=f"log_path={self.directory}/sanitizer",
            UBSAN_OPTIONS=f"print_stacktrace=1:log_path={self.directory}/sanitizer",
            **{**self.more_environment, **more})

    def start(self, operations, timeout_ms=None, **env):
        """The driver, running; see vault_call.c for what it is told."""
        return subprocess.Popen(
            [str(a) for a in (BUILD / "tests/vault_call", self.config, "v", operations,
                              *([timeout_ms] if timeout_ms else []))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=self.environment(**env))

    def calls(self, operations, timeout_ms=None, **env):
        """The answers of the operations, one each."""
        process = self.start(operations, timeout_ms, **env)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, (process.returncode, out, err)
        return [json.loads(line) for line in out.splitlines()]

    def call(self, operation, timeout_ms=None, **env):
        (answer,) = self.calls(operation, timeout_ms, **env)
        return answer

    def close(self):
        reports = list(self.directory.glob("sanitizer*"))
        assert not reports, "sanitizer: " + "".join(r.read_text() for r in reports)


def expect(answer, verdict, *texts, alarm=False):
    """The verdict, what its sentence says, and that there is a next step."""
    assert answer["verdict"] == verdict, answer
    assert answer["credential_alarm"] is alarm, answer
    for text in texts:
        assert text.lower() in answer["error"].lower(), answer
    if verdict != "granted":
        assert answer["next"], answer
