"""What happens to trtexec's JSON files on the way: the truth is known beside, and nothing but it may be read."""

from __future__ import annotations

import json
import random
from collections.abc import Container, Sequence
from typing import Any


def damage_rows(
    rows: list[dict[str, Any]],
    kind: str,
    rng: random.Random,
    *,
    units: Container[str] | None = None,
    digits: Container[str] | None = None,
) -> None:
    """One row deleted, doubled or moved; a key of it gone, in another unit, or without one of its digits.

    Units change of the keys in ``units`` and digits are lost of those in ``digits``; None: of every key.
    """
    at = rng.randrange(len(rows))
    key = rng.choice(sorted(rows[at])) if rows[at] else ""
    if kind == "delete" and len(rows) > 2:
        del rows[at]
    elif kind == "double":
        rows.insert(rng.randrange(len(rows)), dict(rows[at]))
    elif kind == "move":
        rows.append(rows.pop(at))
    elif kind == "key" and key:
        del rows[at][key]
    elif kind == "unit" and key and (units is None or key in units):
        rows[at][key] *= rng.choice((1e-3, 1e3))
    elif kind == "digit" and key and (digits is None or key in digits):
        text = f"{rows[at][key]:.6g}"
        lost = rng.randrange(len(text))
        text = text[:lost] + text[lost + 1 :]
        rows[at][key] = int(text) if text.isdigit() else float(text or "0")


def written(document: object, kinds: Sequence[str], rng: random.Random) -> bytes:
    """Its file, cut at the end or the head where ``kinds`` say so."""
    data = json.dumps(document).encode()
    data = data[: rng.randrange(len(data))] if "end" in kinds else data
    return data[rng.randint(1, len(data)) :] if "head" in kinds and data else data
