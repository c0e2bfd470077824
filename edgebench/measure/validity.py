"""Whether one launch may be believed. Rules look at canaries, telemetry and placement, never at the latency itself.

A rule that looked at latency would discard what it is meant to measure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median, median_high, median_low

from edgebench.analyze.summary import over_reference
from edgebench.analyze.telemetry import busy_gpu_mhz, off_cpu_share, others_share, sensors_share
from edgebench.device.zones import place_of
from edgebench.measure.limits import DEFAULT_LIMITS, Limits
from edgebench.records import (
    CanaryReference,
    CanaryRow,
    DeviceState,
    EndRow,
    HeaderRow,
    IterationsRow,
    LoadRow,
    MonitorRow,
    Plan,
    TelemetryRow,
    ThermalState,
    Trace,
    WarmupRow,
)
from edgebench.records.run import Validity

Finding = tuple[Validity, str]


@dataclass(frozen=True)
class Judgement:
    """What a launch is worth, and every reason that lowers it."""

    validity: Validity
    reasons: tuple[str, ...]

    def lowered(self, reason: str) -> Judgement:
        """The same with one more reason, SUSPECT at best."""
        return Judgement("SUSPECT" if self.validity == "VALID" else self.validity, (*self.reasons, reason))


def judge(trace: Trace, plan: Plan, reference: CanaryReference | None, limits: Limits = DEFAULT_LIMITS) -> Judgement:
    """VALID, SUSPECT or INVALID, with every reason's figure and limit. A trace without its end is FAILED."""
    if not trace.complete:
        return _incomplete(trace)
    if not any(times for row in trace.of(IterationsRow) for times in row.stages.values()):
        return Judgement("FAILED", ("the launch timed no iteration",))
    findings = [
        *_placement(trace, plan),
        *_canaries(trace, reference, limits),
        *_interruptions(trace, limits),
        *_telemetry(trace, plan, limits),
        *_own_cost(trace, limits),
        *_accelerator(trace, limits),
        *_suspend(trace, limits),
        *_warmup(trace),
    ]
    order: tuple[Validity, ...] = ("INVALID", "SUSPECT")
    worst: Validity = next((level for level in order if any(found == level for found, _ in findings)), "VALID")
    return Judgement(worst, tuple(reason for _, reason in findings))


STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
"""Android's names of its throttling statuses 0 to 6 (PowerManager.THERMAL_STATUS_*)."""


def throttling(thermal: ThermalState) -> str | None:
    """The device's own word that it throttles. None proves nothing: some phones never say it."""
    if not thermal.status:
        return None
    return f"thermal status {thermal.status} ({STATUS[min(thermal.status, len(STATUS) - 1)]})"


def judge_conditions(
    judgement: Judgement, state: DeviceState, thermal: ThermalState, limits: Limits = DEFAULT_LIMITS
) -> Judgement:
    """``judgement`` lowered by what the device said of itself just before the launch."""
    # Android says of status 1 that nobody notices it: whether this launch did is the canaries' to say.
    if (thermal.status or 0) >= limits.status_suspect:
        judgement = judgement.lowered(f"the device throttles by its own word: {throttling(thermal)}")
    if state.power_saving:
        judgement = judgement.lowered("power saving is on")
    if state.battery_percent is not None and state.battery_percent < limits.battery_suspect_percent:
        low = f"battery at {state.battery_percent:.0f} % (limit {limits.battery_suspect_percent:.0f} %)"
        judgement = judgement.lowered(low)
    return judgement


def judge_held(
    trace: Trace, plan: Plan, reference: CanaryReference | None, limits: Limits = DEFAULT_LIMITS
) -> Judgement:
    """Of a launch that holds the load, SUSPECT at worst: it is there to be throttled, so that neither clock nor temperature
    speaks against it. What does is whatever else could slow it down, and would be taken for heat."""
    if not trace.complete:
        return _incomplete(trace)
    # While an accelerator computes, the cores only wait.
    found = [*_placement(trace, plan), *(() if trace.accelerated else _contention(trace, reference, limits))]
    found += [*_others(trace, plan, limits), *_own_cost(trace, limits), *_suspend(trace, limits)]
    return Judgement("SUSPECT" if found else "VALID", tuple(reason for _, reason in found))


def contended(rows: Sequence[CanaryRow], reference: CanaryReference, limits: Limits = DEFAULT_LIMITS) -> float:
    """Share of ``rows`` whose throughput suffered more than their clock did: other work on the core, and never its heat.

    Against the reference, or their own lower quartile where that was taken beside other work.
    """
    ratios = sorted(row.throughput_ns / row.clock_ns for row in rows)
    usual = min(reference.throughput_ns / reference.clock_ns, ratios[len(ratios) // 4])
    return fmean(ratio > usual * limits.throughput_suspect for ratio in ratios)


def _contention(trace: Trace, reference: CanaryReference | None, limits: Limits) -> Iterator[Finding]:
    rows = trace.of(CanaryRow)
    if reference is None or not rows or trace.of(HeaderRow)[0].canary_source != reference.source:
        yield "SUSPECT", "no canaries to go by: whether other work slowed it is not known"
    elif (share := contended(rows, reference, limits)) > limits.contended_suspect:
        yield (
            "SUSPECT",
            f"other work on the core in {share:.0%} of the canaries (limit {limits.contended_suspect:.0%})",
        )


def judge_profile(trace: Trace) -> Judgement:
    """A profile only has to be whole: its times are shares of a sum, never a latency."""
    return Judgement("VALID", ()) if trace.complete else _incomplete(trace)


def _incomplete(trace: Trace) -> Judgement:
    error = trace.error
    why = f"{error.code}: {error.message}" if error else "the trace has no end: the launch was cut off"
    return Judgement("FAILED", (why,))


def _placement(trace: Trace, plan: Plan) -> Iterator[Finding]:
    asked = set(plan.cores)
    allowed = set(trace.of(HeaderRow)[0].cores_allowed)
    if allowed != asked:
        yield "INVALID", f"pinned to cores {_cores(allowed)}, asked for {_cores(asked)}"
    for load in trace.of(LoadRow):
        # Read back from every thread after the load: a runtime may pin its own workers elsewhere.
        after = load.resolved.get("cores")
        if isinstance(after, str) and after and set(map(int, after.split(","))) - asked:
            yield "INVALID", f"the runtime's threads may use cores {after}, asked for {_cores(asked)}"
    seen = {core for row in trace.of(IterationsRow) for core in row.cores}
    if seen - asked:
        yield "INVALID", f"ran on cores {_cores(seen)}, asked for {_cores(asked)}"
    elif plan.threads == 1 and len(seen) > 1:
        yield "SUSPECT", f"moved between cores {_cores(seen)}"


def _canaries(trace: Trace, reference: CanaryReference | None, limits: Limits) -> Iterator[Finding]:
    rows = trace.of(CanaryRow)
    source = trace.of(HeaderRow)[0].canary_source
    if reference is None or not rows:
        yield "SUSPECT", "no canary reference for this device: nothing says whether it was undisturbed"
        return
    if source != reference.source:
        yield "SUSPECT", f"canaries by {source}, the reference by {reference.source}: not comparable"
        return
    ratios = canary_ratios(rows, reference)
    yield from _ratio("clock", ratios["clock"], limits.clock_suspect, limits.clock_invalid)
    yield from _ratio("throughput", ratios["throughput"], limits.throughput_suspect, limits.throughput_invalid)
    yield from _ratio("memory", ratios["memory"], limits.memory_suspect, limits.memory_invalid)


def canary_ratios(rows: Sequence[CanaryRow], reference: CanaryReference) -> dict[str, float]:
    """Each canary of a launch against its reference.

    By their middle rows, since one slow row in an otherwise quiet launch moves no median of iterations: of two middle ones the
    clock takes the slower, since heat and power caps act at once and stay. By its worst row 10 to 20 % of launches were marked
    whose median was within 1 % of an unthrottled one's, and no more of those raised by 3 % (benchmarks.phone_throttling).
    """
    return {
        "clock": median_high(row.clock_ns for row in rows) / reference.clock_ns,
        "throughput": median(row.throughput_ns for row in rows) / reference.throughput_ns,
        "memory": median(row.memory_ns for row in rows) / reference.memory_ns,
    }


def _interruptions(trace: Trace, limits: Limits) -> Iterator[Finding]:
    """What the canaries' middle blocks cannot see: a quota, or a neighbour, that takes the core away for milliseconds."""
    shares = [row.interrupted_share for row in trace.of(CanaryRow) if row.interrupted_share is not None]
    if shares:
        name = "interruptions of the canaries"
        yield from _share(name, fmean(shares), limits.interrupted_suspect, limits.interrupted_invalid)


def _ratio(name: str, ratio: float, suspect: float, invalid: float) -> Iterator[Finding]:
    if ratio > invalid:
        yield "INVALID", over_reference(name, ratio, invalid)
    elif ratio > suspect:
        yield "SUSPECT", over_reference(name, ratio, suspect)


def _telemetry(trace: Trace, plan: Plan, limits: Limits) -> Iterator[Finding]:
    rows = trace.of(TelemetryRow)
    wall_ns = rows[-1].t_ns - rows[0].t_ns if rows else 0
    if wall_ns <= 0:
        return
    first, last = rows[0], rows[-1]
    yield from _others(trace, plan, limits)
    yield from _frequency(rows, limits)
    for zone in sorted(first.temperature_c.keys() & last.temperature_c.keys()):
        rise = last.temperature_c[zone] - first.temperature_c[zone]
        # A chip warms by tens of degrees within a second of any work. Whether that slows it is the clock canary's to say.
        if place_of(zone) in ("skin", "battery") and rise > limits.temperature_rise_suspect_c:
            yield "SUSPECT", f"{zone} warmed by {rise:.1f} °C (limit {limits.temperature_rise_suspect_c:.0f} °C)"


def _others(trace: Trace, plan: Plan, limits: Limits) -> Iterator[Finding]:
    """What somebody else took of the cores."""
    rows = trace.of(TelemetryRow)
    wall_ns = rows[-1].t_ns - rows[0].t_ns if rows else 0
    if wall_ns <= 0:
        return
    first, last = rows[0], rows[-1]
    if first.steal_ms is not None and last.steal_ms is not None:
        share = (last.steal_ms - first.steal_ms) * 1e6 / wall_ns
        yield from _share("time stolen by the hypervisor", share, limits.steal_suspect, limits.steal_invalid)
    # Workers that wait for one another are off the CPU by design: only a single thread should never be. With more threads,
    # what their cores ran beyond this process's own time was somebody else's.
    others = others_share(trace, len(plan.cores)) if plan.threads > 1 else None
    if others is not None:
        yield from _share("other processes on these cores", others, limits.others_suspect, limits.others_invalid)
    # While an accelerator computes, this process only waits.
    off_cpu = off_cpu_share(trace) if plan.threads == 1 and not trace.accelerated else None
    if off_cpu is not None:
        yield from _share("time off the CPU", off_cpu, limits.off_cpu_suspect, limits.off_cpu_invalid)


def _frequency(rows: tuple[TelemetryRow, ...], limits: Limits) -> Iterator[Finding]:
    for core in rows[0].frequency_khz:
        seen = [row.frequency_khz[core] for row in rows if core in row.frequency_khz]
        # Most of the launch counts: the first sample finds the core idle, before its governor noticed any work.
        most_khz = median_low(seen)
        drop = 1.0 - most_khz / max(max(seen), 1)
        if drop > limits.frequency_drop_suspect:
            yield (
                "SUSPECT",
                f"core {core} fell by {drop:.0%} to {most_khz / 1e6:.2f} GHz (limit {limits.frequency_drop_suspect:.0%})",
            )


def _own_cost(trace: Trace, limits: Limits) -> Iterator[Finding]:
    """What looking at the device took of it."""
    costs = [(row.name, row.cost_share) for row in trace.of(MonitorRow)]
    share = sensors_share(trace)
    for name, cost in [*costs, *([("reading sensors", share)] if share is not None else [])]:
        if cost > limits.monitor_suspect:
            yield "SUSPECT", f"{name} took {cost:.1%} of a core (limit {limits.monitor_suspect:.0%})"


def _accelerator(trace: Trace, limits: Limits) -> Iterator[Finding]:
    """Where something else than the cores computed, the canaries on these say little of it: its own clock has to."""
    if not trace.accelerated:
        return
    loaded = [mhz for row in trace.of(MonitorRow) for mhz in busy_gpu_mhz(row)]
    if not loaded:
        yield "SUSPECT", "nothing told the GPU's clock while it computed: whether it was throttled is not known"
        return
    least_mhz, most_mhz = min(loaded), max(loaded)
    drop = 1.0 - least_mhz / max(most_mhz, 1)
    if drop > limits.frequency_drop_suspect:
        fell = f"the GPU's clock lay between {least_mhz} and {most_mhz} MHz while it computed"
        yield "SUSPECT", f"{fell} (limit {limits.frequency_drop_suspect:.0%} apart)"


def _share(name: str, share: float, suspect: float, invalid: float) -> Iterator[Finding]:
    if share > invalid:
        yield "INVALID", f"{name} {share:.1%} (limit {invalid:.0%})"
    elif share > suspect:
        yield "SUSPECT", f"{name} {share:.1%} (limit {suspect:.0%})"


def _suspend(trace: Trace, limits: Limits) -> Iterator[Finding]:
    start, end = trace.of(HeaderRow)[0].boot_minus_monotonic_ns, trace.of(EndRow)[0].boot_minus_monotonic_ns
    if start is None or end is None:
        return
    slept_ms = (end - start) / 1e6
    if slept_ms > limits.suspend_invalid_ms:
        yield "INVALID", f"the device slept for {slept_ms:.0f} ms (limit {limits.suspend_invalid_ms:.0f} ms)"


def _warmup(trace: Trace) -> Iterator[Finding]:
    for row in trace.of(WarmupRow):
        if not row.settled:
            # Some programs warm up by the clock and do not tell these iterations.
            when = f"after {len(row.iterations_ns)} warm-up iterations" if row.iterations_ns else "when timing began"
            yield "SUSPECT", f"latency had not settled {when}"


def _cores(cores: set[int]) -> str:
    return ",".join(str(core) for core in sorted(cores)) or "none"
