from __future__ import annotations

import base64
import struct

import pytest
from adb_shell.auth.keygen import keygen
from adb_shell.auth.sign_pythonrsa import PythonRSASigner

from tests.virtual_phone import wire


def test_a_header_survives_the_wire() -> None:
    raw = wire.header(wire.WRTE, 3, 4, b"\x01\xff", checksum=True)
    assert wire.parse_header(raw) == (wire.WRTE, 3, 4, 2, 0x100)


def test_newer_hosts_get_no_checksum() -> None:
    assert wire.parse_header(wire.header(wire.WRTE, 1, 1, b"abc", checksum=False))[4] == 0


def test_noise_is_no_packet() -> None:
    with pytest.raises(wire.ProtocolError, match="no packet"):
        wire.parse_header(b"GET / HTTP/1.1\r\nHost: a\r\n"[:24])


def test_a_payload_beyond_the_agreed_size_is_refused() -> None:
    raw = struct.pack("<6I", wire.WRTE, 1, 1, wire.MAX_PAYLOAD_BYTES + 1, 0, wire.WRTE ^ 0xFFFFFFFF)
    with pytest.raises(wire.ProtocolError, match="payload"):
        wire.parse_header(raw)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> PythonRSASigner:
    """A host's key pair, made and written by adb-shell."""
    path = tmp_path_factory.mktemp("keys") / "adbkey"
    keygen(str(path))
    return PythonRSASigner.FromRSAKeyPath(str(path))


TOKEN = bytes(range(20))


def _key(signer: PythonRSASigner) -> wire.PublicKey:
    return wire.PublicKey.parse(signer.GetPublicKey())


def test_a_signature_is_known_by_its_key(signer: PythonRSASigner) -> None:
    assert _key(signer).signed(TOKEN, signer.Sign(TOKEN))


def test_a_signature_of_another_token_is_refused(signer: PythonRSASigner) -> None:
    assert not _key(signer).signed(bytes(20), signer.Sign(TOKEN))


def test_a_signature_with_one_bit_flipped_is_refused(signer: PythonRSASigner) -> None:
    signature = bytearray(signer.Sign(TOKEN))
    signature[100] ^= 1
    assert not _key(signer).signed(TOKEN, signature)


def test_a_short_signature_is_refused(signer: PythonRSASigner) -> None:
    assert not _key(signer).signed(TOKEN, signer.Sign(TOKEN)[1:])


@pytest.mark.parametrize("line", ["", "# comment", "QUJD me@here", "not base64!"])
def test_a_line_that_is_no_key_is_named(line: str) -> None:
    with pytest.raises(ValueError, match="key"):
        wire.PublicKey.parse(line)


def test_a_key_with_a_short_modulus_is_refused(signer: PythonRSASigner) -> None:
    raw = bytearray(base64.b64decode(signer.GetPublicKey().split()[0]))
    raw[8 + 255] = 0
    with pytest.raises(ValueError, match="modulus"):
        wire.PublicKey.parse(base64.b64encode(raw).decode())
