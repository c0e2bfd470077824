"""What ``trtexec`` says on its console and writes by --exportTimes, versions 7 to 11: what cannot be read is None.

Times in ms, as it gives them. Rows of its warm-up are in the file before 8.5; which they are is known from its report and
checked against the rows themselves (samples/common/sampleReporting.cpp counts those whose computing began before the warm-up
was over). What a row says in two ways, as a time and as its start and end, has to agree.
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
_START = "startComputeMs"
# The time, its start and its end. Version 7 has names of its own, and prints those of the enqueueing as startInMs and endInMs.
_SPANS: dict[str, tuple[tuple[str, str | None, str | None], ...]] = {
    "compute": (("computeMs", _START, "endComputeMs"),),
    "h2d": (("h2dMs", "startH2dMs", "endH2dMs"), ("inMs", None, None)),
    "d2h": (("d2hMs", "startD2hMs", "endD2hMs"), ("outMs", "startOutMs", "endOutMs")),
}
_LATENCY = "latencyMs"
# How far a time may lie from the difference of its start and end, as a share of the end: all are printed to six digits.
# Of 44,423 rows of ten files in NVIDIA's own examples (tools/experimental/trt-engine-explorer) none lies further than 1e-5.
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

    ``warmup_ms`` is the computing of each that does not count, as far as the file has them. ``h2d_ms``, ``d2h_ms`` and
    ``latency_ms`` (all three together) are None where the file does not have them.
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

    A time that no row tells is made from its start and end, and is no finer than these are printed: six digits, 0.1 ms once ten
    seconds are over. Raises LaunchFailed where it is no such file, where rows hold what cannot be or contradict themselves, and
    where report and rows do not agree on which of them are warm-up: then nobody knows what was measured.
    """
    try:
        rows = msgspec.json.decode(data, type=list[dict[str, Any]])
    except msgspec.DecodeError as error:
        raise _refused(f"it is not what --exportTimes writes ({error})") from error
    if len({frozenset(row) for row in rows}) > 1:
        raise _refused("its rows do not all have the same keys")
    starts, compute = _column(rows, _START), _durations(rows, "compute")
    if starts is None or compute is None:
        raise _refused("not every row has startComputeMs and computeMs, or endComputeMs in its place")
    if any(later < earlier for earlier, later in pairwise(starts)):
        raise _refused("its rows are not in the order of their start")
    if any(earlier == later for earlier, later in pairwise(rows)):
        raise _refused("a row stands twice in it")
    h2d, d2h, latency = _durations(rows, "h2d"), _durations(rows, "d2h"), _latencies(rows)
    first = _warmup_rows(starts, console)
    return Times(
        compute_ms=compute[first:],
        h2d_ms=h2d and h2d[first:],
        d2h_ms=d2h and d2h[first:],
        latency_ms=latency and latency[first:],
        warmup_ms=compute[:first],
    )


def _warmup_rows(starts: tuple[float, ...], console: Console) -> int:
    """How many rows at the beginning are warm-up: all that trtexec counts, or none since 8.5, which leaves them out."""
    if console.warmup_queries is None or console.warmup_ms is None or console.queries is None:
        raise _refused("trtexec does not say how many of them are warm-up")
    if len(starts) not in (console.queries, console.warmup_queries + console.queries):
        told = f"{console.warmup_queries} of warm-up and {console.queries} timed"
        raise _refused(f"it has {len(starts)} rows, trtexec tells of {told}")
    expected = len(starts) - console.queries
    by_start = sum(start < console.warmup_ms for start in starts)
    if by_start != expected:
        raise _refused(f"{by_start} rows begin within the warm-up of {console.warmup_ms:g} ms, not {expected}")
    if console.queries == 0:
        raise _refused("all of them are warm-up")
    return by_start


def _durations(rows: list[dict[str, Any]], name: str) -> tuple[float, ...] | None:
    """What every row takes for ``name``, by whichever of its keys; None where the file does not tell."""
    for key, start_key, end_key in _SPANS[name]:
        told, starts, ends = (_column(rows, each) for each in (key, start_key, end_key))
        if told is None and any(key in row for row in rows):
            return None
        if starts is None or ends is None:
            if told is not None:
                return told
            continue
        made = tuple(end - start for start, end in zip(starts, ends, strict=True))
        for number, (ms, span, end) in enumerate(zip(told or made, made, ends, strict=True)):
            if span < -_ROUNDING * end or abs(span - ms) > _ROUNDING * end:
                raise _refused(f"row {number} has {ms:g} ms for {key}, {span:g} from its start to its end")
        return told or tuple(max(span, 0.0) for span in made)
    return None


def _latencies(rows: list[dict[str, Any]]) -> tuple[float, ...] | None:
    """The sum of computing and transfers as every row tells it; None where the row does not tell all three by themselves."""
    told = _column(rows, _LATENCY)
    columns = [next(filter(None, (_column(rows, keys[0]) for keys in spans)), None) for spans in _SPANS.values()]
    parts = [column for column in columns if column is not None]
    if told is None or len(parts) < len(columns):
        return None
    for number, (ms, *each) in enumerate(zip(told, *parts, strict=True)):
        if abs(sum(each) - ms) > _ROUNDING * ms:
            raise _refused(f"row {number} has a latency of {ms:g} ms, its parts take {sum(each):g}")
    return told


def _column(rows: list[dict[str, Any]], key: str | None) -> tuple[float, ...] | None:
    """A column; None where a row lacks it or holds no finite time, and where there is no row."""
    values = [row.get(key) for row in rows] if key else []
    sound = all(
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
        for value in values
    )
    return tuple(map(float, values)) if values and sound else None  # type: ignore[arg-type]


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
