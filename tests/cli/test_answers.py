# SPDX-License-Identifier: Apache-2.0
"""How the programs answer: help, questions before what cannot be undone, JSON, and nothing for a terminal in a pipe."""

import json
import os
import re
import signal
import subprocess

import pytest
from conftest import BUILD, is_mounted, run
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


def verbs_of(program):
    return [line.split("\t")[0] for line in run(BUILD / program, "--complete", "", env=ENV).stdout.splitlines()]


def test_help_fits_a_screen():
    for program in "tdefs", "tdefsctl", "tdefs-vault", "mount.tdefs", "mount.fuse.tdefs":
        text = run(BUILD / program, "--help", env=ENV).stdout
        assert text.startswith("usage: ") and fits_a_screen(text), text
    for program in "tdefsctl", "tdefs-vault":
        assert len(verbs_of(program)) > 10
        for verb in verbs_of(program):
            text = run(BUILD / program, verb, "--help", env=ENV).stdout
            assert re.match(rf"usage: {program} {verb}\b", text) and fits_a_screen(text), text


def test_mount_names_itself_and_not_its_path():
    for program in "mount.tdefs", "mount.fuse.tdefs":
        result = run(BUILD / program, "-x", "sales", "/mnt", check=False, env=ENV)
        assert result.returncode == 1 and result.stderr.startswith(f"{program}: "), result.stderr
        assert str(BUILD) not in result.stderr and "\n  next: " in result.stderr


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


# JSON, and terminals.

# What a verb is called with besides the volume's name; it may fail, but not without an answer.
CTL = {"accept-lost": ["sales", "f", "--dry-run"], "header": ["dump", "sales"], "extend": ["sales", "--for", "1m"],
       "drill": ["sales", "--denial", "--for", "1s", "--yes"], "protectors": [], "freeze": ["sales", "--for", "1s"],
       "link": ["sales", "file:/k"], "unlink": ["sales", "file:/k"], "safe-to-disable": ["file:/k"],
       "rewrap": ["sales", "--to", "file:/k"], "import": ["/nonexistent", "sales"],
       "export": ["sales", "/nonexistent", "--dry-run"]}
VAULT = {"key": ["list"], "identity": ["list"], "grant": ["app", "*", "all"], "revoke": ["app", "*", "all"],
         "firewall": ["list"], "backup": ["copy"], "restore": ["copy"], "fault": ["list", "--allow-test-faults"],
         "serve": ["--listen", "nonsense"]}


def check_json(result, verb, least=1):
    lines = result.stdout.splitlines()
    assert len(lines) >= least, (verb, result.stderr)
    for line in lines:
        first = next(iter(json.loads(line)))
        assert first == ("v" if verb == "events" and result.returncode == 0 else "schema"), line


def check_plain(result, verb):
    assert "\x1b" not in result.stdout + result.stderr, verb


def test_every_verb_of_tdefsctl_answers_json_and_nothing_for_a_terminal(make_volume):
    v = make_volume()
    (v.mount() / "f").write_text("x")
    for verb in verbs_of("tdefsctl"):
        args = CTL.get(verb, ["sales"])
        check_plain(v.ctl(verb, *args, check=False), verb)
        check_json(v.ctl(verb, *args, "--json", check=False), verb)
        if verb != "protectors":
            check_json(v.ctl(verb, *args, "a", "few", "more", "--json", check=False), "")


def test_every_verb_of_the_vault_answers_json_and_nothing_for_a_terminal(still_vault, directory):
    v = still_vault
    v.identity("app")
    for verb in verbs_of("tdefs-vault"):
        args = [str(directory / "copy") if a == "copy" else a for a in VAULT.get(verb, [])]
        check_plain(v.command(verb, *args, check=False), verb)
        check_json(v.command(verb, *args, "--json", check=False), verb)
        check_json(v.command(verb, *args, "a", "few", "more", "or", "less", "--json", check=False), "")
    assert "\x1b" not in v.command("key", "show", "\x1b[2J", check=False).stderr
    # What it tells as soon as it serves; its log is no answer.
    with subprocess.Popen([BUILD / "tdefs-vault", "serve", *v.arguments(), "--listen", "127.0.0.1:0", "--json"],
                          stdout=subprocess.PIPE, text=True, env={**os.environ, **v.environment()}) as server:
        told = json.loads(server.stdout.readline())
        server.send_signal(signal.SIGTERM)
        assert server.stdout.read() == "" and next(iter(told)) == "schema"
    assert re.fullmatch(r"127\.0\.0\.1:\d+", told["listening"]) and told["managed_identity_port"] is None


def test_a_mount_answers_json(make_volume):
    v = make_volume()

    def answer(*args, code):
        result = v.tdefs("--json", *args, check=False)
        assert result.returncode == code and result.stdout.count("\n") == 1, (result.stdout, result.stderr)
        told = json.loads(result.stdout)
        assert next(iter(told)) == "schema"
        if code:
            assert told["exit_code"] == code and told["next"] in result.stderr and told["error"] in result.stderr
        return told

    assert verbs_of("tdefs") == ["mount", "unmount"]
    assert answer("mount", "sales", code=0) == {
        "schema": 1, "name": "sales", "mount": str(v.mount_point), "state": "online"}
    assert "mounted" in answer("mount", "sales", code=1)["error"]
    assert answer("unmount", "sales", code=0)["state"] == "not mounted"
    answer("unmount", "sales", code=5)
    answer("mount", "nonesuch", code=2)
    answer("frobnicate", "sales", code=2)
    assert "foreground" in answer("mount", "sales", "-f", code=2)["error"]
    v.key.rename(v.directory / "elsewhere")
    v.make_key(v.key)
    assert "wrong protector" in answer("mount", "sales", code=1)["error"]  # the daemon says so
    assert not is_mounted(v.mount_point)
    v.key.unlink()
    assert answer("mount", "sales", code=0)["state"] == "inaccessible"
    v.tdefs("unmount", "sales")


def test_a_terminal_gets_no_colour(make_volume):
    v = make_volume()
    v.mount()
    for verb in "status", "verify", "protectors":
        for env in {}, {"NO_COLOR": "1"}:
            args = [] if verb == "protectors" else ["sales"]
            command = [BUILD / "tdefsctl", "--config", v.config, verb, *args]
            shown = on_terminal(command, b"", {**v.environment(), "TERM": "xterm-256color", **env})[1]
            assert shown and not re.search(r"\x1b\[[0-9;:]*m", shown), shown


def test_a_search_tells_its_rate(make_volume, directory):
    v = make_volume()
    for i in range(100):
        (directory / f"tree/{i}").mkdir(parents=True)
    slow = ["strace", "-o", "/dev/null", "-e", "trace=getdents64", "-e", "inject=getdents64:delay_enter=5000"]
    code, shown = on_terminal([*slow, BUILD / "tdefsctl", "--config", v.config, "protectors", "--in", directory / "tree"],
                              b"", v.environment())
    assert code == 0 and re.search(r"searching: \d+ directories, [\d.]+ directories/s, \d+ headers", shown), shown
