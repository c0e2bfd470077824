"""A run is a folder: run.json, and a folder for each launch with its plan, its trace and what the agent printed."""

from __future__ import annotations

import fcntl
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from edgebench.errors import UnknownName, UsageError
from edgebench.files import full_disk_is_said, write_atomic
from edgebench.records import Pair, RunRecord, Series, Trace
from edgebench.records.codec import encode
from edgebench.records.migrate import decode_versioned, decode_versioned_trace

DEFAULT_RUNS_DIR = Path("reports") / "runs"


def new_run_id(utc: str, name: str) -> str:
    """Sorts by time, says what was measured, and does not clash: ``20261122-171500-mobileone_s0-3f9a``."""
    at = datetime.fromisoformat(utc).strftime("%Y%m%d-%H%M%S")
    slug = re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-")[:40]
    return f"{at}-{slug}-{secrets.token_hex(2)}"


class RunStore:
    """One run's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, record: RunRecord) -> None:
        """Writes run.json atomically. Raises NoSpace."""
        write_atomic(self.folder / "run.json", encode(record))

    def load(self) -> RunRecord:
        """Reads run.json strictly, through the migrations. Raises InvalidFile."""
        path = self.folder / "run.json"
        return decode_versioned(RunRecord, path.read_bytes(), path=str(path))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the run for one writer. Raises UsageError where another process measures it now."""
        with full_disk_is_said(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / ".lock").open("w")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"{self.folder.name} is being measured by another process", hint="wait for it, or start a new run"
                ) from None
            yield

    def launch_folder(self, lane: str, index: int) -> Path:
        """Makes the folder of one launch of a series, by its number, or of a pair, such as *pair0*. Raises NoSpace."""
        return self._made(self.folder / "launches" / f"{lane:0>2}-{index:03d}")

    def canary_folder(self) -> Path:
        """Makes the folder in which the canaries are probed. It stays: what a failed probe said is there. Raises NoSpace."""
        return self._made(self.folder / "canary")

    def _made(self, folder: Path) -> Path:
        with full_disk_is_said(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def relative(self, path: Path) -> str:
        """``path`` as run.json names it."""
        return path.resolve().relative_to(self.folder.resolve()).as_posix()

    def traces(self, of: Series | Pair) -> Mapping[int, Trace]:
        """The traces of its launches by launch index; failed ones are left out. Raises InvalidFile."""
        return {
            launch.index: decode_versioned_trace((self.folder / launch.trace).read_bytes(), path=launch.trace)
            for launch in of.launches
            if launch.validity != "FAILED" and launch.trace is not None and (self.folder / launch.trace).is_file()
        }


def find_run(runs_dir: Path, name: str) -> RunStore:
    """A run by its folder, its id, an unambiguous part of its id, or ``last``. Raises UnknownName with near ids."""
    if (Path(name) / "run.json").is_file():
        return RunStore(Path(name))
    known = run_ids(runs_dir)
    matches = known[-1:] if name == "last" else [run_id for run_id in known if name == run_id]
    matches = matches or [run_id for run_id in known if name in run_id]
    if len(matches) == 1:
        return RunStore(runs_dir / matches[0])
    if name == "last":
        hint = f"runs are looked for in {runs_dir}; edgebench run mobileone makes one; another place: --runs-dir"
        raise UsageError("there is no run yet", hint=hint)
    hint = (
        f"{len(matches)} runs match: {', '.join(matches[:5])}"
        if matches
        else f"runs are looked for in {runs_dir.resolve()}; another place: --runs-dir"
    )
    raise UnknownName("run", name, known, hint=hint)


def run_ids(runs_dir: Path) -> list[str]:
    """The ids of the runs in ``runs_dir``, oldest first."""
    if not runs_dir.is_dir():
        return []
    return sorted(path.parent.name for path in runs_dir.glob("*/run.json"))
