"""Waits until the device is cool and undisturbed: bounded, and by what is read, never by a fixed sleep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgebench.errors import LaunchFailed
from edgebench.events import Emit, Waiting
from edgebench.measure.clock import Clock
from edgebench.measure.probe import Probe
from edgebench.measure.validity import DEFAULT_LIMITS, Limits
from edgebench.records import CanaryReference, GateLimits

# Between two looks at the device while waiting. Longer than a probe (~0.2 s), so that probing does not heat it.
POLL_S = 1.0
# DESIGN "Gate": the SoC must not move by more than this within the window before a launch.
SLOPE_LIMIT_C = 2.0
SLOPE_WINDOW_S = 5.0

Thermometer = Callable[[], float | None]


@dataclass(frozen=True)
class GateOutcome:
    """How the gate ended: ``passed`` at once or after a wait, or its bound was reached with ``reason`` still standing."""

    passed: bool
    waited_s: float
    reason: str

    def __str__(self) -> str:
        """In words, as stored with the launch."""
        return "passed" if self.passed else f"timed out: {self.reason}"


@dataclass(frozen=True)
class Gate:
    """One device's gate. ``probe`` runs the canaries on the cores to be measured; ``thermometer`` reads the hottest sensor."""

    limits: GateLimits
    reference: CanaryReference | None
    probe: Probe
    thermometer: Thermometer
    clock: Clock
    emit: Emit
    canary_limits: Limits = DEFAULT_LIMITS

    def wait(self, at_most_s: float | None = None) -> GateOutcome:
        """Returns when the device is ready, or after ``limits.max_wait_s`` with the reason that still stood.

        ``at_most_s`` bounds the wait further, where the whole run has a bound.
        """
        bound_s = self.limits.max_wait_s if at_most_s is None else min(self.limits.max_wait_s, max(at_most_s, 0.0))
        start_s = self.clock.now_s()
        readings: list[tuple[float, float]] = []
        while True:
            reason = self._obstacle(readings)
            waited_s = self.clock.now_s() - start_s
            if reason is None:
                return GateOutcome(True, waited_s, "")
            if waited_s >= bound_s:
                return GateOutcome(False, waited_s, reason)
            self.emit(Waiting(reason, waited_s, bound_s))
            self.clock.sleep_s(min(POLL_S, bound_s - waited_s))

    def _obstacle(self, readings: list[tuple[float, float]]) -> str | None:
        """What stands in the way now, or None. Sensors first: they cost nothing and do not warm the device."""
        temperature_c = self.thermometer()
        if temperature_c is not None:
            now_s = self.clock.now_s()
            readings.append((now_s, temperature_c))
            if self.limits.start_max_c is not None and temperature_c > self.limits.start_max_c:
                return f"{temperature_c:.1f} °C, starts at {self.limits.start_max_c:.1f} °C"
            if now_s - readings[0][0] < POLL_S:
                return "one reading does not say whether the temperature is steady"
            recent = [value for at_s, value in readings if now_s - at_s <= SLOPE_WINDOW_S]
            if max(recent) - min(recent) > SLOPE_LIMIT_C:
                return f"temperature moved by {max(recent) - min(recent):.1f} °C in {SLOPE_WINDOW_S:.0f} s"
        if self.reference is None:
            return None
        try:
            row = self.probe().row
        except LaunchFailed as failure:
            # One probe that fails ends no run; if they all do, the launch itself will say why.
            return f"the canaries did not run: {failure.message}"
        ceiling = self.limits.canary_ratio_max
        for name, ratio, limit in (
            ("clock", row.clock_ns / self.reference.clock_ns, self.canary_limits.clock_suspect),
            ("throughput", row.throughput_ns / self.reference.throughput_ns, self.canary_limits.throughput_suspect),
            ("memory", row.memory_ns / self.reference.memory_ns, self.canary_limits.memory_suspect),
        ):
            if ratio > (ceiling or limit):
                return f"{name} canary {ratio:.2f}x its reference (limit {ceiling or limit:.2f}x)"
        return None
