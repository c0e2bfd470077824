"""Strict decoding at the border: bytes in, records out, with the path to what is wrong."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from edgebench.errors import InvalidFile
from edgebench.records.trace import Trace, TraceRow

T = TypeVar("T")
_PATH = re.compile(r" - at `(?P<path>[^`]*)`$")
_RERUN = "the file is not what this version of edgebench writes; make it again or remove it"


def encode(record: msgspec.Struct) -> bytes:
    """Indented JSON with a final newline, for files that people may open."""
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def decode(kind: type[T], data: bytes, *, path: str, hint: str = _RERUN) -> T:
    """One JSON document as ``kind``. Raises InvalidFile with the path to the key that does not fit."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise _invalid(error, path, hint) from error


def convert(kind: type[T], value: object, *, path: str, hint: str) -> T:
    """An already parsed value (from YAML) as ``kind``, strictly. Raises InvalidFile."""
    try:
        return msgspec.convert(value, type=kind)
    except msgspec.ValidationError as error:
        raise _invalid(error, path, hint) from error


def decode_trace(data: bytes, *, path: str) -> Trace:
    """A trace, a row a line. A last line without its newline was cut by a crash: it is dropped, the trace is incomplete.

    Raises InvalidFile for any other line that is not a row, naming the line.
    """
    whole, _, _cut = data.rpartition(b"\n")
    decoder = msgspec.json.Decoder(TraceRow)
    rows = []
    for number, line in enumerate(whole.split(b"\n") if whole else [], start=1):
        try:
            rows.append(decoder.decode(line))
        except msgspec.DecodeError as error:
            raise _invalid(error, f"{path} line {number}", _RERUN) from error
    return Trace(rows=tuple(rows))


def encode_trace(trace: Trace) -> bytes:
    """The same the other way round."""
    return b"".join(msgspec.json.encode(row) + b"\n" for row in trace.rows)


def _invalid(error: msgspec.DecodeError, path: str, hint: str) -> InvalidFile:
    text = str(error)
    found = _PATH.search(text)
    where = found["path"] if found else ""
    return InvalidFile(path, where, _PATH.sub("", text), hint=hint)
