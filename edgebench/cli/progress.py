"""Live progress on stderr: a line that moves where stderr is a terminal, plain lines where it is a file or a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgebench.analyze.statistics import half_width
from edgebench.cli.context import stderr_console
from edgebench.events import (
    Emit,
    Event,
    LaunchFinished,
    LaunchStarted,
    Note,
    Progressed,
    StageFinished,
    StageStarted,
    Waiting,
)
from edgebench.report.tables import milliseconds

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status


@contextmanager
def progress(quiet: bool = False) -> Iterator[Emit]:
    """An ``Emit`` that draws events until the block ends; with ``quiet`` it draws none but notes."""
    console = stderr_console()
    if quiet:
        yield lambda event: _quiet(console, event)
        return
    if not console.is_terminal:
        yield _Lines(console).draw
        return
    with console.status("starting") as status:
        yield _Live(console, status).draw


def _quiet(console: Console, event: Event) -> None:
    if isinstance(event, Note):
        console.print(f"note: {event.text}", markup=False)


class _Lines:
    """One line for each thing that ended; a wait is told once, then every ten seconds, and a long stage at each quarter."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told_at_s = -1.0
        self._told_quarter = 0

    def draw(self, event: Event) -> None:
        if isinstance(event, Progressed):
            quarter = 4 * event.done // max(event.total, 1)
            if quarter == self._told_quarter:
                return
            self._told_quarter = quarter
        if isinstance(event, Waiting):
            if 0.0 <= self._told_at_s <= event.waited_s < self._told_at_s + 10.0:
                return
            self._told_at_s = event.waited_s
        elif not isinstance(event, Note):
            self._told_at_s = -1.0
        if isinstance(event, LaunchStarted):
            return
        self._console.print(_text(event), markup=False, soft_wrap=True)


class _Live:
    """The stage under way as a spinner; what ended stays above it, launches only when they were not VALID."""

    def __init__(self, console: Console, status: Status) -> None:
        self._console = console
        self._status = status
        self._running: dict[str, str] = {}

    def draw(self, event: Event) -> None:
        text = _text(event)
        if isinstance(event, StageFinished | Note):
            self._console.print(text, markup=False)
        elif isinstance(event, LaunchFinished):
            self._running[event.series] = text
            if event.validity != "VALID":
                self._console.print(text, markup=False)
        elif isinstance(event, LaunchStarted) and event.series in self._running:
            text = f"{text}   last: {self._running[event.series]}"
        self._status.update(_escaped(text))


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _text(event: Event) -> str:
    match event:
        case StageStarted(stage, detail):
            return f"{stage} {detail} ..."
        case StageFinished(stage, detail):
            return f"{stage}: {detail}" if detail else f"{stage}: done"
        case Progressed(stage, done, total, unit):
            return f"{stage}: {done} of {total} {unit}"
        case Waiting(reason, waited_s, limit_s):
            return f"waiting: {reason} ({waited_s:.0f} of at most {limit_s:.0f} s)"
        case LaunchStarted(series, index, planned):
            return f"{series}: launch {index} of {planned} ..."
        case LaunchFinished():
            return _launch_text(event)
        case Note(text):
            return f"note: {text}"


def _launch_text(event: LaunchFinished) -> str:
    text = f"{event.series}: {event.index} of {event.planned}"
    if event.figure is not None:
        text += f", {_figure(event.figure, event)}"
    if event.running is not None and event.running_ci95 is not None:
        text += f", median {_figure(event.running, event)} ± {half_width(event.running_ci95):.1%}"
    if event.device:
        text += f" ({event.device})"
    if event.validity != "VALID":
        text += f"  {event.validity}: {'; '.join(event.reasons)}"
    return text


def _figure(value: float, event: LaunchFinished) -> str:
    return f"{value:.4f} x" if event.unit == "x" else f"{milliseconds(value)} ms"
