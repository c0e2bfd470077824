"""The ADB wire: packets, and the keys that hosts show.

A packet is six little-endian 32-bit words (command, two arguments, payload length, payload checksum, the command's
complement) and the payload. Source: AOSP, packages/modules/adb/protocol.txt.
"""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass

HEADER = struct.Struct("<6I")

CNXN, AUTH, OPEN, OKAY, CLSE, WRTE = (
    int.from_bytes(n, "little") for n in (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"CLSE", b"WRTE")
)

AUTH_TOKEN, AUTH_SIGNATURE, AUTH_PUBLIC_KEY = 1, 2, 3
TOKEN_BYTES = 20

OLDEST_VERSION = 0x01000000
# From this version on, both sides leave the checksum out.
NO_CHECKSUM_VERSION = 0x01000001
MAX_PAYLOAD_BYTES = 1 << 20
# What may be sent before the other side has said what it takes.
FIRST_PAYLOAD_BYTES = 4096

# DigestInfo of a SHA-1 digest (RFC 8017, 9.2): adb signs the token as if it were such a digest.
_SHA1_DIGEST_INFO = bytes.fromhex("3021300906052b0e03021a05000414")


class ProtocolError(Exception):
    """What came over the wire is not ADB; the connection cannot go on."""


def header(command: int, arg0: int, arg1: int, payload: bytes | bytearray | memoryview, *, checksum: bool) -> bytes:
    """The 24 bytes before a payload."""
    total = sum(payload) & 0xFFFFFFFF if checksum else 0
    return HEADER.pack(command, arg0, arg1, len(payload), total, command ^ 0xFFFFFFFF)


def parse_header(data: bytes | bytearray) -> tuple[int, int, int, int, int]:
    """Command, both arguments, payload length, checksum. Raises ProtocolError on what is no packet."""
    command, arg0, arg1, length, checksum, magic = HEADER.unpack(data)
    if magic != command ^ 0xFFFFFFFF:
        raise ProtocolError(f"no packet: command {command:08x} with complement {magic:08x}")
    if length > MAX_PAYLOAD_BYTES:
        raise ProtocolError(f"a payload of {length} bytes, at most {MAX_PAYLOAD_BYTES} were agreed")
    return command, arg0, arg1, length, checksum


@dataclass(frozen=True)
class PublicKey:
    """A host's RSA key in adb's own format."""

    modulus: int
    exponent: int

    @classmethod
    def parse(cls, line: str) -> PublicKey:
        """Read a line of an adb_keys file: base64 of (words, n0inv, modulus, R squared, exponent), then a comment.

        Raises ValueError on a line that is no key.
        """
        try:
            raw = base64.b64decode(line.split()[0], validate=True)
            (words,) = struct.unpack_from("<I", raw)
            modulus = int.from_bytes(raw[8 : 8 + 4 * words], "little")
            (exponent,) = struct.unpack_from("<I", raw, 8 + 8 * words)
        except (IndexError, binascii.Error, struct.error) as e:
            raise ValueError(f"not a key in adb's format: {line[:40]!r}") from e
        if modulus.bit_length() != 32 * words:
            raise ValueError(f"the key's modulus has {modulus.bit_length()} bits instead of {32 * words}")
        return cls(modulus, exponent)

    def signed(self, token: bytes, signature: bytes | bytearray) -> bool:
        """Whether the signature is this key's RSASSA-PKCS1-v1_5 signature of the token."""
        size = (self.modulus.bit_length() + 7) // 8
        if len(signature) != size:
            return False
        found = pow(int.from_bytes(signature, "big"), self.exponent, self.modulus).to_bytes(size, "big")
        info = _SHA1_DIGEST_INFO + token
        return found == b"\x00\x01" + b"\xff" * (size - 3 - len(info)) + b"\x00" + info
