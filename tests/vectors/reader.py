# SPDX-License-Identifier: Apache-2.0
"""A second reader of tdefs volumes, written from src/format/FORMAT.md only.

It shares no code with tdefs, so that agreement between the two says something about the document. It reads only,
repairs nothing, and keeps a whole file in memory. Sections named are those of FORMAT.md.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key

HEADER, SLOT = 16384, 2048
SECTOR, BLOCK = 4096, 16
WRAP_HASHES = {1: hashes.SHA256, 2: hashes.SHA1}
EMPTY, ACTIVE, PREVIOUS = 0, 1, 2


class Damaged(Exception):
    """Something fails a check that FORMAT.md requires; the text is a sentence for people."""


def require(condition, sentence):
    if not condition:
        raise Damaged(sentence)


def number(data, offset, size):
    return int.from_bytes(data[offset:offset + size], "little")


def is_zero(data):
    return data.count(0) == len(data)


def without(data, *ranges):
    """`data` with (offset, size) ranges taken as zero."""
    for offset, size in ranges:
        data = data[:offset] + bytes(size) + data[offset + size:]
    return data


def derive(dek, salt, text, size, suffix=b""):
    """HKDF(salt, P(text) || suffix, size) of section 2; no salt is None."""
    info = text.ljust(32, b"\0") + suffix
    return HKDF(algorithm=hashes.SHA256(), length=size, salt=salt, info=info).derive(dek)


def read_copy(path):
    """The bytes of an intact copy of the header, of any version, or None."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(data) < 512 or data[:8] != b"TDEFSVOL" or number(data, 12, 4) != len(data):
        return None
    intact = hashlib.sha256(without(data, (480, 32))).digest() == data[480:512]
    return data if intact else None


def read_header(backing):
    paths = [Path(backing, ".tdefs", name) for name in ("header", "header.bak")]
    copies = [copy for copy in map(read_copy, paths) if copy is not None]
    require(copies, "No copy of the volume header is intact.")
    require(all(number(copy, 8, 4) == 1 for copy in copies), "The volume header has an unknown version.")
    return max(copies, key=lambda copy: number(copy, 56, 8))


def check_fields(header):
    require(len(header) == HEADER, "The volume header has a wrong length.")
    require(number(header, 16, 4) == 0, "The volume header has unknown incompatible features.")
    require(number(header, 72, 4) == 1, "The volume header names an unknown cipher.")
    require(number(header, 76, 4) == SECTOR, "The volume header has an unknown sector size.")
    reserved = header[80:128] + header[224:480] + header[512:4096]
    require(is_zero(reserved), "Reserved bytes of the volume header are not zero.")
    if is_zero(header[176:192]):
        require(is_zero(header[192:224]), "The volume header has a second HMAC without a DEK id.")


def field_of_slot(slot, name, offset, room, length_offset):
    """A field of variable length, which zeros follow."""
    length = number(slot, length_offset, 2)
    require(1 <= length <= room, f"The length of the {name} in a key slot is wrong.")
    require(is_zero(slot[offset + length:offset + room]), f"The {name} in a key slot is not padded with zeros.")
    return slot[offset:offset + length]


def parse_slot(slot):
    """(state, fields) of one key slot; an empty one has no fields."""
    state = number(slot, 0, 4)
    require(state in (EMPTY, ACTIVE, PREVIOUS), "A key slot has an unknown state.")
    if state == EMPTY:
        require(is_zero(slot), "An empty key slot is not zero.")
        return state, None
    require(number(slot, 4, 4) in WRAP_HASHES, "A key slot has an unknown wrap algorithm.")
    require(is_zero(slot[102:128] + slot[1920:]), "Reserved bytes of a key slot are not zero.")
    kid = field_of_slot(slot, "key identifier", 128, 768, 96)
    require(kid.isascii() and 0 not in kid, "The key identifier in a key slot is not ASCII without NUL.")
    return state, {
        "hash": WRAP_HASHES[number(slot, 4, 4)],
        "dek_id": slot[8:24],
        "thumbprint": slot[24:56],
        "canary_sum": slot[64:96],
        "dek": field_of_slot(slot, "wrapped DEK", 896, 512, 98),
        "canary": field_of_slot(slot, "wrapped canary", 1408, 512, 100),
    }


def active_slot(header):
    slots = [parse_slot(header[at:at + SLOT]) for at in range(4096, HEADER, SLOT)]
    active = [fields for state, fields in slots if state == ACTIVE]
    require(len(active) == 1, "The volume header has not exactly one active key slot.")
    return active[0]


def load_key(pem_path):
    pem = Path(pem_path).read_bytes()
    try:
        key = load_pem_private_key(pem, password=None)
    except (TypeError, ValueError) as error:
        raise Damaged("The PEM file has no private key that can be read without a passphrase.") from error
    require(isinstance(key, rsa.RSAPrivateKey), "The PEM file has no RSA key.")
    return key


def base64url(value):
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def thumbprint(key):
    public = key.public_key().public_numbers()
    fields = {"e": base64url(public.e), "kty": "RSA", "n": base64url(public.n)}
    text = json.dumps(fields, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).digest()


def unwrap(key, hash_type, wrapped, name):
    oaep = padding.OAEP(mgf=padding.MGF1(hash_type()), algorithm=hash_type(), label=None)
    try:
        plain = key.decrypt(wrapped, oaep)
    except ValueError as error:
        raise Damaged(f"The key does not unwrap the {name}.") from error
    require(len(plain) == 32, f"The unwrapped {name} has not 32 bytes.")
    return plain


def unwrap_dek(key, slot):
    require(thumbprint(key) == slot["thumbprint"], "The key is not the protector that the active key slot names.")
    canary = unwrap(key, slot["hash"], slot["canary"], "canary")
    require(hashlib.sha256(canary).digest() == slot["canary_sum"], "The canary has a wrong SHA-256.")
    dek = unwrap(key, slot["hash"], slot["dek"], "DEK")
    require(derive(dek, None, b"dek-id", 16) == slot["dek_id"], "The unwrapped DEK has not the id of its key slot.")
    return dek


def check_hmac(header, dek, dek_id):
    """Of the two HMACs, the one of our DEK."""
    offsets = [at + 16 for at in (128, 176) if header[at:at + 16] == dek_id]
    require(offsets, "The volume header has no HMAC of the active DEK.")
    key = derive(dek, header[24:40], b"tdefs volume-header v1", 32)
    expected = hmac.digest(key, without(header, (144, 32), (192, 32), (480, 32)), "sha256")
    for at in offsets:
        require(hmac.compare_digest(expected, header[at:at + 32]), "The HMAC of the volume header is wrong.")


def decrypt_sector(key, index, data):
    """Whole blocks of one sector; a ciphertext block of zeros is a hole."""
    decryptor = Cipher(algorithms.AES(key), modes.XTS(index.to_bytes(16, "little"))).decryptor()
    plain = bytearray(decryptor.update(data) + decryptor.finalize())
    for at in range(0, len(data), BLOCK):
        if is_zero(data[at:at + BLOCK]):
            plain[at:at + BLOCK] = bytes(BLOCK)
    return plain


def walk(folder, prefix=""):
    for entry in os.scandir(folder):
        path = prefix + entry.name
        if path != ".tdefs" and entry.is_dir(follow_symlinks=False):
            yield from walk(entry.path, path + "/")
        elif entry.is_file(follow_symlinks=False):
            yield path


class Volume:
    def __init__(self, backing, pem_path):
        self.backing = backing
        header = read_header(backing)
        check_fields(header)
        slot = active_slot(header)
        self.domain, self.dek_id = header[40:56], slot["dek_id"]
        self.dek = unwrap_dek(load_key(pem_path), slot)
        check_hmac(header, self.dek, self.dek_id)

    def files(self):
        """Relative paths of the regular files, sorted; `.tdefs` at the top is not part of the contents."""
        return iter(sorted(walk(self.backing)))

    def read(self, relative_path):
        """The whole plaintext of one file."""
        data = Path(self.backing, relative_path).read_bytes()
        header, body = data[:4096], data[4096:]
        if not body:
            return b""
        require(len(body) >= BLOCK, f"{relative_path}: the length of the backing file is none that a file can have.")
        size = len(body) if len(body) % BLOCK == 0 else len(body) - BLOCK
        if is_zero(header):
            require(is_zero(body), f"{relative_path}: the header is zero, and data follow.")
            return bytes(size)
        key = self.file_key(relative_path, header)
        whole = len(body) - len(body) % BLOCK
        parts = [decrypt_sector(key, at // SECTOR, body[at:min(at + SECTOR, whole)]) for at in range(0, whole, SECTOR)]
        return b"".join(parts)[:size]

    def file_key(self, path, header):
        records = [header[:512], header[2048:2560]]
        good = [record for record in records if self.is_good(path, record)]
        require(good, f"{path}: no record of the header is good.")
        nonce = max(good, key=lambda record: number(record, 80, 8))[48:80]
        key = derive(self.dek, nonce, b"tdefs file-key v1", 64, self.dek_id)
        require(key[:32] != key[32:], f"{path}: the halves of the file key are equal.")
        return key

    def is_good(self, path, record):
        if record[:8] != b"TDEFSFIL":
            return False
        if record[16:32] != self.domain or record[32:48] != self.dek_id:
            return False
        key = derive(self.dek, record[48:80], b"tdefs file-header v1", 32)
        if not hmac.compare_digest(hmac.digest(key, record[:480], "sha256"), record[480:]):
            return False
        known = number(record, 8, 4) == 1 and number(record, 12, 4) == 0
        require(known, f"{path}: the header has an unknown version or unknown incompatible features.")
        require(is_zero(record[88:480]), f"{path}: reserved bytes of the header are not zero.")
        return True


def main(arguments):
    if len(arguments) not in (2, 3):
        sys.exit("usage: reader.py BACKING PEM [PATH]")
    try:
        volume = Volume(*arguments[:2])
        if len(arguments) == 3:
            sys.stdout.buffer.write(volume.read(arguments[2]))
            return 0
        for path in volume.files():
            plain = volume.read(path)
            line = f"{len(plain):>12} {hashlib.sha256(plain).hexdigest()}  {path}\n"
            sys.stdout.buffer.write(os.fsencode(line))
    except (Damaged, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
