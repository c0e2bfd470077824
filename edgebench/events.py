"""What the core tells whoever listens: the CLI draws these, tests collect them, nobody else prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class StageStarted:
    """A named piece of work began, such as ``export onnx``."""

    stage: str
    detail: str = ""


@dataclass(frozen=True)
class StageFinished:
    """The piece of work ended; ``detail`` is its result in a few words."""

    stage: str
    detail: str = ""


@dataclass(frozen=True)
class Progressed:
    """How much of a long stage is done: ``done`` of ``total``, in ``unit`` (files, MB)."""

    stage: str
    done: int
    total: int
    unit: str


@dataclass(frozen=True)
class Waiting:
    """The gate waits: what for, its figure and limit, and how long already."""

    reason: str
    waited_s: float
    limit_s: float


@dataclass(frozen=True)
class LaunchStarted:
    """One launch of a series begins."""

    series: str
    index: int
    planned: int


@dataclass(frozen=True)
class LaunchFinished:
    """One launch of a series or of a pair ended and was judged; what is running is over the used launches so far.

    ``unit`` is *ms* for a series' median, *x* for a pair's ratio, of which ``figure`` is the launch's own. ``device`` is what
    canaries and sensors said of the launch, in a few words.
    """

    series: str
    index: int
    planned: int
    validity: str
    reasons: tuple[str, ...]
    unit: Literal["ms", "x"]
    figure: float | None
    running: float | None
    running_ci95: tuple[float, float] | None
    device: str


@dataclass(frozen=True)
class Note:
    """Something the person should know; not an error."""

    text: str


Event = StageStarted | StageFinished | Progressed | Waiting | LaunchStarted | LaunchFinished | Note
Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """An ``Emit`` for callers that do not listen."""
