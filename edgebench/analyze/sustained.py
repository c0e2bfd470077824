"""What a load that is held does to latency: the first seconds, when it slows down, and where it comes to rest."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, median
from typing import NamedTuple

from edgebench.records import CanaryRow, IterationsRow, Sustained, TelemetryRow, Trace

# One point a second, and no more of them than anyone looks at.
POINTS_MAX = 1200
# The burst is what the first seconds give: a phone's chip is warm after ten.
BURST_S = 5.0
# What many benchmarks take for all: ranks are held against it, too.
MINUTE_S = 60.0
# Slower than the burst by this much, for half of 4 s and for 4 of 10, is throttled: less is scatter, or a second that something
# disturbed. A governor that goes up and down every few seconds throttles, too.
THROTTLED_BY, THROTTLED_FOR = 0.03, ((4.0, 0.5), (10.0, 0.4))
# A clock canary that explains a smaller part of the rise, in logarithms, tells that something else slowed it down.
CLOCK_LEAST = 0.5
# A canary takes milliseconds: so many iterations before it and after it tell whether that moment was slow, too.
NEAR = 3
# It is at rest from where the two halves of what is left differ by no more, for at least this part of the time.
LEVEL, REST_LEAST = 0.02, 0.2
# A segment has at least so many points, and costs as much as the Bayesian information criterion says (Yao 1988).
_SEGMENT_LEAST = 5


class _ClockCanary(NamedTuple):
    """A clock canary of a held load: the point in which it was read, -1 before the first, its time, and what the iterations
    next to it took."""

    point: int
    ns: int
    beside_ms: float


def sustained_of(trace: Trace) -> Sustained:
    """From the trace of one launch that held the load. Raises ValueError for one of under two bursts' length."""
    times = _iterations(trace)
    start_ns = times[0][0] if times else 0
    duration_s = (times[-1][0] - start_ns) / 1e9 if times else 0.0
    if duration_s < 2.0 * BURST_S:
        raise ValueError(f"the load was held for {duration_s:.1f} s, less than twice a burst of {BURST_S:.0f} s")
    step_s = max(1.0, duration_s / POINTS_MAX)
    binned: dict[int, list[int]] = {}
    for at_ns, ns in times:
        binned.setdefault(int((at_ns - start_ns) / 1e9 / step_s), []).append(ns)
    seconds = [(place + 0.5) * step_s for place in binned]
    levels_ms = [median(values) / 1e6 for values in binned.values()]
    burst_ms, minute_ms = (
        median(ns for at_ns, ns in times if at_ns - start_ns < first_s * 1e9) / 1e6 for first_s in (BURST_S, MINUTE_S)
    )
    clock = _clock_canaries(trace, times, [start_ns + int(place * step_s * 1e9) for place in binned])
    throttled = throttled_from(levels_ms, burst_ms, step_s, clock)
    throttled_after_s = seconds[throttled] - step_s / 2.0 if throttled is not None else None
    rest = steady_from(levels_ms, throttled or 0)
    steady_ms = math.exp(fmean(math.log(ms) for ms in levels_ms[rest or 0 :])) if rest is not None else None
    return Sustained(
        duration_s=duration_s,
        burst_ms=burst_ms,
        first_minute_ms=minute_ms if duration_s > MINUTE_S else None,
        steady_ms=steady_ms,
        steady_from_s=seconds[rest] - step_s / 2.0 if rest is not None else None,
        throttled_after_s=throttled_after_s,
        clock_slower=None if throttled is None else _clock_slower(clock, throttled, step_s),
        seconds=tuple(seconds),
        levels_ms=tuple(levels_ms),
        hottest_c=tuple(_hottest_c(trace, start_ns, seconds, step_s)),
    )


def clock_doubt(held: Sustained) -> str | None:
    """Why no lower clock slowed it down, where the canary tells so; None where one may have, or nothing did."""
    if held.throttled_after_s is None or held.clock_slower is None:
        return None
    late = [ms for second, ms in zip(held.seconds, held.levels_ms, strict=True) if second > held.throttled_after_s]
    rose = math.exp(fmean(math.log(ms) for ms in late)) / held.burst_ms
    if math.log(held.clock_slower) >= CLOCK_LEAST * math.log(rose):
        return None
    return (
        f"from {held.throttled_after_s:.0f} s on latency was {rose:.2f} x its first seconds', the clock canary"
        f" {held.clock_slower:.2f} x: something else than the clock slowed it, such as other work"
    )


def _clock_canaries(trace: Trace, times: Sequence[tuple[int, int]], starts_ns: Sequence[int]) -> list[_ClockCanary]:
    """The clock canaries among iterations and points that start then; none where an accelerator computed."""
    found = []
    for row in () if trace.accelerated else trace.of(CanaryRow):
        after = bisect_right(times, (row.t_ns, 0))
        beside = [ns for _, ns in times[max(0, after - NEAR) : after + NEAR]]
        found.append(_ClockCanary(bisect_right(starts_ns, row.t_ns) - 1, row.clock_ns, median(beside) / 1e6))
    return found


def _clock_slower(clock: Sequence[_ClockCanary], throttled: int, step_s: float) -> float | None:
    burst = [read.ns for read in clock if read.point < min(BURST_S / step_s, throttled)]
    late = [read.ns for read in clock if read.point >= throttled]
    return fmean(late) / fmean(burst) if burst and late else None


def _iterations(trace: Trace) -> list[tuple[int, int]]:
    """When each iteration began, as far as a block tells, and what it took, in ns."""
    found = []
    for row in trace.of(IterationsRow):
        times = [sum(parts) for parts in zip(*row.stages.values(), strict=True)]
        # Those that were dropped took about as long as the others.
        at_ns = row.t_ns + row.dropped * round(median(times)) if times else row.t_ns
        for ns in times:
            found.append((at_ns, ns))
            at_ns += ns
    return found


def _hottest_c(trace: Trace, start_ns: int, seconds: Sequence[float], step_s: float) -> list[float | None]:
    """The hottest reading in each point's time, or the last one before it."""
    rows = [row for row in trace.of(TelemetryRow) if row.temperature_c]
    readings = [((row.t_ns - start_ns) / 1e9, max(row.temperature_c.values())) for row in rows]
    found: list[float | None] = []
    for second in seconds:
        until = [celsius for at_s, celsius in readings if at_s < second + step_s / 2.0]
        found.append(until[-1] if until else None)
    return found


def throttled_from(
    levels_ms: Sequence[float], burst_ms: float, step_s: float, clock: Sequence[_ClockCanary]
) -> int | None:
    """The first point of those, ``step_s`` apart, at which latency left the burst's and, taken all in all, stayed away; None
    where it never did.

    ``clock`` tells other work from heat. Where the first canary that was read among slow iterations of a slow point from
    there on does not share the slow-down, it was not heat yet; where none ever does, all of it is doubted (``clock_doubt``).
    """
    limit_ms = burst_ms * (1.0 + THROTTLED_BY)
    slow = [ms > limit_ms for ms in levels_ms]
    windows = [(max(1, round(seconds / step_s)), share) for seconds, share in THROTTLED_FOR]
    away = [
        place
        for place, slower in enumerate(slow)
        if slower and all(sum(slow[place : place + points]) >= share * points for points, share in windows)
    ]
    in_burst = [read.ns for read in clock if read.point < BURST_S / step_s]
    shares = [
        (read.point, math.log(read.ns / median(in_burst)) >= CLOCK_LEAST * math.log(read.beside_ms / burst_ms))
        for read in clock
        # A clock that goes up and down slows a second down that has fast moments.
        if in_burst and read.point >= 0 and slow[read.point] and read.beside_ms > limit_ms
    ]
    hot = (place for place in away if next((share for point, share in shares if point >= place), False))
    return next(hot, away[0] if away else None)


def steady_from(levels_ms: Sequence[float], since: int = 0) -> int | None:
    """The first point from which it is at rest, up or down between two clocks as it may go; None where it never is.

    What was before ``since``, where it was throttled, is no part of it: a long rest would hide a short burst in its mean.
    """
    logs = [math.log(ms) for ms in levels_ms[since:]]
    least = max(2 * _SEGMENT_LEAST, math.ceil(REST_LEAST * len(levels_ms)))
    for start in change_points(logs):
        left = logs[start:]
        half = len(left) // 2
        if len(left) >= least and abs(fmean(left[:half]) - fmean(left[half:])) <= LEVEL:
            return since + start
    return None


def change_points(values: Sequence[float]) -> list[int]:
    """0, and where the mean of ``values`` changes.

    By binary segmentation (Scott and Knott 1974, Biometrics 30), each split worth more than it costs.
    """
    sums, squares = [0.0], [0.0]
    for value in values:
        sums.append(sums[-1] + value)
        squares.append(squares[-1] + value * value)

    def cost(start: int, end: int) -> float:
        total = sums[end] - sums[start]
        return squares[end] - squares[start] - total * total / (end - start)

    # The scatter by neighbours: steps and trends hardly raise it.
    apart = sorted(abs(after - before) for before, after in pairwise(values))
    scatter = apart[len(apart) // 2] / 0.954 if apart else 0.0
    penalty = 2.0 * max(scatter, 1e-6) ** 2 * math.log(max(len(values), 2))
    found, open_ = [0], [(0, len(values))]
    while open_:
        start, end = open_.pop()
        places = range(start + _SEGMENT_LEAST, end - _SEGMENT_LEAST + 1)
        best = min(places, key=lambda at: cost(start, at) + cost(at, end), default=None)
        if best is not None and cost(start, end) - cost(start, best) - cost(best, end) > penalty:
            found.append(best)
            open_ += [(start, best), (best, end)]
    return sorted(found)
