"""How much longer one artifact takes than another: what a launch that times both in turns says, and what several say.

The launch is the unit here, too: one log ratio each. Iterations in turns tell ratios alone, as each evicts what the other left
in the caches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

from edgebench.analyze.statistics import CONFIDENCE, half_width, location_interval
from edgebench.records import IterationsRow, Pair, Trace

# Both artifacts in either order: A B B A.
_ROUNDS = 2
# That the two disturb each other is claimed at this error.
_INTERFERENCE_ERROR = 0.01


@dataclass(frozen=True)
class PairLaunch:
    """Natural logarithms of the second artifact's time by the first's: in turns, and each alone in the same process."""

    log_ratio: float
    solo_log_ratio: float


@dataclass(frozen=True)
class Ratio:
    """The second's latency by the first's over several launches.

    ``ratio`` is the median of the launches' ratios, ``ci`` its interval (None under two launches), ``p`` the two-sided
    probability of a mean log ratio as far from nothing where the two are alike.
    """

    ratio: float
    ci: tuple[float, float] | None
    p: float
    launches: int


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
    return PairLaunch(sign * median(logs), sign * solo)


def tells_ratio(trace: Trace) -> bool:
    """Whether ``pair_launch`` takes it."""
    try:
        pair_launch(trace, swapped=False)
    except ValueError:
        return False
    return True


def pair_launches(pair: Pair, traces: Mapping[int, Trace]) -> list[PairLaunch]:
    """What each used launch of a pair says, in order; ``traces`` are those that could be read, by launch index."""
    return [
        pair_launch(traces[launch.index], swapped=launch.swapped)
        for launch in pair.launches
        if launch.used and launch.index in traces
    ]


def log_ratios(pair: Pair, traces: Mapping[int, Trace], medians_ms: Callable[[int], Sequence[float]]) -> list[float]:
    """What a comparison rests on, in order: the launches in turns, or the alternating launches of its two series, whose medians
    ``medians_ms`` gives by their place in the run."""
    if pair.unpaired is None:
        return [each.log_ratio for each in pair_launches(pair, traces)]
    return alternating_log_ratios(medians_ms(pair.first), medians_ms(pair.second))


def _turn_log_ratios(first: Sequence[int], second: Sequence[int]) -> list[float]:
    """One for every two rounds, A B and B A: who comes after the other is slower, and a drift that is steady cancels out."""
    starts = range(0, len(first) - _ROUNDS + 1, _ROUNDS)
    return [math.log(sum(second[at : at + _ROUNDS]) / sum(first[at : at + _ROUNDS])) for at in starts]


def alternating_log_ratios(first_ms: Sequence[float], second_ms: Sequence[float]) -> list[float]:
    """Of two series whose launches were dealt in turns: each used one against the other's of the same number, which is of about
    the same time unless one of them had to be replaced."""
    return [math.log(second / first) for first, second in zip(first_ms, second_ms, strict=False)]


def session_log_ratios(
    pair: Pair, traces: Mapping[int, Trace], medians_ms: Callable[[int], Sequence[float]]
) -> list[float]:
    """As ``log_ratios``, one for each session: launches of one session are alike. ``medians_ms`` are the series' by session."""
    if pair.unpaired is not None:
        return alternating_log_ratios(medians_ms(pair.first), medians_ms(pair.second))
    used = [launch for launch in pair.launches if launch.used and launch.index in traces]
    by_session: dict[int, list[float]] = {}
    for launch, told in zip(used, pair_launches(pair, traces), strict=True):
        by_session.setdefault(launch.session, []).append(told.log_ratio)
    return [median(logs) for _, logs in sorted(by_session.items())]


def ratio_of(log_ratios: Sequence[float], error: float = 1.0 - CONFIDENCE) -> Ratio:
    """The ratio over the launches' log ratios, with an interval that errs as often. Raises ValueError without any."""
    if not log_ratios:
        raise ValueError("no launch told a ratio")
    ratios = [math.exp(log) for log in log_ratios]
    return Ratio(median(ratios), location_interval(ratios, error), _p_of_none(log_ratios), len(ratios))


def _p_of_none(log_ratios: Sequence[float]) -> float:
    """Of a t test that the mean is nothing, two-sided; 1 under two launches."""
    if len(log_ratios) < 2:
        return 1.0
    centre, spread = fmean(log_ratios), stdev(log_ratios)
    if spread == 0.0:
        return 1.0 if centre == 0.0 else 0.0
    from scipy.special import stdtr  # here, as it costs 0.1 s and --help does not need it

    t = centre / (spread / math.sqrt(len(log_ratios)))
    return float(2.0 * stdtr(len(log_ratios) - 1, -abs(t)))


def holm_errors(p_values: Sequence[float], error: float = 1.0 - CONFIDENCE) -> list[float]:
    """The error that each of several comparisons may spend so that all together err as often (Holm 1979, step-down).

    The clearest gets its share among all, the next among those that are left; from the first on that is not clear none gets
    more. An interval with that error leaves out 1 only where Holm's procedure calls the two different.
    """
    errors = [0.0] * len(p_values)
    left, share = len(p_values), 0.0
    clear = True
    for index in sorted(range(len(p_values)), key=lambda index: p_values[index]):
        if clear:
            share = error / left
            clear = p_values[index] <= share
        errors[index] = share
        left -= 1
    return errors


def interference(launches: Sequence[PairLaunch]) -> str | None:
    """Why the ratio in turns may not be that of the two alone, with its figures; None where nothing speaks for it.

    Said where the launches' own differences between the two ratios leave out nothing, and are larger than the ratio's interval.
    """
    differences = [math.exp(each.log_ratio - each.solo_log_ratio) for each in launches]
    found = location_interval(differences, _INTERFERENCE_ERROR)
    in_turns = location_interval([math.exp(each.log_ratio) for each in launches])
    if found is None or in_turns is None or found[0] <= 1.0 <= found[1]:
        return None
    off = median(differences) - 1.0
    if abs(off) <= half_width(in_turns):
        return None
    return f"interference: in turns the ratio is {off:+.1%} off that of the two alone (interval ±{half_width(in_turns):.1%})"
