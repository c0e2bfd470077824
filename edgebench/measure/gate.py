"""Waits until the device is cool and undisturbed: bounded, and by what is read, never by a fixed sleep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import linear_regression

from edgebench.analyze.summary import over_reference
from edgebench.errors import LaunchFailed
from edgebench.events import Emit, Waiting
from edgebench.measure.clock import Clock
from edgebench.measure.limits import DEFAULT_LIMITS, Limits
from edgebench.measure.probe import Probe
from edgebench.measure.validity import canary_ratios, throttling
from edgebench.records import CanaryReference, CanaryRow, GateLimits, ThermalState, Trace

# Between two looks at the device while waiting. Longer than a probe (~0.2 s), so that probing does not heat it.
POLL_S = 1.0
# DESIGN "Gate": the SoC must not move by more than this within the window before a launch.
SOC_LIMIT_C = 2.0
SOC_WINDOW_S = 5.0
# DESIGN "Gate": the body (skin or battery) must not warm up: something heats it that is not this run. Its sensors step by
# 0.1 °C, so that a line through twenty seconds is known to about 0.15 °C/min, and through fewer than eight to no better than
# the limit itself. A body that cools is let through once it is below ``start_max_c``: it only gets further from throttling,
# and waiting until it is flat means waiting until it is at the room's temperature (benchmarks.phone_premise: up to 2.5 times
# the least wait).
BODY_LIMIT_C_PER_MIN = 0.5
BODY_WINDOW_S = 20.0
BODY_SPAN_MIN_S = 8.0
# Steadiness is asked of a device that was left alone. One that passed a moment ago was steady then: what has moved since is
# the heat of the launch that it was let into, which is no obstacle to the next one below ``start_max_c``.
STEADY_FOR_S = 20.0

# What the last launch's own canaries said, as it ended, still holds for as long.
HEARD_S = 5.0

Thermometer = Callable[[], ThermalState]
Series = Sequence[tuple[float, float]]
"""Seconds and °C."""


@dataclass(frozen=True)
class GateOutcome:
    """How the gate ended: ``passed`` at once or after a wait, or its bound was reached with ``reason`` still standing.

    ``thermal`` is what the sensors said last.
    """

    passed: bool
    waited_s: float
    reason: str
    thermal: ThermalState = field(default_factory=ThermalState)

    def __str__(self) -> str:
        """In words, as stored with the launch."""
        return "passed" if self.passed else f"timed out: {self.reason}"


@dataclass(frozen=True)
class Gate:
    """One device's gate. ``probe`` runs the canaries on the cores to be measured; ``thermometer`` reads every sensor.

    It remembers what it read from one launch to the next: a slope is known at once where the last launch was a moment ago.
    """

    limits: GateLimits
    reference: CanaryReference | None
    probe: Probe
    thermometer: Thermometer
    clock: Clock
    emit: Emit
    canary_limits: Limits = DEFAULT_LIMITS
    _soc: list[tuple[float, float]] = field(default_factory=list)
    _body: list[tuple[float, float]] = field(default_factory=list)
    _passed_at_s: list[float] = field(default_factory=list)
    _heard: list[tuple[float, CanaryRow]] = field(default_factory=list)

    def heard(self, trace: Trace) -> None:
        """Remembers the canaries with which a launch has just ended."""
        self._heard[:] = [(self.clock.now_s(), row) for row in trace.of(CanaryRow)[-1:]]

    def wait(self, at_most_s: float | None = None, *, for_ratio: bool = False) -> GateOutcome:
        """Returns when the device is ready, or after ``limits.max_wait_s`` with the reason that still stood.

        ``at_most_s`` bounds the wait further, where the whole run has a bound. What slows two artifacts alike is gone from
        their ratio: ``for_ratio`` waits for the canaries only where the launch would be INVALID, and takes those that the
        last launch ended with for a first look.
        """
        bound_s = self.limits.max_wait_s if at_most_s is None else min(self.limits.max_wait_s, max(at_most_s, 0.0))
        start_s = self.clock.now_s()
        steady = bool(self._passed_at_s) and start_s - self._passed_at_s[-1] <= STEADY_FOR_S
        while True:
            thermal = self.thermometer()
            reason = self._thermal_obstacle(thermal, steady)
            if reason is None:
                # Asked once a wait: from here on probes warm the device themselves.
                steady = True
                reason = self._canary_obstacle(for_ratio=for_ratio)
            waited_s = self.clock.now_s() - start_s
            if reason is None:
                self._passed_at_s[:] = [self.clock.now_s()]
                return GateOutcome(True, waited_s, "", thermal)
            if waited_s >= bound_s:
                return GateOutcome(False, waited_s, reason, thermal)
            self.emit(Waiting(reason, waited_s, bound_s))
            self.clock.sleep_s(min(POLL_S, bound_s - waited_s))

    def _thermal_obstacle(self, state: ThermalState, steady: bool) -> str | None:
        """What the sensors say against a launch now, or None. They come first: they cost nothing and do not warm the device."""
        now_s = self.clock.now_s()
        soc, body = state.hottest("soc", "other"), state.hottest("skin", "battery")
        if soc is not None:
            _remember(self._soc, now_s, soc.celsius, SOC_WINDOW_S)
        if body is not None:
            _remember(self._body, now_s, body.celsius, BODY_WINDOW_S)
        if found := throttling(state):
            return found
        # The body is what the device protects; a chip runs hotter by design and is judged alone only where nothing else is.
        warm = body or soc
        if warm is not None and self.limits.start_max_c is not None and warm.celsius > self.limits.start_max_c:
            return f"{warm.name} at {warm.celsius:.1f} °C, starts at {self.limits.start_max_c:.1f} °C"
        return None if steady else _unsteady_soc(self._soc) or _unsteady_body(self._body)

    def _canary_obstacle(self, *, for_ratio: bool) -> str | None:
        """What the canaries say against it, or None."""
        if self.reference is None:
            return None
        allowed, ceiling = self.canary_limits, self.limits.canary_ratio_max
        if for_ratio:
            limits = (allowed.clock_invalid, allowed.throughput_invalid, allowed.memory_invalid)
        else:
            limits = (allowed.clock_suspect, allowed.throughput_suspect, allowed.memory_suspect)
        try:
            row = self._heard_lately() if for_ratio else None
            ratios = canary_ratios((row or self.probe().row,), self.reference)
        except LaunchFailed as failure:
            # One probe that fails ends no run; if they all do, the launch itself will say why.
            return f"the canaries did not run: {failure.message}"
        for (name, ratio), limit in zip(ratios.items(), limits, strict=True):
            if ratio > (ceiling or limit):
                return over_reference(name, ratio, ceiling or limit)
        return None

    def _heard_lately(self) -> CanaryRow | None:
        """For one look: whoever waits has to look for himself."""
        lately = [row for at_s, row in self._heard if self.clock.now_s() - at_s <= HEARD_S]
        self._heard.clear()
        return lately[0] if lately else None


def _remember(series: list[tuple[float, float]], now_s: float, celsius: float, window_s: float) -> None:
    series.append((now_s, celsius))
    while series[0][0] < now_s - window_s:
        series.pop(0)


def _unsteady_soc(series: Series) -> str | None:
    if not series:
        return None
    if series[-1][0] - series[0][0] < POLL_S:
        return "one reading does not say whether the temperature is steady"
    values = [celsius for _, celsius in series]
    moved_c = max(values) - min(values)
    return f"temperature moved by {moved_c:.1f} °C in {SOC_WINDOW_S:.0f} s" if moved_c > SOC_LIMIT_C else None


def _unsteady_body(series: Series) -> str | None:
    if not series:
        return None
    span_s = series[-1][0] - series[0][0]
    if span_s < BODY_SPAN_MIN_S:
        return f"{span_s:.0f} s of readings do not say whether the body's temperature is steady"
    slope = linear_regression([at_s for at_s, _ in series], [celsius for _, celsius in series]).slope * 60.0
    if slope <= BODY_LIMIT_C_PER_MIN:
        return None
    return f"the body warms by {slope:.1f} °C/min (limit {BODY_LIMIT_C_PER_MIN:.1f})"
