# SPDX-License-Identifier: Apache-2.0
"""
Golden bytes and a second reader: what tdefs wrote once it still reads, and what it writes a reader
made from FORMAT.md alone decrypts. A failure here means that the format on disk has changed.
"""

import hashlib
import os
import random
import shutil
import sys
from pathlib import Path

import pytest

from conftest import Volume as MountedVolume

HERE = Path(__file__).parent
VECTORS = HERE / "volume"
KEY = HERE / "oaep_key.pem"
VECTORS_KEY = Path("/run/tdefs-vectors/protector.pem")  # the kid in their header

sys.path.insert(0, str(HERE))
from reader import Damaged, Volume  # noqa: E402 pylint: disable=wrong-import-position


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def expected():
    lines = (HERE / "volume.sha256").read_text(encoding="ascii").splitlines()
    return {path: digest for digest, path in (line.split(None, 1) for line in lines)}


def private_copy(key, path):
    shutil.copyfile(key, path)
    os.chmod(path, 0o600)
    return path


@pytest.fixture
def copy(directory):
    """The vectors in a volume's place, header copies and holes as they are."""
    backing = directory / "copy"
    shutil.copytree(VECTORS, backing)
    os.chmod(backing, 0o700)
    return backing


def test_the_second_reader_reads_the_vectors():
    volume = Volume(VECTORS, KEY)
    assert {path: sha256(volume.read(path)) for path in volume.files()} == expected()


def test_tdefs_reads_the_vectors(copy, make_volume):
    VECTORS_KEY.parent.mkdir(mode=0o700, exist_ok=True)
    private_copy(KEY, VECTORS_KEY)
    try:
        volume = make_volume(formatted=False, backing=copy, key=VECTORS_KEY)
        mounted = volume.mount("--accept-header")
        for path, digest in expected().items():
            assert sha256((mounted / path).read_bytes()) == digest, path
        assert volume.ctl("verify", volume.name).returncode == 0
    finally:
        shutil.rmtree(VECTORS_KEY.parent)


def test_the_second_reader_reads_what_tdefs_writes(volume):
    chance = random.Random(4)
    sizes = [0, 1, 15, 16, 17, 4095, 4096, 4097, 8191, 8192, 70001] + \
        [chance.randrange(200_000) for _ in range(20)]
    contents = {}
    for i, size in enumerate(sizes):
        contents[f"directory {i % 3}/file {i}"] = chance.randbytes(size)
    for path, data in contents.items():
        (volume.mount_point / path).parent.mkdir(exist_ok=True)
        (volume.mount_point / path).write_bytes(data)
    with open(volume.mount_point / "sparse", "wb") as sparse:
        sparse.truncate(50_000)
        sparse.seek(30_001)
        sparse.write(b"in the middle")
    contents["sparse"] = bytes(30_001) + b"in the middle" + bytes(50_000 - 30_014)
    volume.unmount()
    second = Volume(volume.backing, volume.key)
    assert {path: sha256(second.read(path)) for path in second.files()} == \
        {path: sha256(data) for path, data in contents.items()}


def flip(path, offset, bit=1):
    data = bytearray(path.read_bytes())
    data[offset] ^= bit
    path.write_bytes(data)


@pytest.mark.parametrize("offset", [0, 8, 12, 16, 24, 100, 150, 480, 600, 4096, 4100, 5000, 16383])
def test_both_refuse_a_header_with_a_flipped_bit(directory, copy, make_volume, offset):
    for name in "header", "header.bak":
        flip(copy / ".tdefs" / name, offset)
    with pytest.raises(Damaged):
        Volume(copy, KEY)
    volume = make_volume(formatted=False, backing=copy,
                         key=private_copy(KEY, directory / "key.pem"))
    refused = volume.tdefs("mount", volume.name, "--accept-header", check=False)
    assert refused.returncode == 1 and "damaged" in refused.stderr, refused.stderr


@pytest.mark.parametrize("offset", [0, 12, 20, 40, 60, 85, 200, 500])
def test_both_refuse_a_file_whose_records_are_damaged(volume, offset):
    (volume.mount_point / "file").write_bytes(b"content")
    volume.unmount()
    for record in 0, 2048:
        flip(volume.backing / "file", record + offset)
    with pytest.raises(Damaged):
        Volume(volume.backing, volume.key).read("file")
    volume.mount()
    with pytest.raises(OSError, match="Bad message"):
        (volume.mount_point / "file").read_bytes()


def test_the_key_must_be_the_protector(directory):
    other = directory / "other.pem"
    MountedVolume.make_key(other)
    with pytest.raises(Damaged, match="protector"):
        Volume(VECTORS, other)
