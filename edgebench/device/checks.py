"""One thing that a good measurement needs of a device."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """``ok`` is None where the device does not tell; ``found`` what was seen, ``mend`` what to do about it."""

    name: str
    ok: bool | None
    found: str
    mend: str = ""
