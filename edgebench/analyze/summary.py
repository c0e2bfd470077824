"""The summary of a series, derived from the traces of its launches every time it is shown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Literal

from edgebench.analyze.statistics import interval_error, location_interval, quantile
from edgebench.records import EndRow, IterationsRow, LaunchRecord, RunPolicy, Series, Summary, Trace

# Below this many iterations a launch's p90 rests on fewer than ten values.
P90_ITERATIONS_MIN = 100
# A run that threw away more than this share of its launches was not measured on a quiet device.
DISCARDED_SHARE_MAX = 0.3
# A run in which more than this share of the used launches is SUSPECT is SUSPECT itself.
SUSPECT_SHARE_MAX = 0.3
# How the reason begins that speaks of what is computed, not of how long that takes.
PARITY_NOT_CHECKED = "parity not checked"
_OVER_REFERENCE = "x its reference (limit "


def iteration_times_ns(trace: Trace) -> list[int]:
    """Each timed iteration's total over its stages, in order."""
    times: list[int] = []
    for row in trace.of(IterationsRow):
        times.extend(sum(parts) for parts in zip(*row.stages.values(), strict=True))
    return times


def launch_median_ms(trace: Trace) -> float:
    """The launch's one number. Raises ValueError for a trace without iterations."""
    return median(iteration_times_ns(trace)) / 1e6


def summarize(series: Series, traces: Mapping[int, Trace], policy: RunPolicy) -> Summary:
    """Summarises the measuring launches of ``series``; ``traces`` maps launch indices to what could be read.

    The interval's error is what the planned looks leave it. It says nothing of other sessions; with more
    than one the session is the unit, and the interval is over their medians: launches of one session are alike.
    """
    measured = [launch for launch in series.launches if launch.kind == "measure"]
    used = [launch for launch in measured if launch.used and launch.index in traces]
    times = {launch.index: iteration_times_ns(traces[launch.index]) for launch in used}
    medians = [median(times[launch.index]) / 1e6 for launch in used]
    suspect = sum(launch.validity == "SUSPECT" for launch in used)
    invalid = sum(launch.validity == "INVALID" for launch in measured)
    failed = sum(launch.validity == "FAILED" for launch in measured)
    sessions = _session_medians_ms(used, times)
    verdict, reasons = _verdict(series, used, len(measured), policy)
    return Summary(
        median_ms=median(medians) if medians else None,
        ci95_ms=location_interval(sessions)
        if sessions
        else location_interval(medians, interval_error(policy.looks if policy.budget is None else ())),
        p90_ms=_p90_ms(list(times.values())),
        min_ms=min(min(values) for values in times.values()) / 1e6 if times else None,
        launch_medians_ms=tuple(medians),
        launches=len(used),
        launches_suspect=suspect,
        launches_invalid=invalid,
        launches_failed=failed,
        iterations=sum(len(values) for values in times.values()),
        memory_peak_bytes=_memory_peak_bytes([traces[launch.index] for launch in used]),
        session_medians_ms=sessions,
        verdict=verdict,
        reasons=reasons,
    )


def _p90_ms(launches: Sequence[Sequence[int]]) -> float | None:
    if not launches or any(len(times) < P90_ITERATIONS_MIN for times in launches):
        return None
    return median(quantile(times, 0.9) for times in launches) / 1e6


def _memory_peak_bytes(traces: Sequence[Trace]) -> int | None:
    peaks = [row.memory_peak_bytes for trace in traces for row in trace.of(EndRow) if row.memory_peak_bytes is not None]
    return int(median(peaks)) if peaks else None


def _session_medians_ms(used: Sequence[LaunchRecord], times: Mapping[int, Sequence[int]]) -> tuple[float, ...]:
    sessions = sorted({launch.session for launch in used})
    if len(sessions) < 2:
        return ()
    return tuple(
        median(median(times[launch.index]) for launch in used if launch.session == session) / 1e6
        for session in sessions
    )


def _verdict(
    series: Series, used: Sequence[LaunchRecord], measured: int, policy: RunPolicy
) -> tuple[Literal["VALID", "SUSPECT", "INVALID"], tuple[str, ...]]:
    """The run's verdict with every reason that lowers it, each with its figure and limit."""
    if not used:
        causes = most_common_reasons(launch.reasons for launch in series.launches)
        return "INVALID", (f"none of {measured} launches can be used", *causes)
    reasons: list[str] = []
    discarded = measured - len(used)
    if discarded / measured > DISCARDED_SHARE_MAX:
        causes = most_common_reasons(launch.reasons for launch in series.launches if not launch.used)
        reasons += [f"{discarded} of {measured} launches discarded (limit {DISCARDED_SHARE_MAX:.0%})", *causes]
    suspect = [launch for launch in used if launch.validity == "SUSPECT"]
    if len(suspect) / len(used) > SUSPECT_SHARE_MAX:
        causes = most_common_reasons(launch.reasons for launch in suspect)
        reasons += [f"{len(suspect)} of {len(used)} launches are SUSPECT (limit {SUSPECT_SHARE_MAX:.0%})", *causes]
    planned = policy.looks[0] if policy.budget is None else policy.solo_launches
    if len(used) < planned:
        reasons.append(f"only {len(used)} launches, {planned} were planned")
    if len(used) < 2:
        reasons.append("one launch has no interval")
    if series.identity.power_source == "battery":
        reasons.append("the device ran on battery")
    if not policy.gate:
        reasons.append("the gate was off (--no-gate)")
    if series.fidelity.not_checked:
        reasons.append(f"{PARITY_NOT_CHECKED}: {series.fidelity.not_checked}")
    return ("SUSPECT" if reasons else "VALID"), tuple(reasons)


def most_common_reasons(reasons: Iterable[tuple[str, ...]], most: int = 3) -> list[str]:
    """The commonest kinds of reason, each shown by its worst launch: reasons of a kind differ only in their figures."""
    every = [reason for launch in reasons for reason in launch]
    kinds = Counter(_kind(reason) for reason in every)
    told = []
    for kind, count in kinds.most_common(most):
        alike = {reason for reason in every if _kind(reason) == kind}
        launches = f"{'the worst of ' if len(alike) > 1 else ''}{count} launch{'es' if count > 1 else ''}"
        told.append(f"{max(alike, key=_figure)} ({launches})")
    return told


def over_reference(name: str, ratio: float, limit: float) -> str:
    """What a canary that is over its limit is said to be, by the gate and of a launch.

    A ratio that two digits would show as its limit has more.
    """
    rounded = f"{ratio:.2f}"
    shown = f"{ratio:.4f}" if rounded == f"{limit:.2f}" else rounded
    return f"{name} canary {shown}{_OVER_REFERENCE}{limit:.2f}x)"


def says_over_reference(reason: str) -> bool:
    """Whether that is what a reason says."""
    return _OVER_REFERENCE in reason


def _figure(reason: str) -> float:
    """The first number in a reason, which is the figure that its limit was held against."""
    found = re.search(r"\d+(\.\d+)?", reason)
    return float(found[0]) if found else 0.0


def _kind(reason: str) -> str:
    return re.split(r"\d", reason, maxsplit=1)[0]
