"""What ``trtexec`` says on its console and writes by --exportTimes, versions 7 to 11: what cannot be read is None.

Times in ms, as it gives them. Rows of its warm-up are in the file; which they are is known from its report and checked against
the rows themselves (samples/common/sampleReporting.cpp counts those whose computing began before the warm-up was over).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec

from edgebench.errors import LaunchFailed

_NUMBER = r"([0-9]{1,9}(?:\.[0-9]{1,9})?(?:e[+-]?[0-9]{1,3})?)"
_PREFIX = r"^(?:\[[^\]\n]*\] \[[IWEV]\] )?"
_VERSION = re.compile(r"^&&&& RUNNING TensorRT\.trtexec \[TensorRT v([0-9]{4,6})\]", re.MULTILINE)
_ENDED = re.compile(r"^&&&& (PASSED|FAILED) TensorRT\.trtexec\b", re.MULTILINE)
_WARMUP = re.compile(_PREFIX + rf"Warmup completed ([0-9]{{1,9}}) queries over {_NUMBER} ms\s*$", re.MULTILINE)
_TRACE = re.compile(_PREFIX + rf"Timing trace has ([0-9]{{1,9}}) queries over {_NUMBER} s\s*$", re.MULTILINE)
_DEVICE = re.compile(_PREFIX + r"Selected Device: (\S[^\n]*?)\s*$", re.MULTILINE)
_LOADED = re.compile(_PREFIX + rf"Engine (?:loaded|deserialized) in {_NUMBER} sec\.?\s*$", re.MULTILINE)
_ERROR = re.compile(r"^\[[^\]\n]*\] \[E\] (?:\[TRT\] |Error\[[^\]]*\]: )?(\S[^\n]*?)\s*$", re.MULTILINE)
_SUMMARY = re.compile(
    _PREFIX + r"(Latency|Enqueue Time|H2D Latency|GPU Compute Time|D2H Latency): ([^\n]*)$", re.MULTILINE
)
_MEDIAN = re.compile(rf"(?:^|, )median = {_NUMBER} ms(?:,|$)")
# Version 7 has names of its own.
_KEYS = {
    "start": ("startComputeMs",),
    "compute": ("computeMs",),
    "h2d": ("h2dMs", "inMs"),
    "d2h": ("d2hMs", "outMs"),
    "latency": ("latencyMs",),
}
# How far a time may lie from the difference of its start and end, as a share of the end: all are printed to six digits.
_ROUNDING = 2e-5


@dataclass(frozen=True)
class Console:
    """``version`` as (10, 3, 0); ``passed`` None where it ended without a word, as when it was killed.

    ``loaded_s`` is what loading the engine took, ``warmup_ms`` and ``warmup_queries`` are its report of the warm-up,
    ``queries`` and ``timed_s`` that of the timed part. ``median_ms`` is by the names of its summary.
    """

    version: tuple[int, int, int] | None = None
    device: str | None = None
    passed: bool | None = None
    loaded_s: float | None = None
    warmup_queries: int | None = None
    warmup_ms: float | None = None
    queries: int | None = None
    timed_s: float | None = None
    median_ms: dict[str, float] = field(default_factory=dict)
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Times:
    """The timed inferences, without warm-up, in order. ``compute_ms`` is the GPU's own time; transfers are apart.

    ``warmup_ms`` is the computing of each that does not count. ``h2d_ms``, ``d2h_ms`` and ``latency_ms`` (all three together)
    are None where the file does not have them for every row.
    """

    compute_ms: tuple[float, ...]
    h2d_ms: tuple[float, ...] | None
    d2h_ms: tuple[float, ...] | None
    latency_ms: tuple[float, ...] | None
    warmup_ms: tuple[float, ...]


def parse_console(text: str) -> Console:
    """Its standard output and error, merged. What it says twice and not alike is None."""
    text = text.replace("\r\n", "\n")
    if not text.endswith("\n"):
        # Whoever reads a file that is still being written gets half a line, and half a number.
        text = text[: text.rfind("\n") + 1]
    version = _only(found[1] for found in _VERSION.finditer(text))
    ended = _only(found[1] for found in _ENDED.finditer(text))
    warmup = _only((int(found[1]), float(found[2])) for found in _WARMUP.finditer(text))
    trace = _only((int(found[1]), float(found[2])) for found in _TRACE.finditer(text))
    medians: dict[str, set[float]] = {}
    for found in _SUMMARY.finditer(text):
        if median := _MEDIAN.search(found[2].strip()):
            medians.setdefault(found[1], set()).add(float(median[1]))
    return Console(
        version=None if version is None else _version(version),
        device=_only(found[1] for found in _DEVICE.finditer(text)),
        passed=None if ended is None else ended == "PASSED",
        loaded_s=_only(float(found[1]) for found in _LOADED.finditer(text)),
        warmup_queries=warmup[0] if warmup else None,
        warmup_ms=warmup[1] if warmup else None,
        queries=trace[0] if trace else None,
        timed_s=trace[1] if trace else None,
        median_ms={name: values.pop() for name, values in medians.items() if len(values) == 1},
        errors=tuple(dict.fromkeys(found[1] for found in _ERROR.finditer(text))),
    )


def parse_times(data: bytes, console: Console) -> Times:
    """The file of --exportTimes, without the rows of the warm-up that ``console`` reports.

    Raises LaunchFailed where it is no such file, where rows hold what cannot be, and where report and rows do not agree on
    which of them are warm-up: then nobody knows what was measured.
    """
    try:
        rows = msgspec.json.decode(data, type=list[dict[str, Any]])
    except msgspec.DecodeError as error:
        raise _refused(f"it is not what --exportTimes writes ({error})") from error
    starts, compute = _column(rows, "start"), _column(rows, "compute")
    if not rows or starts is None or compute is None:
        raise _refused("not every row has startComputeMs and computeMs")
    if any(later < earlier for earlier, later in pairwise(starts)):
        raise _refused("its rows are not in the order of their start")
    for number, (row, start, ms) in enumerate(zip(rows, starts, compute, strict=True)):
        end = row.get("endComputeMs")
        if isinstance(end, int | float) and abs(end - start - ms) > _ROUNDING * end:
            raise _refused(f"row {number} computes for {ms} ms, from {start} to {end}")
    first = _warmup_rows(starts, console)
    h2d, d2h, latency = (_column(rows, name) for name in ("h2d", "d2h", "latency"))
    return Times(
        compute_ms=compute[first:],
        h2d_ms=h2d and h2d[first:],
        d2h_ms=d2h and d2h[first:],
        latency_ms=latency and latency[first:],
        warmup_ms=compute[:first],
    )


def _warmup_rows(starts: tuple[float, ...], console: Console) -> int:
    if console.warmup_queries is None or console.warmup_ms is None or console.queries is None:
        raise _refused("trtexec does not say how many of them are warm-up")
    if len(starts) != console.warmup_queries + console.queries:
        told = f"{console.warmup_queries} of warm-up and {console.queries} timed"
        raise _refused(f"it has {len(starts)} rows, trtexec tells of {told}")
    by_start = sum(start < console.warmup_ms for start in starts)
    if by_start != console.warmup_queries:
        raise _refused(
            f"{by_start} rows begin within the warm-up of {console.warmup_ms:g} ms, trtexec counts {console.warmup_queries}"
        )
    if console.queries == 0:
        raise _refused("all of them are warm-up")
    return by_start


def _column(rows: list[dict[str, Any]], name: str) -> tuple[float, ...] | None:
    """A column by whichever of its names; None where a row lacks it or holds no finite time."""
    key = next((key for key in _KEYS[name] if rows and key in rows[0]), None)
    if key is None:
        return None
    values = [row.get(key) for row in rows]
    sound = all(
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
        for value in values
    )
    return tuple(map(float, values)) if sound else None  # type: ignore[arg-type]


def _version(digits: str) -> tuple[int, int, int]:
    """8001 is 8.0.1, 100300 is 10.3.0: NV_TENSORRT_MAJOR * 1000 (10000 since 10) + MINOR * 100 + PATCH."""
    number = int(digits)
    if len(digits) == 4:
        return number // 1000, number // 100 % 10, number % 100
    return number // 10_000, number // 100 % 100, number % 100


def _only(found: Any) -> Any:  # noqa: ANN401  (whatever it is that all agree on)
    values = list(found)
    return values[0] if values and all(value == values[0] for value in values) else None


def _refused(why: str) -> LaunchFailed:
    return LaunchFailed(
        f"trtexec's times cannot be used: {why}",
        hint="run again; if it stays so, report it with trtexec's version and what it printed",
    )
