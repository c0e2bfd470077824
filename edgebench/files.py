"""Files that are whole or absent: atomic writes, content hashes, a full disk said plainly."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgebench.errors import NoSpace

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def full_disk_is_said(path: Path) -> Iterator[None]:
    """Turns a full disk or an exceeded quota while writing below ``path`` into NoSpace."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise NoSpace(
            f"no space left to write {path}",
            hint="free some space, or point EDGEBENCH_CACHE (artifacts) or --runs-dir (results) at another disk",
        ) from error


def write_atomic(path: Path, data: bytes) -> None:
    """Writes ``data`` to ``path`` so that a reader sees the old file or the new one, never half. Raises NoSpace."""
    with full_disk_is_said(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def sha256_bytes(data: bytes) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def shipped_folder(name: str) -> Path:
    """``models``, ``targets`` or ``android_harness``: inside the package of a wheel, at the root of a checkout."""
    package = Path(__file__).parent
    shipped = package / "_catalog" / name
    return shipped if shipped.is_dir() else package.parent / name


def prebuilt_file(name: str) -> Path | None:
    """A program or library that an installed wheel carries; never in a checkout, whose sources may be newer."""
    package = Path(__file__).parent
    file = package / "_prebuilt" / name
    return file if file.is_file() and (package / "_catalog").is_dir() else None


def cache_root() -> Path:
    """Where artifacts and built helpers are kept: $EDGEBENCH_CACHE, else $XDG_CACHE_HOME/edgebench, else ~/.cache/edgebench."""
    if own := os.environ.get("EDGEBENCH_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgebench"


def config_root() -> Path:
    """Where a person's own targets and keys are kept: $XDG_CONFIG_HOME/edgebench, else ~/.config/edgebench."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "edgebench"


def state_root() -> Path:
    """Where the devices' references are kept: $XDG_STATE_HOME/edgebench, else ~/.local/state/edgebench."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "edgebench"
