"""A ratio with its interval from log ratios of launches: of one design, and of several comparisons at once.

In one process the artifact that is loaded first is slower all through that launch (here by 0.4 to 1.2 %: its weights lie
elsewhere in memory), so that launches of the two orders scatter around two centres. Each order's mean counts alike, and the
scatter is that within an order: as in a crossover trial, where the order of treatments is a factor of its own (Senn 2002,
Cross-over Trials in Clinical Research). Each order is trimmed, as Yuen does it (Biometrika 61, 1974): once there are seven,
15 % of them on each side count as much as their neighbours only, so that disturbed ones widen the interval and hardly move it.
More would find slow-downs sooner where launches are disturbed often, and would call one that is at its budget slower in more
than 1 % of checks where it is the candidate alone that they disturb.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from edgebench.analyze.statistics import CONFIDENCE

TRIMMED = 0.15


class LogRatio(NamedTuple):
    """The natural logarithm of one time by another, by one launch (or two that alternate); ``swapped`` where the second of the
    two was loaded first."""

    value: float
    swapped: bool = False
    session: int = 0


@dataclass(frozen=True)
class Centre:
    """Where log ratios lie, with the standard error of that and its degrees of freedom (0 under two of an order)."""

    log: float
    error: float
    freedom: int

    def half(self, error: float) -> float:
        """How far it may be off on each side with that probability. Raises ValueError without a degree of freedom."""
        if not self.freedom:
            raise ValueError("one launch of each order tells no scatter")
        from scipy.special import stdtrit  # here, as it costs 0.1 s and --help does not need it

        return float(stdtrit(self.freedom, 1.0 - error)) * self.error

    def p_of_none(self) -> float:
        """Of a t test that there is no difference, two-sided; 1 without a degree of freedom."""
        if not self.freedom:
            return 1.0
        if self.error == 0.0:
            return 1.0 if self.log == 0.0 else 0.0
        from scipy.special import stdtr

        return float(2.0 * stdtr(self.freedom, -abs(self.log) / self.error))


@dataclass(frozen=True)
class Ratio:
    """The second's latency by the first's over several launches; ``ci`` is None where nothing tells the scatter."""

    ratio: float
    ci: tuple[float, float] | None


def centre_of(told: Sequence[LogRatio], wider: float = 1.0) -> Centre:
    """``wider`` is by how much it scatters more than that of launches that do not depend on each other. Raises ValueError
    without any."""
    orders = [sorted(each.value for each in told if each.swapped is swapped) for swapped in (False, True)]
    orders = [values for values in orders if values]
    if not orders:
        raise ValueError("no launch told a ratio")
    kept = [_trimmed(values) for values in orders]
    freedom = sum(len(each) - 1 for each in kept)
    log = fmean(fmean(each) for each in kept)
    if freedom == 0:
        return Centre(log, 0.0, 0)
    squares = [_winsorized_squares(values, len(each)) for values, each in zip(orders, kept, strict=True)]
    # Most of them alike to the nanosecond are no proof that none can differ.
    if not any(squares):
        squares = [_winsorized_squares(values, len(values)) for values in orders]
    # Trimmed alike they scatter alike: one variance, of all.
    variance = sum(squares) / freedom
    return Centre(log, wider * math.sqrt(variance * sum(1.0 / len(each) for each in kept)) / len(kept), freedom)


def ratio_of(told: Sequence[LogRatio], error: float = 1.0 - CONFIDENCE, wider: float = 1.0) -> Ratio:
    """The ratio with an interval that errs as often, on both sides together; ``wider`` as in ``centre_of``. Raises ValueError
    without any."""
    centre = centre_of(told, wider)
    if not centre.freedom:
        return Ratio(math.exp(centre.log), None)
    half = centre.half(error / 2.0)
    return Ratio(math.exp(centre.log), (math.exp(centre.log - half), math.exp(centre.log + half)))


def by_session(told: Sequence[LogRatio]) -> list[LogRatio]:
    """One for each session: launches of one session are alike."""
    sessions = sorted({each.session for each in told})
    return [LogRatio(centre_of([it for it in told if it.session == each]).log, session=each) for each in sessions]


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


def _trimmed(ordered: list[float]) -> list[float]:
    cut = math.floor(TRIMMED * len(ordered))
    return ordered[cut : len(ordered) - cut]


def _winsorized_squares(ordered: list[float], keep: int) -> float:
    """The sum of squares about their mean with those trimmed away put where their neighbours are."""
    cut = (len(ordered) - keep) // 2
    kept = ordered[cut : len(ordered) - cut]
    values = [kept[0]] * cut + kept + [kept[-1]] * cut
    centre = fmean(values)
    return sum((value - centre) ** 2 for value in values)
