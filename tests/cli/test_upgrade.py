# SPDX-License-Identifier: Apache-2.0
"""A volume of a newer tdefs is told of as that, by whoever looks at it, and left as it is."""

import hashlib

SUM = slice(480, 512)  # FORMAT.md: it and the version are at their places in every version


def make_newer(v):
    for copy in v.backing.glob(".tdefs/header*"):
        header = bytearray(copy.read_bytes())
        header[8] += 1
        header[SUM] = bytes(32)
        header[SUM] = hashlib.sha256(header).digest()
        copy.write_bytes(header)


def test_a_header_of_a_newer_version(make_volume):
    v = make_volume()
    make_newer(v)
    version = v.tdefs("--version").stdout.split()[1]
    before = {p.name: p.read_bytes() for p in v.backing.glob(".tdefs/*")}
    says = f"volume {v.name}: its header was made by a newer tdefs than this, {version}"
    for words in ["check"], ["verify"], ["rotate"], ["restore-proof"], ["header", "dump"]:
        result = v.ctl(*words, v.name, check=False)
        assert result.returncode == 1 and says in result.stderr and "\n  next: upgrade tdefs\n" in result.stderr, words
    result = v.tdefs("mount", v.name, check=False)
    assert result.returncode == 1 and says in result.stderr and "\n  next: upgrade tdefs\n" in result.stderr
    result = v.ctl("status", v.name, check=False)
    assert result.returncode == 5 and f"next       upgrade tdefs ({says}" in result.stdout
    assert v.ctl("format", v.name, check=False).returncode == 1
    assert {p.name: p.read_bytes() for p in v.backing.glob(".tdefs/*")} == before


def test_what_keeps_a_volume_from_being_mounted(make_volume):
    v = make_volume(formatted=False)
    result = v.ctl("status", v.name, check=False)
    assert result.returncode == 5 and "a new volume: tdefsctl format" in result.stdout
    v.backing.rmdir()
    result = v.ctl("status", v.name, check=False)
    assert result.returncode == 5 and f"{v.backing}" in result.stdout and "next       " in result.stdout
