"""A file of the catalogue, as a person would write one."""

from __future__ import annotations

from pathlib import Path

import yaml


def write(folder: Path, value: object, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else yaml.safe_dump(value))
    return path
