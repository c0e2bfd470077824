"""Artifacts by content: each is a folder that is whole or absent, and every file is held to its hash when it is opened."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from edgebench.errors import CacheError, CacheTampered, InvalidFile
from edgebench.files import cache_root, full_disk_is_said, sha256_bytes, sha256_file
from edgebench.records import Artifact, ArtifactFile
from edgebench.records.artifact import MANIFEST
from edgebench.records.codec import encode
from edgebench.records.migrate import decode_versioned

# The manifest holds the hashes of the files; this holds the manifest's.
SEAL = "artifact.sha256"
_TEMPORARY = ".tmp-"
_STALE_S = 24 * 3600.0
_KEY = re.compile(r"[A-Za-z0-9_][\w-]*")


def artifact_folder(key: str) -> Path:
    """Where the artifact ``key`` is, or would be. Raises CacheError for what is no key: records from elsewhere name them."""
    if not _KEY.fullmatch(key):
        raise CacheError(f"{key!r} is no key of an artifact", hint="the file that names it was altered; make it again")
    return cache_root() / "artifacts" / key


def find_artifact(key: str) -> tuple[Artifact, Path] | None:
    """The cached artifact ``key`` with its folder, or None. Raises CacheTampered as ``open_artifact`` does."""
    return open_artifact(key) if artifact_folder(key).is_dir() else None


def open_artifact(key: str) -> tuple[Artifact, Path]:
    """The artifact ``key``, every file verified. Raises CacheError when it is not there, CacheTampered when changed."""
    folder = artifact_folder(key)
    if not folder.is_dir():
        raise CacheError(f"artifact {key} is not in the cache", hint="export its model again: edgebench export MODEL")
    return _read(folder), folder


def adopt(folder: Path) -> tuple[Artifact, Path]:
    """The artifact that ``folder`` holds (an exported one, a baseline's) in the cache, every file verified.

    Under a key of its own unless the cache made the very same: what a folder from elsewhere says of itself must not answer for
    what is exported here. Raises InvalidFile, CacheTampered, NoSpace.
    """
    artifact = _read(folder, sealed=(folder / SEAL).is_file())
    manifest = (folder / MANIFEST).read_bytes()
    own = artifact_folder(artifact.key)
    if own.is_dir() and (own / MANIFEST).read_bytes() == manifest:
        return open_artifact(artifact.key)
    key = sha256_bytes(manifest)[:32]
    found = find_artifact(key)
    if found is not None:
        return found
    with draft() as work:
        for file in artifact.files:
            shutil.copyfile(folder / file.path, work.folder / file.path)
        return work.commit(replace(artifact, key=key), replace=False)


def keep_artifact(key: str, folder: Path) -> tuple[Path, str]:
    """A copy of the cached artifact ``key`` below ``folder``, whole or not at all; its folder, and its record's SHA-256, which
    names it: another artifact of the same key (of another machine, another folder) has a place of its own.

    Raises CacheError, CacheTampered, NoSpace.
    """
    artifact, held = open_artifact(key)
    sha256 = sha256_file(held / MANIFEST)
    final = kept_folder(folder, sha256)
    with full_disk_is_said(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if final.is_dir():
            try:
                _read(final)
            except CacheTampered:
                shutil.rmtree(final)
            else:
                return final, sha256
        with tempfile.TemporaryDirectory(dir=folder, prefix=_TEMPORARY) as work:
            fresh = Path(work, "new")
            fresh.mkdir()
            for name in (MANIFEST, SEAL, *(file.path for file in artifact.files)):
                shutil.copyfile(held / name, fresh / name)
            fresh.rename(final)
    return final, sha256


def kept_folder(folder: Path, manifest_sha256: str) -> Path:
    """Where an artifact is kept below ``folder``, or would be, by its record's SHA-256."""
    return folder / manifest_sha256[:32]


@dataclass(frozen=True)
class Draft:
    """An artifact being made: files go into ``folder``, then ``commit`` puts all in place at once."""

    folder: Path

    def describe(self, roles: dict[str, str]) -> tuple[ArtifactFile, ...]:
        """Role -> file name as records, with sizes and hashes."""
        return tuple(
            ArtifactFile(role=role, path=name, sha256=sha256_file(path), size_bytes=path.stat().st_size)
            for role, name, path in ((role, name, self.folder / name) for role, name in roles.items())
        )

    def commit(self, artifact: Artifact, *, replace: bool) -> tuple[Artifact, Path]:
        """Moves the draft to its key. Where another process was first, its result is taken unless ``replace``."""
        manifest = encode(artifact)
        with full_disk_is_said(self.folder):
            (self.folder / MANIFEST).write_bytes(manifest)
            (self.folder / SEAL).write_text(sha256_bytes(manifest) + "\n")
            for path in self.folder.iterdir():
                _flush(path)
        final = artifact_folder(artifact.key)
        if replace and final.is_dir():
            self._move_aside(final)
        try:
            self.folder.rename(final)
        except OSError:
            # rename onto a folder that holds files fails: somebody else's artifact of the same key is there.
            if not final.is_dir():
                raise
            return open_artifact(artifact.key)
        return artifact, final

    def _move_aside(self, final: Path) -> None:
        aside = Path(tempfile.mkdtemp(dir=final.parent, prefix=_TEMPORARY))
        try:
            final.rename(aside / "old")
        except FileNotFoundError:
            # Another process that rebuilds took it first.
            return
        finally:
            shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def draft() -> Iterator[Draft]:
    """A folder beside the artifacts that vanishes unless it is committed; leftovers of crashes are swept after a day.

    Raises NoSpace for a full disk, CacheError where the cache cannot be written.
    """
    root = cache_root() / "artifacts"
    try:
        with full_disk_is_said(root):
            root.mkdir(parents=True, exist_ok=True)
            _sweep(root)
            folder = Path(tempfile.mkdtemp(dir=root, prefix=_TEMPORARY))
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise CacheError(
            f"the cache folder {root} cannot be written: {error.strerror}",
            hint="set EDGEBENCH_CACHE to a folder of yours",
        ) from error
    try:
        with full_disk_is_said(root):
            folder.chmod(0o755)
            yield Draft(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read(folder: Path, *, sealed: bool = True) -> Artifact:
    try:
        manifest = (folder / MANIFEST).read_bytes()
        seal = (folder / SEAL).read_text().strip() if sealed else sha256_bytes(manifest)
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise _tampered(folder, MANIFEST, "MODEL") from error
    if seal != sha256_bytes(manifest):
        raise _tampered(folder, MANIFEST, "MODEL")
    artifact = decode_versioned(Artifact, manifest, path=str(folder / MANIFEST))
    _require_own_files(artifact, folder / MANIFEST)
    for file in artifact.files:
        path = folder / file.path
        if not path.is_file() or path.stat().st_size != file.size_bytes or sha256_file(path) != file.sha256:
            raise _tampered(folder, file.path, artifact.model.source)
    return artifact


def _require_own_files(artifact: Artifact, manifest: Path) -> None:
    """Raises InvalidFile where it names a file of another folder, or one that it does not hold to a hash."""
    names = {file.path for file in artifact.files}
    references = {name for row in (*artifact.reference_inputs, *artifact.reference_outputs) for name in row}
    foreign = sorted({name for name in names if Path(name).name != name or name == ".."} | (references - names))
    if foreign:
        raise InvalidFile(
            str(manifest), "$.files", f"{foreign[0]} is no file of this folder", hint="export the model again"
        )


def _tampered(folder: Path, name: str, model: str) -> CacheTampered:
    hint = f"make it again: edgebench export {model} --rebuild (or remove the folder {folder})"
    if folder.parent != cache_root() / "artifacts":
        # Nothing here writes into it again: it was exported to, or is a baseline's.
        hint = "restore the folder from where it came; a baseline's: edgebench baseline save NAME --replace"
    return CacheTampered(f"{folder / name} is not what was stored there", hint=hint)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sweep(root: Path) -> None:
    # Wall time on purpose: the age of a file is only known by the wall clock.
    limit = time.time() - _STALE_S
    for left in root.glob(f"{_TEMPORARY}*"):
        try:
            stale = left.stat().st_mtime < limit
        except FileNotFoundError:
            continue
        if stale:
            shutil.rmtree(left, ignore_errors=True)
