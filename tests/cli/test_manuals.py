# SPDX-License-Identifier: Apache-2.0
"""The manual pages are well made, and name all that the code has: verbs, options, keys, defaults, exit codes."""

import re
from pathlib import Path

import pytest
from conftest import BUILD, run

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "tools/man").glob("*.[1-9]"))
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "K": 1 << 10, "M": 1 << 20, "": 1}
NAMES = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400, "KIB": 1024, "true": "yes", "false": "no"}


def page(name):
    """The page's text, each character as it is read."""
    text = (ROOT / "tools/man" / name).read_text(encoding="utf-8")
    return text.replace("\\-", "-").replace("\\e", "\\").replace("\\&", "")


def plain(text):
    return " ".join(re.sub(r"\\f[BIPR]", "", text).split())


def sections(text, macro):
    """By title, what follows it."""
    parts = re.split(rf"^\.{macro} (.*)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def tags(text):
    """What is in bold where an entry of a list begins."""
    return re.findall(r"^\.T[PQ]\n(?:\.B |\\fB)(.*)$", text, re.M)


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_a_page_is_well_made(path):
    lint = run("mandoc", "-Tlint", "-W", "warning", path, check=False)
    assert lint.returncode == 0 and lint.stdout == "", lint.stdout
    if ".so " not in path.read_text(encoding="utf-8"):
        assert run("man", "--warnings", "-E", "UTF-8", "-l", path, env={"MANPAGER": "cat"}).stderr == ""


@pytest.mark.parametrize("program", ["tdefsctl", "tdefs-vault"])
def test_each_verb_has_its_options(program):
    text = page(f"{program}.8")
    common = set(re.findall(r"--([a-z-]+)", sections(text, "SH")["OPTIONS"]))
    verbs = sections(sections(text, "SH")["VERBS"], "SS")
    assert set(verbs) == {line.split("\t")[0] for line in run(BUILD / program, "--complete", "").stdout.splitlines()}
    for verb, what in verbs.items():
        told = common | {o for tag in tags(what) for o in re.findall(r"--([a-z-]+)", tag)}
        found = set(re.findall(r"^ +(?:-., )?--([a-z-]+)", run(BUILD / program, verb, "--help").stdout, re.M))
        assert told == found | {"help", "version"}, verb


def test_the_options_of_tdefs():
    told = {o for tag in tags(sections(page("tdefs.8"), "SH")["OPTIONS"]) for o in re.findall(r"--([a-z-]+)", tag)}
    assert told == set(re.findall(r"^ +(?:-., )?--([a-z-]+)", run(BUILD / "tdefs", "--help").stdout, re.M))
    helper = (ROOT / "src/mount_helper.c").read_text(encoding="utf-8")
    names = re.search(r"names\[\] = \{(.*?)\};", helper, re.S).group(1) + "".join(re.findall(r"strcmp\(option.*", helper))
    for option in re.findall(r'"([A-Za-z_=-]+)"', names):
        assert option in page("mount.tdefs.8")


def keys_of_the_code():
    """By name: (its section, what it takes)."""
    text = (ROOT / "src/config/keys.c").read_text(encoding="utf-8")
    table = re.search(r"config_key keys\[\] = \{(.*?)^\};", text, re.S | re.M).group(1)
    table = re.sub(r'"\s+"', "", table)
    found = {}
    for entry in re.split(r"(?:PLAIN\(|DURATION\(|\{ )(?=\"[a-z_]+\")", table)[1:]:
        name, what = re.findall(r'"([^"]*)"', entry)[:2]
        place = re.search(r"KEY_IN_(VOLUME|POLICY)", entry)
        found[name] = (place.group(1).lower() if place else "server", what)
    return found


def entries(text):
    """By key: the text of its entry in a section."""
    found = {}
    for entry in re.split(r"^\.TP\n", text, flags=re.M)[1:]:
        names = re.findall(r"^(?:\.TQ\n)?\\fB([a-z_]+)\\fP$", entry, re.M)
        for name in names:
            found[name] = (names, plain(entry))
    return found


def test_each_key_of_the_settings_and_what_it_takes():
    told = sections(page("tdefs.conf.5"), "SH")
    by_place = {place: entries(told[f"SECTION {title}"])
                for place, title in (("server", "[server]"), ("policy", "[policy]"), ("volume", "[volume NAME]"))}
    code = keys_of_the_code()
    assert len(code) > 40
    assert {place: set(found) for place, found in by_place.items()} == {
        place: {name for name, (of, _) in code.items() if of == place} for place in by_place}
    for name, (place, takes) in code.items():
        names, entry = by_place[place][name]
        assert (f"Value: {takes}." if len(names) == 1 else f"{name}: {takes};") in entry, name


def default_of(name, entry):
    names, text = entry
    found = re.search(r"Default: (.*?)\.(?: |$)" if len(names) == 1 else rf"\b{name}: .*?default: (.*?)\.(?: |$)", text)
    return found.group(1)


def amount(text):
    number, unit = re.fullmatch(r"([0-9]+)([a-zA-Z]?)", text).groups()
    return int(number) * UNITS[unit]


def test_defaults_are_those_of_the_code():
    text = (ROOT / "src/config/keys.c").read_text(encoding="utf-8")
    told = sections(page("tdefs.conf.5"), "SH")
    found = {**entries(told["SECTION [server]"]), **entries(told["SECTION [policy]"])}
    stated = re.findall(r"(?:c->|\.)([a-z_]+?)(?:_ms)? = ([0-9A-Z *]+|true|false)[,;} ]", text[text.index("guard_defaults = {"):])
    compared = set()
    for name, value in stated:
        if name not in found or re.search("[A-Z]_|_[A-Z]", value) or value.strip() in ("", "NULL"):
            continue
        value = eval(value, {}, NAMES)  # pylint: disable=eval-used
        default = default_of(name, found[name])
        assert (default if isinstance(value, str) else amount(default)) == value, name
        compared.add(name)
    assert {"probe_interval", "drain_timeout", "heal_window", "threads", "rotation_poll", "event_log_size",
            "minimum_rsa_bits", "mount_timeout", "lock_memory", "expiry_warning"} <= compared
    for name, value in re.findall(r'c->(?:server\.)?([a-z_]+), "([^"]+)"\)', text):
        assert default_of(name, found[name]) == value
    cache = re.search(r"\.cache = (CACHE_\w+)", text).group(1)
    assert default_of("cache", found["cache"]) == re.search(rf'\[{cache}\] = "([^"]+)"', text).group(1)
    for name in ("outage_extend_max",):  # not named there: zero
        assert name not in compared and default_of(name, found[name]) == "0"


def test_exit_codes_are_those_of_the_table():
    header = (ROOT / "include/tdefs/errmsg.h").read_text(encoding="utf-8")
    codes = re.findall(r"EXIT_CODE_\w+ = (\d+)", header)
    for name in "tdefs.8", "tdefsctl.8":
        assert tags(sections(page(name), "SH")["EXIT STATUS"]) == codes
    assert set(tags(sections(page("tdefs-vault.8"), "SH")["EXIT STATUS"])) <= set(codes)
    assert tags(sections(page("mount.tdefs.8"), "SH")["EXIT STATUS"]) == ["0", "1", "32"]
