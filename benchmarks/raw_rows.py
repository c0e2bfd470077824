"""The raw file of a benchmark: a JSON row a line, appended, so that a recording goes on where it stands."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgebench import __version__


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Those that are recorded; none where nothing is."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def placeless(text: str, *folders: str | Path) -> str:
    """``text`` without where this machine keeps things: the checkout, its Python, and ``folders``."""
    for folder in (*folders, Path(__file__).resolve().parents[1], Path(os.__file__).parent, sys.prefix):
        text = text.replace(f"{folder}/", "")
    return text


def append_row(path: Path, **row: object) -> None:
    """Adds a row, with when, by which edgebench and under what load it was made."""
    head = {"utc": datetime.now(UTC).isoformat(timespec="seconds"), "version": __version__, "load": os.getloadavg()[0]}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as out:
        out.write(json.dumps(row | head) + "\n")
