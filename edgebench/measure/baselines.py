"""Baselines that are kept: a file a baseline, and their artifacts by hash beside, for git, or for a CI service's cache."""

from __future__ import annotations

import math
import re
from pathlib import Path

from edgebench import __version__
from edgebench.errors import CacheTampered, InvalidFile, UnknownName, UsageError
from edgebench.files import sha256_file, write_atomic
from edgebench.records import Baseline, Result
from edgebench.records.artifact import MANIFEST
from edgebench.records.codec import encode
from edgebench.records.migrate import decode_versioned

DEFAULT_BASELINES_DIR = Path("reports") / "baselines"
_ARTIFACTS = "artifacts"
_SUFFIX = ".json"
_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*")


def save_baseline(folder: Path, name: str, result: Result, utc: str, *, replace: bool) -> Path:
    """Keeps a result and its artifact under ``name``; the baseline's file.

    Raises UsageError for a name that is none or is taken (unless ``replace``) and for a result without a number, CacheError
    where the artifact is no longer in the cache, NoSpace.
    """
    from edgebench.export.cache import keep_artifact

    if not _NAME.fullmatch(name) or name.endswith(_SUFFIX):
        raise UsageError(f"{name!r} is no name of a baseline", hint="letters, digits, '_', '-' and '.' make one")
    path = _path(folder, name)
    if path.exists() and not replace:
        raise UsageError(f"there is a baseline {name} already", hint="choose another name, or add --replace")
    if result.median_ms is None:
        raise UsageError(f"{result.label} has no latency: {'; '.join(result.reasons)}", hint="measure it again")
    _, manifest_sha256 = keep_artifact(result.artifact, folder / _ARTIFACTS)
    baseline = Baseline(
        name=name,
        saved_utc=utc,
        tool_version=__version__,
        manifest_sha256=manifest_sha256,
        result=result,
    )
    write_atomic(path, encode(baseline))
    return path


def find_baseline(folder: Path, name: str) -> tuple[Baseline, Path]:
    """The baseline of that name in ``folder``, or in the .json file of that path, and the folder that it is kept in.

    Raises UnknownName, InvalidFile.
    """
    given = Path(name)
    path = given if name.endswith(_SUFFIX) and given.is_file() else _path(folder, name.removesuffix(_SUFFIX))
    if not path.is_file():
        raise UnknownName(
            "baseline", name, baseline_names(folder), hint="list them with: edgebench baseline list; or save one"
        )
    baseline = decode_versioned(Baseline, path.read_bytes(), path=str(path))
    if not all(math.isfinite(ms) and ms > 0.0 for ms in baseline.result.launch_medians_ms):
        raise InvalidFile(str(path), "$.result.launch_medians_ms", "a latency is not above zero", hint="save it again")
    return baseline, path.parent


def baseline_names(folder: Path) -> list[str]:
    """Those that are kept, in the order of their names."""
    return sorted(path.stem for path in folder.glob(f"*{_SUFFIX}"))


def kept_artifact(folder: Path, baseline: Baseline) -> Path | None:
    """The folder of a baseline's artifact; None where it is gone. Raises CacheTampered where it is another."""
    from edgebench.export.cache import kept_folder

    manifest = kept_folder(folder / _ARTIFACTS, baseline.manifest_sha256) / MANIFEST
    if not manifest.is_file():
        return None
    if sha256_file(manifest) != baseline.manifest_sha256:
        raise CacheTampered(
            f"{manifest} is not what was saved as baseline {baseline.name}",
            hint=f"restore it, or save the baseline again: edgebench baseline save {baseline.name} --replace",
        )
    return manifest.parent


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}{_SUFFIX}"
