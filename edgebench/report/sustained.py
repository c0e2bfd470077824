"""A load that was held, for people: the first seconds beside what is left of them at rest, and how it got there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from edgebench.analyze.sustained import clock_doubt
from edgebench.records import Result, Sustained
from edgebench.report.tables import milliseconds

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 60
# Two latencies of one launch each that are nearer than this are not told apart.
_APART = 0.03


def sustained_lines(results: Sequence[Result]) -> list[str]:
    """Of each result that was held what it came to, drawn over time; then the ranks that the heat turned round."""
    lines = []
    for result in results:
        if result.sustained is not None:
            lines += [f"{result.label}, held for {result.sustained.duration_s:.0f} s: {_words(result.sustained)}"]
            lines += _drawn(result.sustained)
            if result.sustained.verdict != "VALID":
                lines.append(f"  {result.sustained.verdict}: {'; '.join(result.sustained.reasons)}")
        elif result.not_sustained is not None:
            lines.append(f"{result.label} was not held: {result.not_sustained}")
    return [*lines, *turned_round(results)]


def turned_round(results: Sequence[Result]) -> list[str]:
    """Pairs of which the one that is faster in the first seconds, or in the first minute, is the slower one at rest."""
    lines = []
    for one, other in combinations([each for each in results if each.sustained is not None], 2):
        for when in ("first seconds", "first minute"):
            if line := _turned(one, other, when):
                lines.append(line)
                break
    return lines


def _turned(one: Result, other: Result, when: str) -> str | None:
    early = [_early_ms(each, when) for each in (one, other)]
    rest = [each.sustained.steady_ms if each.sustained else None for each in (one, other)]
    if None in early or None in rest:
        return None
    rows = zip((one, other), early, rest, strict=True)
    (quick, quick_ms, quick_rest_ms), (slow, slow_ms, slow_rest_ms) = sorted(rows, key=lambda row: row[1] or 0.0)
    if not (_above(slow_ms, quick_ms) and _above(quick_rest_ms, slow_rest_ms)):
        return None
    doubtful = [each.label for each in (quick, slow) if each.sustained and each.sustained.verdict != "VALID"]
    return (
        f"RANKS CHANGE: {quick.label} is faster in the {when} ({milliseconds(quick_ms)} against {milliseconds(slow_ms)} ms),"
        f" {slow.label} at rest ({milliseconds(slow_rest_ms)} against {milliseconds(quick_rest_ms)} ms)"
        + (f"; SUSPECT: {', '.join(doubtful)}" if doubtful else "")
    )


def _early_ms(result: Result, when: str) -> float | None:
    if result.sustained is None:
        return None
    return result.sustained.burst_ms if when == "first seconds" else result.sustained.first_minute_ms


def _above(ms: float | None, other_ms: float | None) -> bool:
    return (ms or 0.0) > (other_ms or 0.0) * (1.0 + _APART)


def _words(held: Sustained) -> str:
    burst = f"burst {milliseconds(held.burst_ms)} ms"
    rest = "never at rest: hold it for longer"
    if held.steady_ms is not None and held.steady_from_s is not None:
        ratio = held.steady_ms / held.burst_ms
        rest = f"at rest {milliseconds(held.steady_ms)} ms ({ratio:.2f} x) from {held.steady_from_s:.0f} s on"
    if held.throttled_after_s is None:
        return f"{burst}, never throttled, {rest}"
    clock = "" if held.clock_slower is None else f" (clock canary {held.clock_slower:.2f} x)"
    how = "slower" if clock_doubt(held) else "throttled"
    return f"{burst}, {how} after {held.throttled_after_s:.0f} s{clock}, {rest}"


def _drawn(held: Sustained) -> list[str]:
    """Latency over time as bars, and the hottest reading below where there are any."""
    low, high = min(held.levels_ms), max(held.levels_ms)
    lines = [f"  latency     {_bars(held.levels_ms)}  {milliseconds(low)} to {milliseconds(high)} ms"]
    known = [celsius for celsius in held.hottest_c if celsius is not None]
    if known:
        lines.append(f"  temperature {_bars(known)}  {min(known):.0f} to {max(known):.0f} °C")
    return lines


def _bars(values: Sequence[float]) -> str:
    """Means of up to ``_WIDTH`` equal parts, from the least to the most of them; all low where nothing changes."""
    parts = min(_WIDTH, len(values))
    cells = [values[len(values) * at // parts : len(values) * (at + 1) // parts] for at in range(parts)]
    means = [sum(cell) / len(cell) for cell in cells]
    low, high = min(means), max(means)
    # What is within some per cent is level.
    span = max(high - low, 0.02 * abs(high)) or 1.0
    return "".join(_BARS[round((len(_BARS) - 1) * (mean - low) / span)] for mean in means)
