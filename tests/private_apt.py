"""apt-get with lists and a cache of its own: what a test downloads changes nothing of the machine's packages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def private_apt(folder: Path, more: Mapping[str, str | Path]) -> list[str]:
    """The first words of every command; its files lie below ``folder``, ``more`` are further options."""
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    options: dict[str, str | Path | int] = {
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        # A scratch folder is closed to apt's own user.
        "APT::Sandbox::User": "root",
        "Acquire::Retries": 2,
        "Acquire::http::Timeout": 20,
        "Acquire::https::Timeout": 20,
        **more,
    }
    return ["apt-get", "--quiet", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
