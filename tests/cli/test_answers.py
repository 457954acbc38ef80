# SPDX-License-Identifier: Apache-2.0
"""How the programs answer: help, and questions before what cannot be undone."""

import os
import subprocess

import pytest
from conftest import BUILD, run
from vault_server import VaultServer

ENV = {"ASAN_OPTIONS": "detect_leaks=0"}


@pytest.fixture
def still_vault(directory):
    """A vault without purge protection that no server runs on."""
    server = VaultServer(directory, "--no-purge-protection")
    try:
        server.start()
        server.stop()
        yield server
    finally:
        server.close()


def on_terminal(command, typed, env=None):
    """Exit code and output of a command on a terminal of its own, where this is typed."""
    master, slave = os.openpty()
    with subprocess.Popen([str(c) for c in command], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                          env={**os.environ, **ENV, **(env or {})}) as process:
        os.close(slave)
        os.write(master, typed)
        shown = b""
        try:
            while part := os.read(master, 4096):
                shown += part
        except OSError:
            pass  # EIO: the last of them has closed it
    os.close(master)
    return process.returncode, shown.decode()


def fits_a_screen(text):
    lines = text.splitlines()
    return len(lines) <= 24 and max(map(len, lines)) <= 80


def test_help_fits_a_screen():
    for program in "tdefs", "tdefsctl", "tdefs-vault":
        assert fits_a_screen(run(BUILD / program, "--help").stdout)
    table = run(BUILD / "tdefsctl", "--help").stdout.split("VERB --help\n")[1].split("NAME is")[0]
    verbs = [line[at:].split()[0] for line in table.splitlines() for at in (2, 42) if line[at:]]
    assert {"format", "status", "rotate", "safe-to-restart"} <= set(verbs)
    for verb in verbs:
        text = run(BUILD / "tdefsctl", verb, "--help").stdout
        assert text.startswith(f"usage: tdefsctl {verb}") and fits_a_screen(text), text


# What cannot be undone.

def test_a_vault_asks_before_it_destroys(still_vault):
    v = still_vault

    def typed(answer, *args):
        return on_terminal([BUILD / "tdefs-vault", *args, *v.arguments()], answer)

    v.command("key", "create", "tde")
    v.command("key", "delete", "tde")
    v.identity("app")
    for args, question in ((("key", "purge", "tde"), "Destroy key tde"), (("identity", "remove", "app"), "Remove identity app")):
        refused = v.command(*args, check=False)
        assert refused.returncode == 1 and refused.stdout == ""
        assert "not confirmed: nothing was changed\n  next: answer y, or give --yes" in refused.stderr
        for answer in b"n\n", b"\n", b"\4":
            code, shown = typed(answer, *args)
            assert code == 1 and question in shown and "[y/N]" in shown and "not confirmed" in shown
    assert len(v.command_json("key", "list")["deleted"]) == len(v.command_json("identity", "list")["identities"]) == 1
    assert typed(b"y\n", "identity", "remove", "app")[0] == 0
    assert v.command_json("identity", "list")["identities"] == []
    v.command("key", "purge", "tde", "--yes")
    assert v.command_json("key", "list")["deleted"] == []
