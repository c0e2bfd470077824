"""From nanoseconds to a number with an interval. The launch is the unit: iterations of one launch are not independent.

Two launches of the same file differ far more than their iterations suggest (on the machine this was written on, testing
iterations against iterations called 76 % of identical pairs different), so every interval here is over launches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, median, stdev

# Ten launches is where the t quantile has mostly stopped falling; more is for those who ask for a width (--ci).
LOOKS = (6, 10, 16, 24, 40)
CONFIDENCE = 0.95
# An interval that may be looked at several times until it is narrow. How narrow it is says nothing of where it lies (for normal
# noise mean and variance are independent), but it is narrow too soon where the scatter happens to look small: 40,000 runs each
# of normal noise from .3 to 3.5 times the width asked for keep 95.3 to 97.1 % of intervals with this; noise fitted to recorded
# launches: benchmarks.statistics.simulate. (Stein 1945, Annals of Mathematical Statistics 16; Chow and Robbins 1965, ibid. 36.)
ERROR_OF_SEVERAL_LOOKS = 0.03
# Few values tell nothing of how alike neighbours are; and of no few do we believe that all are nearly the same.
CORRELATED_FROM, CORRELATION_MOST = 6, 0.8


def quantile(values: Sequence[float], fraction: float) -> float:
    """The ``fraction`` quantile of a non-empty sample, linear between order statistics (type 7 of Hyndman & Fan 1996)."""
    ordered = sorted(values)
    position = fraction * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def interval_error(looks: Sequence[int]) -> float:
    """The two-sided error that an interval may spend at each of the planned ``looks``, so that 95 % hold wherever it stops."""
    return 1.0 - CONFIDENCE if len(looks) <= 1 else ERROR_OF_SEVERAL_LOOKS


def looks_until(cap: int) -> tuple[int, ...]:
    """The schedule of looks that ends at ``cap`` launches."""
    return (*(look for look in LOOKS if look < cap), cap)


def location_interval(values: Sequence[float], error: float = 1.0 - CONFIDENCE) -> tuple[float, float] | None:
    """A t interval for the centre of positive ``values``, in the order they were measured in, on their logarithms; None under
    two values.

    Latencies are skewed to the right and errors are relative, hence logarithms. Neighbours that are alike tell less than as
    many that are not, and it is wider for it (``error_of_neighbours``). It is widened to hold the sample's median, which is
    the number that is printed, in the rare skewed sample whose mean interval does not.
    """
    if len(values) < 2:
        return None
    from scipy.special import stdtrit  # here, as it costs 0.1 s and --help does not need it

    logs = [math.log(value) for value in values]
    centre, spread = fmean(logs), stdev(logs)
    half = float(stdtrit(len(logs) - 1, 1.0 - error / 2.0)) * spread / math.sqrt(len(logs)) * error_of_neighbours(logs)
    middle = median(values)
    return min(math.exp(centre - half), middle), max(math.exp(centre + half), middle)


def error_of_neighbours(values: Sequence[float]) -> float:
    """How many times as far the mean of ``values``, in their order, scatters as that of as many that do not depend on each
    other: sqrt((1 + r) / (1 - r)) of an AR(1) process (Bartlett 1946)."""
    correlation = _neighbour_correlation(values)
    return math.sqrt((1.0 + correlation) / (1.0 - correlation))


def _neighbour_correlation(values: Sequence[float]) -> float:
    """The correlation of neighbours, from 0 to ``CORRELATION_MOST``; 0 of fewer than ``CORRELATED_FROM`` values.

    The estimate of a short series lies too low by (1 + 3 r) / n (Kendall 1954, Biometrika 41), which is given back.
    """
    count, centre = len(values), fmean(values)
    apart = [value - centre for value in values]
    squares = sum(each * each for each in apart)
    if count < CORRELATED_FROM or squares == 0.0:
        return 0.0
    found = sum(each * after for each, after in pairwise(apart)) / squares
    return min(max(found + (1.0 + 3.0 * found) / count, 0.0), CORRELATION_MOST)


def half_width(interval: tuple[float, float]) -> float:
    """Half the width of an interval relative to its geometric middle: .02 reads "±2 %"."""
    low, high = interval
    return math.sqrt(high / low) - 1.0


def ranks(intervals: Sequence[tuple[float, float] | None]) -> list[int | None]:
    """Ranks that the intervals support; rows whose intervals overlap share one, also through a row between them.

    A rank is 1 + the number of rows before it; a row without an interval has none.
    """
    order = sorted((interval, index) for index, interval in enumerate(intervals) if interval is not None)
    found: list[int | None] = [None] * len(intervals)
    rank, reach = 0, -math.inf
    for place, ((low, high), index) in enumerate(order, start=1):
        if low > reach:
            rank = place
        reach = max(reach, high)
        found[index] = rank
    return found
