"""Baselines that are kept: a file a baseline, and their artifacts by hash beside, for git, or for a CI service's cache."""

from __future__ import annotations

import re
from pathlib import Path

from edgebench import __version__
from edgebench.errors import CacheTampered, UnknownName, UsageError
from edgebench.files import sha256_file, write_atomic
from edgebench.records import Baseline, Result
from edgebench.records.artifact import MANIFEST
from edgebench.records.codec import encode
from edgebench.records.migrate import decode_versioned

DEFAULT_BASELINES_DIR = Path("reports") / "baselines"
_ARTIFACTS = "artifacts"
_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*")


def save_baseline(folder: Path, name: str, result: Result, utc: str, *, replace: bool) -> Path:
    """Keeps a result and its artifact under ``name``; the baseline's file.

    Raises UsageError for a name that is none or is taken (unless ``replace``) and for a result without a number, CacheError
    where the artifact is no longer in the cache, NoSpace.
    """
    from edgebench.export.cache import keep_artifact

    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name of a baseline", hint="letters, digits, '_', '-' and '.' make one")
    path = _path(folder, name)
    if path.exists() and not replace:
        raise UsageError(f"there is a baseline {name} already", hint="choose another name, or add --replace")
    if result.median_ms is None:
        raise UsageError(f"{result.label} has no latency: {'; '.join(result.reasons)}", hint="measure it again")
    kept = keep_artifact(result.artifact, folder / _ARTIFACTS)
    baseline = Baseline(
        name=name,
        saved_utc=utc,
        tool_version=__version__,
        manifest_sha256=sha256_file(kept / MANIFEST),
        result=result,
    )
    write_atomic(path, encode(baseline))
    return path


def load_baseline(folder: Path, name: str) -> Baseline:
    """The baseline of that name, or in the .json file of that path. Raises UnknownName, InvalidFile."""
    path = Path(name) if name.endswith(".json") else _path(folder, name)
    if not path.is_file():
        raise UnknownName(
            "baseline", name, baseline_names(folder), hint="list them with: edgebench baseline list; or save one"
        )
    return decode_versioned(Baseline, path.read_bytes(), path=str(path))


def baseline_names(folder: Path) -> list[str]:
    """Those that are kept, in the order of their names."""
    return sorted(path.stem for path in folder.glob("*.json"))


def kept_artifact(folder: Path, baseline: Baseline) -> Path | None:
    """The folder of a baseline's artifact; None where it is gone. Raises CacheTampered where it is another."""
    kept = folder / _ARTIFACTS / baseline.result.artifact
    manifest = kept / MANIFEST
    if not manifest.is_file():
        return None
    if sha256_file(manifest) != baseline.manifest_sha256:
        raise CacheTampered(
            f"{manifest} is not what was saved as baseline {baseline.name}",
            hint=f"restore it, or save the baseline again: edgebench baseline save {baseline.name} --replace",
        )
    return kept


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"
