# SPDX-License-Identifier: Apache-2.0
"""What shells complete: all of what --help tells, and nothing else, in a bash, a zsh and a fish."""

import os
import re
import shlex
from pathlib import Path

import pytest
from conftest import BUILD, run

SCRIPTS = Path(__file__).resolve().parents[2] / "tools/completions"
PROGRAMS = ("tdefs", "tdefsctl", "tdefs-vault")
ENV = {"PATH": f"{BUILD}:{os.environ['PATH']}", "ASAN_OPTIONS": "detect_leaks=0", "LC_ALL": "C.UTF-8"}
KIDS = ["https://a.vault.azure.net/keys/tde", "https://b.vault.azure.net/keys/tde", "https://a.vault.azure.net/keys/old"]


@pytest.fixture
def config(directory):
    """Settings that complete, in a directory with names of its own."""
    (directory / "plain").mkdir()
    (directory / "plate").touch()
    path = directory / "tdefs.conf"
    path.write_text(f"[server]\nprotector = {KIDS[0]}\nsecondary = {KIDS[1]}\n"
                    + "".join(f"[volume {name}]\nbacking = /b/{name}\nmount = /m/{name}\n" for name in ("sales", "stock"))
                    + f"linked = {KIDS[2]}\n", encoding="utf-8")
    return path


def asked(program, *words):
    lines = run(BUILD / program, "--complete", *words, env=ENV).stdout.splitlines()
    return [line.split("\t")[0] for line in lines]


def bash(program, *words, cwd):
    """As readline calls it: words are broken at '=' and ':', too."""
    broken = [w for word in words for w in re.split(r"([=:])", word) if w or not word]
    if words[-1] and words[-1][-1] in ":=":
        broken.append("")
    script = (f"source {SCRIPTS}/tdefs.bash; COMP_WORDS=({shlex.join([program, *broken])}); "
              f"COMP_CWORD={len(broken)}; _tdefs_complete {program}; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    return set(run("bash", "--norc", "-c", script, cwd=cwd, env=ENV).stdout.split())


def zsh(program, *words, cwd):
    """With what its completion system would be given; _describe and _files print."""
    script = ("_describe() { print -rl -- \"${(@P)@[-1]}\" }; _files() { print -r -- FILES $1 }; compset() { }; "
              f"words=({shlex.join([program, *words])}); CURRENT={len(words) + 1}; PREFIX={shlex.quote(words[-1])}; "
              f"complete() {{ source {SCRIPTS}/_tdefs }}; complete || true")
    lines = run("zsh", "-f", "-c", script, cwd=cwd, env=ENV).stdout.splitlines()
    return {re.split(r"(?<!\\):", line)[0].replace("\\:", ":") for line in lines}


def fish(program, *words, cwd):
    script = f"source {SCRIPTS}/tdefs.fish; complete -C {shlex.quote(shlex.join([program, *words[:-1]]) + ' ' + words[-1])}"
    lines = run("fish", "--no-config", "-c", script, cwd=cwd, env={**ENV, "HOME": str(cwd)}).stdout.splitlines()
    return {line.split("\t")[0] for line in lines}


@pytest.mark.parametrize("program", PROGRAMS)
def test_all_that_help_tells_is_completed(program):
    common = {f"--{name}" for name in re.findall(r"^ +(?:-., )?--([a-z-]+)", run(BUILD / program, "--help").stdout, re.M)}
    verbs = asked(program, "")
    assert verbs and all(re.search(rf"^.*\b{verb}\b", run(BUILD / program, "--help").stdout, re.M) for verb in verbs)
    for verb in verbs:
        found = set(asked(program, verb, "--"))
        text = run(BUILD / program, verb, "--help").stdout
        told = {f"--{name}" for name in re.findall(r"^ +(?:-., )?--([a-z-]+)", text, re.M)}
        if program == "tdefs":  # one text for both of its verbs
            assert found <= told == common and {"--config", "--help"} <= found
        else:
            assert found == told | {"--help", "--version"}, verb
            assert asked(program, "--") and set(asked(program, "--")) <= found


@pytest.mark.parametrize("shell", [bash, zsh, fish])
def test_a_shell_completes_verbs_names_and_options(shell, config):
    def complete(*words, program="tdefsctl"):
        return shell(program, *words, cwd=config.parent)

    c = ["--config", str(config)]
    assert complete("sta") == {"status"}
    assert complete(*c, "status", "s") == {"sales", "stock"}
    assert complete(*c, "status", "sa") == {"sales"}
    assert complete(*c, "header", "") == {"dump", "backup", "restore"}
    assert complete("rotate", "--un") == {"--unpin"}
    assert complete("status", "--un") <= {""}
    assert complete("mount", "--f", program="tdefs") == {"--foreground"}
    assert complete(*c, "unmount", "st", program="tdefs") == {"stock"}
    assert complete("key", "ver", program="tdefs-vault") == {"versions"}
    assert complete("key", "create", "tde", "--size", "3", program="tdefs-vault") == {"3072"}
    assert complete(*c, "link", "--in", "x", "sa") == {"sales"}


def test_key_identifiers_and_files(config):
    c, where = ["--config", str(config)], config.parent
    assert asked("tdefsctl", *c, "rotate", "sales", "--to", "") == [*KIDS[:2], *KIDS]
    assert asked("tdefsctl", f"--config={config}", "check", "https://b") == [KIDS[1]] * 2
    assert bash("tdefsctl", *c, "rotate", "sales", "--to", "https://a", cwd=where) == {
        kid.removeprefix("https:") for kid in KIDS if "/a." in kid}
    assert zsh("tdefsctl", *c, "rotate", "sales", "--to", "https://b", cwd=where) == {KIDS[1]}
    assert fish("tdefsctl", *c, "rotate", "sales", "--to", "https://b", cwd=where) == {KIDS[1]}
    assert bash("tdefsctl", "--config=pl", cwd=where) == bash("tdefsctl", "--config", "pl", cwd=where) == {"plain", "plate"}
    assert bash("tdefsctl", "import", "pl", cwd=where) == {"plain"}
    assert zsh("tdefsctl", "import", "pl", cwd=where) == {"FILES -/"}
    assert fish("tdefsctl", "import", "pl", cwd=where) == {"plain/"}
    # Settings that cannot be read complete nothing, and say nothing.
    config.write_text("nonsense\n", encoding="utf-8")
    assert run(BUILD / "tdefsctl", "--complete", *c, "status", "", env=ENV).stdout == ""
