"""Deals the launches of several series round-robin, saves after each, and stops by rule.

Round-robin because launches drift: neighbours in time are alike, so a series measured in one go would describe one moment
and its interval would be too narrow. The order within a round is drawn anew each time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from edgebench.analyze.pairs import log_ratios, pair_launch
from edgebench.analyze.ratios import LogRatio, ratio_of
from edgebench.analyze.statistics import half_width, interval_error
from edgebench.analyze.summary import launch_median_ms, summarize
from edgebench.analyze.verdict import CONFIRM, conclude
from edgebench.errors import Interrupted
from edgebench.events import LaunchFinished, LaunchStarted, Note, StageFinished, StageStarted, Waiting
from edgebench.measure.launching import Launched, Subject, Surroundings, completed_identity, launch, with_conditions
from edgebench.measure.validity import canary_ratios
from edgebench.records import (
    CanaryReference,
    CanaryRow,
    LaunchRecord,
    LayersRow,
    Pair,
    RunRecord,
    Series,
    Summary,
    TelemetryRow,
    Trace,
)

# A series that fails this often in a row will not heal by being repeated.
FAILURES_MAX = 3
# Launches of each series by itself, at most, beside pairs that go on until their ratio is narrow.
BESIDE_PAIRS = 10
# A check whose last launches were all void, cooled and repeated as they were, is measured on a device that does not recover.
VOID_MAX = 12
# Launches of each by itself where memory alone would be a regression.
MEMORY_LAUNCHES = 3
# How often the pause between two sessions tells how long it still is.
PAUSE_STEP_S = 5.0


@dataclass(frozen=True)
class _Lane:
    """What launches are dealt to: a series of the run, or a pair of two."""

    index: int
    paired: bool = False

    def __str__(self) -> str:
        return f"pair{self.index}" if self.paired else str(self.index)


class Session:
    """Measures one run record to its end. ``subjects[i]`` belongs to ``record.series[i]``."""

    def __init__(self, record: RunRecord, subjects: Sequence[Subject], at: Surroundings) -> None:
        self.record = record
        self._subjects = subjects
        self._at = at
        # An order, not a secret, that can be repeated; a run that is resumed goes on in another than it began.
        so_far = sum(len(series.launches) for series in record.series) + sum(
            len(pair.launches) for pair in record.pairs
        )
        self._order = random.Random(f"{record.run_id} {so_far}")  # noqa: S311
        self._traces: list[dict[int, Trace]] = [dict(at.store.traces(series)) for series in record.series]
        self._pair_traces: list[dict[int, Trace]] = [dict(at.store.traces(pair)) for pair in record.pairs]
        alone = [_Lane(index) for index in range(len(record.series))]
        paired = [_Lane(index, paired=True) for index, pair in enumerate(record.pairs) if pair.unpaired is None]
        self._lanes = (*alone, *paired)
        self._deadline_s: float | None = None

    def run(self) -> RunRecord:
        """Measures, then profiles. On Ctrl-C it saves and raises Interrupted; what was measured stays.

        Any other error leaves the run saved as interrupted, too, and is raised again.
        """
        policy = self.record.policy
        if policy.max_time_s is not None:
            self._deadline_s = self._at.clock.now_s() + policy.max_time_s
        self._save(state="running", ended_utc=None)
        try:
            for number in range(policy.sessions):
                if number and not self._begun(number):
                    self._pause(number)
                self._measure(number)
            if policy.profile and (policy.budget is None or self._regressed(policy.budget)):
                for index in range(len(self.record.series)):
                    self._profile(index)
        except KeyboardInterrupt as stop:
            self._save(state="interrupted", ended_utc=self._at.clock.utc())
            hint = f"go on with: edgebench run --resume {self.record.run_id}"
            if policy.budget is not None:
                # A run that is resumed has no verdict.
                hint = f"a check begins anew; its launches: edgebench show {self.record.run_id}"
            raise Interrupted("interrupted; every finished launch is saved", hint=hint) from stop
        except Exception:
            self._save(state="interrupted", ended_utc=self._at.clock.utc())
            raise
        self._save(state="complete", ended_utc=self._at.clock.utc())
        return self.record

    def _measure(self, number: int) -> None:
        while active := [lane for lane in self._lanes if self._wants_more(lane, number)]:
            self._order.shuffle(active)
            for lane in active:
                if self._out_of_time():
                    self._at.emit(Note("--max-time is over: stopping with what was measured"))
                    return
                self._launch(lane, number)

    def _launches(self, lane: _Lane) -> tuple[LaunchRecord, ...]:
        return self.record.pairs[lane.index].launches if lane.paired else self.record.series[lane.index].launches

    def _wants_more(self, lane: _Lane, number: int) -> bool:
        policy = self.record.policy
        mine = [it for it in self._launches(lane) if it.kind != "profile" and it.session == number]
        used = sum(it.used for it in mine)
        cap = self._cap(lane)
        if used >= cap or len(mine) >= cap * (1.0 + policy.replace_at_most):
            return False
        if self._crashes(lane, number):
            return False
        if policy.budget is not None:
            return not (self._judged_by(lane) and (self._decided(policy.budget) or self._given_up(number)))
        return used not in policy.looks or not self._narrow_enough(lane)

    def _crashes(self, lane: _Lane, number: int) -> bool:
        mine = [it for it in self._launches(lane) if it.kind != "profile" and it.session == number]
        return len(mine) >= FAILURES_MAX and all(it.validity == "FAILED" for it in mine[-FAILURES_MAX:])

    def _given_up(self, number: int) -> bool:
        """Whether a check waits in vain: one of its two does not run, or nearly all its launches are void."""
        judged = [lane for lane in self._lanes if self._judged_by(lane)]
        launches = [it for lane in judged for it in self._launches(lane) if it.kind != "profile"]
        void = [it for it in launches[-VOID_MAX:] if not it.used]
        return any(self._crashes(lane, number) for lane in judged) or len(void) >= VOID_MAX

    def _cap(self, lane: _Lane) -> int:
        """Used launches of a lane, at most."""
        policy = self.record.policy
        if policy.budget is None:
            # A narrow ratio is asked for then, and latencies take many times the launches for as narrow a one.
            in_turns = policy.ci_target is not None and any(pair.unpaired is None for pair in self.record.pairs)
            return min(policy.looks[-1], BESIDE_PAIRS) if in_turns and not lane.paired else policy.looks[-1]
        if self._judged_by(lane):
            return policy.looks[-1] + CONFIRM[-1]
        return max(policy.solo_launches, MEMORY_LAUNCHES) if self._takes_more_memory() else policy.solo_launches

    def _takes_more_memory(self) -> bool:
        """Whether what the launches so far say of memory would be a regression: more of them have to say so."""
        allowed = self.record.policy.memory_budget
        peaks = [self._summary(index).memory_peak_bytes for index in (0, 1)]
        return (
            allowed is not None and bool(peaks[0] and peaks[1]) and (peaks[1] or 0) > (1.0 + allowed) * (peaks[0] or 0)
        )

    def _judged_by(self, lane: _Lane) -> bool:
        """Whether a check's verdict rests on the launches of this lane."""
        return lane.paired or self.record.pairs[0].unpaired is not None

    def _decided(self, budget: float) -> bool:
        return conclude(self._told(0), budget, self.record.policy.looks) is not None

    def _regressed(self, budget: float) -> bool:
        """A check shows the layers of what got slower, and of nothing else: they decide nothing."""
        ended = conclude(self._told(0), budget, self.record.policy.looks)
        return ended is not None and ended.verdict == "regressed"

    def _told(self, pair: int) -> list[LogRatio]:
        return log_ratios(self.record, pair, self._traces, self._pair_traces[pair])

    def _narrow_enough(self, lane: _Lane) -> bool:
        target, interval = self.record.policy.ci_target, self._so_far(lane)[1]
        return target is not None and interval is not None and half_width(interval) <= target

    def _so_far(self, lane: _Lane) -> tuple[float | None, tuple[float, float] | None]:
        """A series' median latency in ms, or a pair's ratio, with its interval."""
        if not lane.paired:
            summary = self._summary(lane.index)
            return summary.median_ms, summary.ci95_ms
        told = self._told(lane.index)
        if not told:
            return None, None
        ratio = ratio_of(told, interval_error(self.record.policy.looks))
        return ratio.ratio, ratio.ci

    def _summary(self, index: int) -> Summary:
        return summarize(self.record.series[index], self._traces[index], self.record.policy)

    def _planned(self, lane: _Lane) -> int:
        return self._cap(lane) * self.record.policy.sessions

    def _launch(self, lane: _Lane, number: int) -> None:
        pair = self.record.pairs[lane.index] if lane.paired else None
        label = self._label(lane)
        self._at.emit(LaunchStarted(label, self._used(lane) + 1, self._planned(lane)))
        launched = launch(
            self._subjects[lane.index if pair is None else pair.first],
            self._at,
            self.record.schedule,
            kind="measure" if pair is None else "pair",
            lane=str(lane),
            index=len(self._launches(lane)),
            session=number,
            gate_at_most_s=self._left_s(),
            for_ratio=pair is not None or self.record.policy.budget is not None,
            second=None if pair is None else self._subjects[pair.second],
            swapped=pair is not None and self._swapped(pair),
        )
        if pair is None:
            self._keep(lane.index, launched)
        else:
            self._keep_of_pair(lane.index, launched)
        record, trace = launched.record, launched.trace
        running, interval = self._so_far(lane)
        self._at.emit(
            LaunchFinished(
                series=label,
                index=self._used(lane),
                planned=self._planned(lane),
                validity=record.validity,
                reasons=record.reasons,
                unit="ms" if pair is None else "x",
                figure=_figure(trace, record) if trace is not None and record.validity != "FAILED" else None,
                running=running,
                running_ci95=interval,
                device=_device_text(trace, self._at.reference),
            )
        )

    def _label(self, lane: _Lane) -> str:
        if not lane.paired:
            return self.record.series[lane.index].label
        pair = self.record.pairs[lane.index]
        return f"{self.record.series[pair.second].label} by {self.record.series[pair.first].label}"

    def _used(self, lane: _Lane) -> int:
        return sum(it.used for it in self._launches(lane) if it.kind != "profile")

    def _swapped(self, pair: Pair) -> bool:
        """Whether the second is to be loaded first: drawn where both orders have as many used launches, else what there is less
        of. Which is first moves the ratio, and by chance alone a few launches may all be alike."""
        orders = [launch.swapped for launch in pair.launches if launch.used]
        behind = orders.count(False) - orders.count(True)
        return self._order.random() < 0.5 if behind == 0 else behind > 0

    def _profile(self, index: int) -> None:
        series, subject = self.record.series[index], self._subjects[index]
        if series.profile is not None or series.not_profiled is not None:
            return
        if subject.runtime.not_profiled is not None:
            self._replace(index, replace(series, not_profiled=subject.runtime.not_profiled))
            return
        if self._out_of_time():
            self._replace(index, replace(series, not_profiled="--max-time was over before the profile"))
            return
        self._at.emit(StageStarted("profile", series.label))
        launched = launch(
            subject,
            self._at,
            self.record.schedule,
            kind="profile",
            lane=str(index),
            index=len(series.launches),
            session=0,
            gate_at_most_s=self._left_s(),
        )
        self._keep(index, launched)
        rows = launched.trace.of(LayersRow) if launched.trace is not None and launched.record.used else ()
        series = self.record.series[index]
        if not rows:
            why = f"the profile launch failed: {'; '.join(launched.record.reasons)}"
            self._replace(index, replace(series, not_profiled=why))
            self._at.emit(Note(why))
            return
        profile = subject.runtime.attribute(subject.artifact, subject.folder, rows[0])
        if rows[0].graph is not None:
            # As large as the model, and the layers are credited now.
            Path(rows[0].graph).unlink(missing_ok=True)
        self._replace(index, replace(series, profile=profile))
        self._at.emit(StageFinished("profile", f"{len(profile.layers)} layers, {profile.attributed_share:.1%} named"))

    def _keep(self, index: int, launched: Launched) -> None:
        series = self.record.series[index]
        if launched.trace is not None:
            self._traces[index][launched.record.index] = launched.trace
            series = replace(series, identity=completed_identity(series.identity, launched.trace))
        launches = (*series.launches, launched.record)
        identity = with_conditions(series.identity, launches)
        self._replace(index, replace(series, identity=identity, launches=launches))

    def _keep_of_pair(self, index: int, launched: Launched) -> None:
        if launched.trace is not None:
            self._pair_traces[index][launched.record.index] = launched.trace
        every = list(self.record.pairs)
        every[index] = replace(every[index], launches=(*every[index].launches, launched.record))
        self._save(pairs=tuple(every))

    def _replace(self, index: int, series: Series) -> None:
        every = list(self.record.series)
        every[index] = series
        self.record = replace(self.record, series=tuple(every))
        self._at.store.save(self.record)

    def _save(self, **changes: str | tuple[Pair, ...] | None) -> None:
        self.record = replace(self.record, **changes)
        self._at.store.save(self.record)

    def _begun(self, number: int) -> bool:
        return any(it.session == number for lane in self._lanes for it in self._launches(lane))

    def _pause(self, number: int) -> None:
        """Lets the gap between two sessions pass: what varies between sessions varies slowly."""
        gap_s = self.record.policy.session_gap_s
        start_s = self._at.clock.now_s()
        while (waited_s := self._at.clock.now_s() - start_s) < gap_s and not self._out_of_time():
            self._at.emit(Waiting(f"session {number + 1} of {self.record.policy.sessions}", waited_s, gap_s))
            # It also tells the device that it is still in use: its lock and its settings outlive the pause.
            self._at.thermometer()
            self._at.clock.sleep_s(min(PAUSE_STEP_S, gap_s - waited_s))

    def _left_s(self) -> float | None:
        return None if self._deadline_s is None else self._deadline_s - self._at.clock.now_s()

    def _out_of_time(self) -> bool:
        left_s = self._left_s()
        return left_s is not None and left_s <= 0


def _figure(trace: Trace, record: LaunchRecord) -> float:
    """The one number of a launch: its median in ms, or its ratio."""
    if record.kind == "pair":
        return math.exp(pair_launch(trace, swapped=record.swapped).log_ratio)
    return launch_median_ms(trace)


def _device_text(trace: Trace | None, reference: CanaryReference | None) -> str:
    """The slowest canary of a launch, as it is judged, and the hottest zone: what the device did, in a few words."""
    parts = []
    rows = trace.of(CanaryRow) if trace is not None else ()
    if rows and reference is not None:
        ratios = canary_ratios(rows, reference)
        slowest = max(ratios, key=lambda name: ratios[name])
        parts.append(f"{slowest} canary {ratios[slowest]:.2f}x")
    rows_c = (row.temperature_c for row in (trace.of(TelemetryRow) if trace else ()))
    hottest = max(((value, name) for row_c in rows_c for name, value in row_c.items()), default=None)
    if hottest is not None:
        parts.append(f"{hottest[1]} {hottest[0]:.0f} °C")
    return ", ".join(parts)
