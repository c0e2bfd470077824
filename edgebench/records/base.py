"""The base of all records and the one way to decode them strictly."""

from __future__ import annotations

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frozen record; an unknown key or a wrong type fails with the path to it."""


class TensorSpec(Record, frozen=True, kw_only=True):
    """An input or output: its name, full shape (batch first) and element type."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
