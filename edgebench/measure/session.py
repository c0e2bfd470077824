"""Deals the launches of several series round-robin, saves after each, and stops by rule.

Round-robin because launches drift: neighbours in time are alike, so a series measured in one go would describe one moment
and its interval would be too narrow. The order within a round is drawn anew each time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from edgebench.analyze.pairs import pair_launch
from edgebench.analyze.summary import launch_median_ms
from edgebench.errors import Interrupted
from edgebench.events import LaunchFinished, LaunchStarted, Note, StageFinished, StageStarted, Waiting
from edgebench.measure.launching import Launched, Subject, Surroundings, completed_identity, launch, with_conditions
from edgebench.measure.meanwhile import told_meanwhile
from edgebench.measure.stopping import Lane, Standing
from edgebench.measure.validity import canary_ratios
from edgebench.records import (
    CanaryReference,
    CanaryRow,
    LaunchRecord,
    LayersRow,
    Pair,
    RunRecord,
    Schedule,
    Series,
    TelemetryRow,
    Trace,
)

# Memory, and which layers grew, are told in a part of a launch's time.
BESIDE_A_CHECK = 4
# While a load is held: a reading takes some 35 ms, and when the clock fell is known to a second.
SUSTAINED_CANARY_MS, SUSTAINED_ITERATIONS_MAX = 1000, 100_000_000
# How often the pause between two sessions tells how long it still is.
PAUSE_STEP_S = 5.0


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
        alone = [Lane(index) for index in range(len(record.series))]
        paired = [Lane(index, paired=True) for index, pair in enumerate(record.pairs) if pair.unpaired is None]
        self._lanes = (*alone, *paired)
        self._deadline_s: float | None = None

    def run(self) -> RunRecord:
        """Measures, then profiles. On Ctrl-C it saves and raises Interrupted; what was measured stays.

        Any other error leaves the run saved as interrupted, too, and is raised again.
        """
        policy = self.record.policy
        if policy.max_time_s is not None:
            self._deadline_s = self._at.clock.now_s() + policy.max_time_s
        self._save(state="running", ended_utc=None, out_of_time=False)
        try:
            for number in range(policy.sessions):
                if number and not self._begun(number):
                    self._pause(number)
                self._measure(number)
            if policy.sustained_s is not None:
                for index in range(len(self.record.series)):
                    self._sustain(index, policy.sustained_s)
            if policy.profile and (policy.budget is None or self._standing().regressed(policy.budget)):
                for index in range(len(self.record.series)):
                    self._profile(index)
        except KeyboardInterrupt as stop:
            self._save(state="interrupted", ended_utc=self._at.clock.utc())
            hint = f"go on with: edgebench run --resume {self.record.run_id}"
            if policy.budget is not None:
                hint = f"go on to its verdict with: edgebench check --resume {self.record.run_id}"
            raise Interrupted("interrupted; every finished launch is saved", hint=hint) from stop
        except Exception:
            self._save(state="interrupted", ended_utc=self._at.clock.utc())
            raise
        self._save(state="complete", ended_utc=self._at.clock.utc())
        return self.record

    def _measure(self, number: int) -> None:
        while active := [lane for lane in self._lanes if self._standing().wants_more(lane, number)]:
            self._order.shuffle(active)
            dealt = 1 + max((it.round for lane in self._lanes for it in self._standing().launches(lane)), default=-1)
            for lane in active:
                if self._out_of_time():
                    self._at.emit(Note("--max-time is over: stopping with what was measured"))
                    self._save(out_of_time=True)
                    return
                self._launch(lane, number, dealt)

    def _standing(self) -> Standing:
        return Standing(self.record, self._traces, self._pair_traces, self._lanes)

    def _planned(self, lane: Lane) -> int:
        return self._standing().cap(lane) * self.record.policy.sessions

    def _launch(self, lane: Lane, number: int, dealt: int) -> None:
        pair = self.record.pairs[lane.index] if lane.paired else None
        label = self._label(lane)
        self._at.emit(LaunchStarted(label, self._used(lane) + 1, self._planned(lane)))
        launched = launch(
            self._subjects[lane.index if pair is None else pair.first],
            self._at,
            self._schedule(judged=self._standing().judged_by(lane)),
            kind="measure" if pair is None else "pair",
            lane=str(lane),
            index=len(self._standing().launches(lane)),
            session=number,
            gate_at_most_s=self._left_s(),
            dealt=dealt,
            for_ratio=pair is not None or self.record.policy.budget is not None,
            second=None if pair is None else self._subjects[pair.second],
            swapped=pair is not None and self._swapped(pair),
        )
        if self._deadline_s is not None:
            # What is built once, for minutes, is no measuring: a check of an engine would end before its first launch.
            self._deadline_s += launched.built_s
        if pair is None:
            self._keep(lane.index, launched)
        else:
            self._keep_of_pair(lane.index, launched)
        record, trace = launched.record, launched.trace
        running, interval = self._standing().so_far(lane)
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

    def _schedule(self, *, judged: bool) -> Schedule:
        """Of a check only the launches that its verdict rests on are given all their time."""
        schedule = self.record.schedule
        if judged or self.record.policy.budget is None:
            return schedule
        return replace(schedule, measure_ms=max(schedule.measure_ms // BESIDE_A_CHECK, 1))

    def _label(self, lane: Lane) -> str:
        if not lane.paired:
            return self.record.series[lane.index].label
        pair = self.record.pairs[lane.index]
        return f"{self.record.series[pair.second].label} by {self.record.series[pair.first].label}"

    def _used(self, lane: Lane) -> int:
        return sum(it.used for it in self._standing().launches(lane) if it.repeated)

    def _swapped(self, pair: Pair) -> bool:
        """Whether the second is to be loaded first: drawn where both orders have as many used launches, else what there is less
        of. Which is first moves the ratio, and by chance alone a few launches may all be alike."""
        orders = [launch.swapped for launch in pair.launches if launch.used]
        behind = orders.count(False) - orders.count(True)
        return self._order.random() < 0.5 if behind == 0 else behind > 0

    def _sustain(self, index: int, seconds: float) -> None:
        """One launch that holds the load from a cool start on; canaries are rarer, as they are another load."""
        series = self.record.series[index]
        if any(it.kind == "sustained" and it.validity != "FAILED" for it in series.launches) or self._out_of_time():
            return
        self._at.emit(StageStarted("sustained", f"{series.label}, {seconds:.0f} s"))
        schedule = replace(
            self.record.schedule,
            measure_ms=round(seconds * 1e3),
            canary_every_ms=SUSTAINED_CANARY_MS,
            iterations_max=SUSTAINED_ITERATIONS_MAX,
            iterations_min=1,
        )
        with told_meanwhile(self._at.emit, f"{series.label} holds the load", seconds):
            launched = launch(
                self._subjects[index],
                self._at,
                schedule,
                kind="sustained",
                lane=str(index),
                index=len(series.launches),
                session=0,
                gate_at_most_s=self._left_s(),
            )
        self._keep(index, launched)
        if launched.record.used:
            self._at.emit(StageFinished("sustained", series.label))
        else:
            self._at.emit(Note(f"the sustained launch failed: {'; '.join(launched.record.reasons)}"))

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
            self._schedule(judged=False),
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

    def _save(self, **changes: str | bool | tuple[Pair, ...] | None) -> None:
        self.record = replace(self.record, **changes)
        self._at.store.save(self.record)

    def _begun(self, number: int) -> bool:
        return any(it.session == number for lane in self._lanes for it in self._standing().launches(lane))

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
