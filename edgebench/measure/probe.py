"""One look at the device's canaries: a launch that loads nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgebench.errors import LaunchFailed
from edgebench.records import CanaryRow, HeaderRow, Plan
from edgebench.runtime.base import Launcher

DEADLINE_S = 20.0


@dataclass(frozen=True)
class Probed:
    """The canaries and whether the C library or numpy ran them: the two are different work."""

    row: CanaryRow
    source: Literal["library", "numpy"]


Probe = Callable[[], Probed]


def canary_probe(launcher: Launcher, cores: tuple[int, ...], canary_library: str | None, work_dir: Path) -> Probe:
    """A probe that launches the agent on ``cores`` in canary mode; raises LaunchFailed when it cannot."""

    def probe() -> Probed:
        trace = launcher.launch(
            Plan(
                plan_id="canary",
                mode="canary",
                runtime="none",
                artifacts=(),
                cores=cores,
                deadline_s=DEADLINE_S,
                canary_library=canary_library,
                work_dir=str(work_dir.resolve()),
                trace_path=str(work_dir.resolve() / "trace.jsonl"),
            )
        )
        rows = trace.of(CanaryRow)
        source = trace.of(HeaderRow)[0].canary_source
        if not rows or source is None:
            raise LaunchFailed("a canary launch wrote no canaries", hint=f"read {work_dir}")
        return Probed(rows[0], source)

    return probe
