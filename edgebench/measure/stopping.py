"""When a run has enough launches: by the looks that were planned, by how narrow an interval is, or by a check's verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgebench.analyze.pairs import log_ratios
from edgebench.analyze.ratios import LogRatio, ratio_of
from edgebench.analyze.statistics import half_width, interval_error
from edgebench.analyze.summary import summarize
from edgebench.analyze.verdict import CONFIRM, Conclusion, conclude, wider_of
from edgebench.records import LaunchRecord, RunRecord, Summary, Trace

# A series that fails this often in a row will not heal by being repeated.
FAILURES_MAX = 3
# Launches of each series by itself, at most, beside pairs that go on until their ratio is narrow.
BESIDE_PAIRS = 10
# A check whose last launches were all void, cooled and repeated as they were, is measured on a device that does not recover.
VOID_MAX = 12
# Launches of each by itself where memory alone would be a regression.
MEMORY_LAUNCHES = 3


@dataclass(frozen=True)
class Lane:
    """What launches are dealt to: a series of the run, or a pair of two."""

    index: int
    paired: bool = False

    def __str__(self) -> str:
        """As the launches' folders are named."""
        return f"pair{self.index}" if self.paired else str(self.index)


@dataclass(frozen=True)
class Standing:
    """How far a run is: its record, the traces of its series and pairs by launch index, and what launches are dealt to."""

    record: RunRecord
    traces: Sequence[Mapping[int, Trace]]
    pair_traces: Sequence[Mapping[int, Trace]]
    lanes: Sequence[Lane]

    def launches(self, lane: Lane) -> tuple[LaunchRecord, ...]:
        """All of a lane, in order."""
        return self.record.pairs[lane.index].launches if lane.paired else self.record.series[lane.index].launches

    def wants_more(self, lane: Lane, number: int) -> bool:
        """Whether a lane is to be launched once more in session ``number``."""
        policy = self.record.policy
        mine = [it for it in self.launches(lane) if it.repeated and it.session == number]
        used = sum(it.used for it in mine)
        cap = self.cap(lane)
        if used >= cap or len(mine) >= cap * (1.0 + policy.replace_at_most):
            return False
        if self._crashes(lane, number):
            return False
        if policy.budget is not None:
            return not (self.judged_by(lane) and (self._decided(policy.budget) or self._given_up(number)))
        return used not in policy.looks or not self._narrow_enough(lane)

    def _crashes(self, lane: Lane, number: int) -> bool:
        mine = [it for it in self.launches(lane) if it.repeated and it.session == number]
        return len(mine) >= FAILURES_MAX and all(it.validity == "FAILED" for it in mine[-FAILURES_MAX:])

    def _given_up(self, number: int) -> bool:
        """Whether a check waits in vain: one of its two does not run, or nearly all its launches are void."""
        judged = [lane for lane in self.lanes if self.judged_by(lane)]
        launches = [it for lane in judged for it in self.launches(lane) if it.repeated]
        void = [it for it in launches[-VOID_MAX:] if not it.used]
        return any(self._crashes(lane, number) for lane in judged) or len(void) >= VOID_MAX

    def cap(self, lane: Lane) -> int:
        """Used launches of a lane, at most."""
        policy = self.record.policy
        if policy.budget is None:
            # A narrow ratio is asked for then, and latencies take many times the launches for as narrow a one.
            in_turns = policy.ci_target is not None and any(pair.unpaired is None for pair in self.record.pairs)
            return min(policy.looks[-1], BESIDE_PAIRS) if in_turns and not lane.paired else policy.looks[-1]
        if self.judged_by(lane):
            return policy.looks[-1] + CONFIRM[-1]
        return max(policy.solo_launches, MEMORY_LAUNCHES) if self._takes_more_memory() else policy.solo_launches

    def _takes_more_memory(self) -> bool:
        """Whether what the launches so far say of memory would be a regression: more of them have to say so."""
        allowed = self.record.policy.memory_budget
        peaks = [self._summary(index).memory_peak_bytes for index in (0, 1)]
        return (
            allowed is not None and bool(peaks[0] and peaks[1]) and (peaks[1] or 0) > (1.0 + allowed) * (peaks[0] or 0)
        )

    def judged_by(self, lane: Lane) -> bool:
        """Whether a check's verdict rests on the launches of this lane."""
        return lane.paired or any(pair.unpaired is not None for pair in self.record.pairs[:1])

    def _decided(self, budget: float) -> bool:
        return self._ended(budget) is not None

    def regressed(self, budget: float) -> bool:
        """A check shows the layers of what got slower, and of nothing else: they decide nothing."""
        ended = self._ended(budget)
        return ended is not None and ended.verdict == "regressed"

    def _ended(self, budget: float) -> Conclusion | None:
        [pair] = self.record.pairs
        return conclude(self.told(0), budget, self.record.policy.looks, wider_of(self.record, pair))

    def told(self, pair: int) -> list[LogRatio]:
        """What the launches of a pair, or of its two series, say of its ratio."""
        return log_ratios(self.record, pair, self.traces, self.pair_traces[pair])

    def _narrow_enough(self, lane: Lane) -> bool:
        target, interval = self.record.policy.ci_target, self.so_far(lane)[1]
        return target is not None and interval is not None and half_width(interval) <= target

    def so_far(self, lane: Lane) -> tuple[float | None, tuple[float, float] | None]:
        """A series' median latency in ms, or a pair's ratio, with its interval."""
        if not lane.paired:
            summary = self._summary(lane.index)
            return summary.median_ms, summary.ci95_ms
        told = self.told(lane.index)
        if not told:
            return None, None
        wider = wider_of(self.record, self.record.pairs[lane.index])
        ratio = ratio_of(told, interval_error(self.record.policy.looks), wider)
        return ratio.ratio, ratio.ci

    def _summary(self, index: int) -> Summary:
        return summarize(self.record.series[index], self.traces[index], self.record.policy)
