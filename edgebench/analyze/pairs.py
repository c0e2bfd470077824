"""How much longer one artifact takes than another: what a launch that times both in turns says, and what several say.

The launch is the unit here, too: one log ratio each. Iterations in turns tell ratios alone, as each evicts what the other left
in the caches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from edgebench.analyze.ratios import LogRatio, ratio_of
from edgebench.analyze.statistics import half_width, location_interval
from edgebench.analyze.summary import launch_median_ms
from edgebench.records import IterationsRow, LaunchRecord, Pair, RunRecord, Trace

# Both artifacts in either order: A B B A.
_ROUNDS = 2
# That the two disturb each other is claimed at this error.
_INTERFERENCE_ERROR = 0.01


@dataclass(frozen=True)
class PairLaunch:
    """Natural logarithms of the second artifact's time by the first's: in turns, and each alone in the same process.

    ``swapped`` where the second was loaded first.
    """

    log_ratio: float
    solo_log_ratio: float
    swapped: bool = False


def pair_launch(trace: Trace, *, swapped: bool) -> PairLaunch:
    """What a pair launch says; ``swapped`` where the second artifact was the plan's first.

    Raises ValueError for a trace without whole turns, or without a solo block of each.
    """
    alone: tuple[list[int], list[int]] = ([], [])
    turns: tuple[list[list[int]], list[list[int]]] = ([], [])
    for row in trace.of(IterationsRow):
        times = [sum(parts) for parts in zip(*row.stages.values(), strict=True)]
        if row.interleaved:
            turns[row.artifact].append(times)
        else:
            alone[row.artifact].extend(times)
    logs = [log for block in zip(*turns, strict=True) for log in _turn_log_ratios(*block)]
    if not logs or not all(alone):
        raise ValueError("a pair launch without whole turns, or without a solo block of each")
    sign = -1.0 if swapped else 1.0
    solo = math.log(median(alone[1]) / median(alone[0]))
    return PairLaunch(sign * median(logs), sign * solo, swapped)


def tells_ratio(trace: Trace) -> bool:
    """Whether ``pair_launch`` takes it."""
    try:
        pair_launch(trace, swapped=False)
    except ValueError:
        return False
    return True


def pair_launches(pair: Pair, traces: Mapping[int, Trace]) -> list[PairLaunch]:
    """What each used launch of a pair says, in order; ``traces`` are those that could be read, by launch index."""
    return [pair_launch(traces[launch.index], swapped=launch.swapped) for launch in _used(pair.launches, traces)]


def log_ratios(
    record: RunRecord, place: int, traces: Sequence[Mapping[int, Trace]], pair_traces: Mapping[int, Trace]
) -> list[LogRatio]:
    """What the comparison at ``place`` among a run's pairs rests on, in order: its launches in turns, or the alternating
    launches of its two series. ``traces[i]`` are those of series ``i`` by launch index."""
    pair = record.pairs[place]
    if pair.unpaired is None:
        used = _used(pair.launches, pair_traces)
        told = pair_launches(pair, pair_traces)
        return [LogRatio(it.log_ratio, it.swapped, launch.session) for launch, it in zip(used, told, strict=True)]
    # One was dealt to each in a round, unless one of them had enough, or it was cut short.
    seconds = {launch.round: launch for launch in _used(record.series[pair.second].launches, traces[pair.second])}

    def median_ms(place: int, launch: LaunchRecord) -> float:
        return launch_median_ms(traces[place][launch.index])

    return [
        LogRatio(
            math.log(median_ms(pair.second, seconds[first.round]) / median_ms(pair.first, first)), session=first.session
        )
        for first in _used(record.series[pair.first].launches, traces[pair.first])
        if first.round in seconds and seconds[first.round].session == first.session
    ]


def _used(launches: Sequence[LaunchRecord], traces: Mapping[int, Trace]) -> list[LaunchRecord]:
    return [it for it in launches if it.repeated and it.used and it.index in traces]


def _turn_log_ratios(first: Sequence[int], second: Sequence[int]) -> list[float]:
    """One for every two rounds, A B and B A: who comes after the other is slower, and a drift that is steady cancels out."""
    starts = range(0, len(first) - _ROUNDS + 1, _ROUNDS)
    return [math.log(sum(second[at : at + _ROUNDS]) / sum(first[at : at + _ROUNDS])) for at in starts]


def interference(launches: Sequence[PairLaunch]) -> str | None:
    """Why the ratio in turns may not be that of the two alone, with its figures; None where nothing speaks for it.

    Said where the launches' own differences between the two ratios leave out nothing, and are larger than the ratio's interval.
    """
    differences = [math.exp(each.log_ratio - each.solo_log_ratio) for each in launches]
    found = location_interval(differences, _INTERFERENCE_ERROR)
    in_turns = ratio_of([LogRatio(each.log_ratio, each.swapped) for each in launches]).ci if launches else None
    if found is None or in_turns is None or found[0] <= 1.0 <= found[1]:
        return None
    off = median(differences) - 1.0
    if abs(off) <= half_width(in_turns):
        return None
    return f"interference: in turns the ratio is {off:+.1%} off that of the two alone (interval ±{half_width(in_turns):.1%})"
