"""Files of earlier versions: read the version first, bring the plain JSON up to date, then decode strictly.

A format's version is the default of its record's ``schema`` field. To change a format: raise that default, add a function
from the old version to ``MIGRATIONS``, add a golden file (those of older versions stay, and must decode), and renew schemas/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from edgebench.errors import InvalidFile
from edgebench.records.codec import decode, decode_trace
from edgebench.records.trace import TRACE_SCHEMA, Trace

T = TypeVar("T", bound=msgspec.Struct)
Document = dict[str, Any]
Migrations = Mapping[int, Callable[[Document], Document]]

MIGRATIONS: dict[type[msgspec.Struct], Migrations] = {}
"""Per record: from version n, a function to the plain document of version n + 1. A trace's is ``{"rows": [...]}``."""

_UPGRADE = "a newer edgebench wrote this file: upgrade edgebench to read it"
_RERUN = "the file is not what edgebench writes; make it again or remove it"


def decode_versioned(kind: type[T], data: bytes, *, path: str, migrations: Migrations | None = None) -> T:
    """One JSON document of any version up to the present one as ``kind``.

    Raises InvalidFile for a newer version, for one that no migration leads from, and for what does not fit.
    """
    try:
        document = msgspec.json.decode(data, type=Document)
    except msgspec.DecodeError as error:
        raise InvalidFile(path, "", str(error), hint=_RERUN) from error
    present = present_version(kind)
    if document.get("schema") == present:
        return decode(kind, data, path=path)
    chain = MIGRATIONS.get(kind, {}) if migrations is None else migrations
    return decode(kind, msgspec.json.encode(_upgrade(document, present, chain, path)), path=path)


def decode_versioned_trace(data: bytes, *, path: str, migrations: Migrations | None = None) -> Trace:
    """A trace of any version up to the present one; else as ``decode_trace``. The version is in the header, line 1."""
    lines = data.split(b"\n")[:-1]
    found = _header_version(lines[0]) if lines else None
    if found is None or found == TRACE_SCHEMA:
        return decode_trace(data, path=path)
    chain = MIGRATIONS.get(Trace, {}) if migrations is None else migrations
    if found > TRACE_SCHEMA:
        # Rows of a later version may hold anything: refuse before they are looked at.
        _upgrade({"schema": found}, TRACE_SCHEMA, chain, path)
    try:
        rows = [msgspec.json.decode(line) for line in lines]
    except msgspec.DecodeError as error:
        raise InvalidFile(path, "", str(error), hint=_RERUN) from error
    upgraded = _upgrade({"schema": found, "rows": rows}, TRACE_SCHEMA, chain, path)
    upgraded["rows"][0]["schema"] = TRACE_SCHEMA
    return decode_trace(b"".join(msgspec.json.encode(row) + b"\n" for row in upgraded["rows"]), path=path)


def present_version(kind: type[msgspec.Struct]) -> int:
    """The version that this edgebench writes of ``kind``, whose ``schema`` field has it as default."""
    version = next(field.default for field in msgspec.structs.fields(kind) if field.name == "schema")
    if not isinstance(version, int):
        raise TypeError(f"{kind.__name__}.schema has no default")
    return version


def _upgrade(document: Document, present: int, chain: Migrations, path: str) -> Document:
    """Applies the migrations one by one until the document is of the present version."""
    found = document.get("schema")
    if not isinstance(found, int) or isinstance(found, bool):
        raise InvalidFile(path, "$.schema", "there is no version number", hint=_RERUN)
    if found > present:
        raise InvalidFile(path, "$.schema", f"version {found} is newer than {present}", hint=_UPGRADE)
    for version in range(found, present):
        if version not in chain:
            raise InvalidFile(path, "$.schema", f"version {found} can no longer be read", hint=_RERUN)
        document = {**chain[version](document), "schema": version + 1}
    return document


def _header_version(line: bytes) -> int | None:
    """The version in a trace's first line; None where that line is no header (decode_trace then says so)."""
    try:
        return msgspec.json.decode(line, type=_Version).schema
    except msgspec.DecodeError:
        return None


class _Version(msgspec.Struct):
    schema: int
