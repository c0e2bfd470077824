"""Regressed, fine or cannot tell: a candidate against its baseline, by log ratios that come in one launch after another.

A group-sequential test: the interval is looked at after so many launches as ``LOOKS`` says, and the check ends as soon as it
lies on one side of the budget. Each look may spend an equal share of the error on each side (Bonferroni over looks, Dunn
1961), which holds however the looks depend on each other. The interval is Yuen's for the trimmed mean (Yuen 1974, Biometrika
61): a fifth of the launches on each side count as much as their neighbours only, so that a disturbed one widens it and does
not move it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

LOOKS = (6, 8, 10, 13, 17, 22, 28)
# Over all looks, of calling a candidate slower than the budget allows when it is not; and as much of calling one fine.
ERROR_EACH_SIDE = 0.01
TRIMMED = 0.2
# Launches of the confirmation.
CONFIRM = 6

Verdict = Literal["regressed", "pass", "improved", "inconclusive"]


@dataclass(frozen=True)
class Look:
    """What the launches so far say: the trimmed mean's ratio, its bounds, and what follows from them.

    *inconclusive* asks for more launches, where there may be any.
    """

    launches: int
    ratio: float
    low: float
    high: float
    verdict: Verdict


def look(log_ratios: Sequence[float], budget: float, looks: Sequence[int] = LOOKS) -> Look:
    """The verdict on candidate-by-baseline ``log_ratios`` with a ``budget`` (.02 allows 2 %), at one of ``looks``.

    *regressed*: even the lower bound is above 1 + budget. *pass*: the upper one is below; *improved* where it is below 1.
    Raises ValueError for another count: the error is for these looks alone.
    """
    if len(log_ratios) not in looks:
        raise ValueError(f"{len(log_ratios)} launches, looks are at {', '.join(map(str, looks))}")
    return _looked(log_ratios, budget, ERROR_EACH_SIDE / len(looks))


def fixed_look(log_ratios: Sequence[float], budget: float, error: float = ERROR_EACH_SIDE) -> Look:
    """As ``look``, at any number of launches that was fixed beforehand; it spends ``error`` on each side."""
    return _looked(log_ratios, budget, error)


def agreed(verdict: Verdict, other: Verdict) -> Verdict:
    """What two verdicts say together: *inconclusive* where one holds the candidate for slower than the other allows."""
    if verdict == other:
        return verdict
    return "pass" if {verdict, other} == {"pass", "improved"} else "inconclusive"


@dataclass(frozen=True)
class Conclusion:
    """How a check ended: the look that decided, and what the launches of the confirmation say where there was one."""

    verdict: Verdict
    decided: Look
    confirmation: Look | None = None


def first_decisive(log_ratios: Sequence[float], budget: float, looks: Sequence[int] = LOOKS) -> Look:
    """The first look that decides, else the last that there are launches for. Raises ValueError where there is none."""
    found = look(log_ratios[: looks[0]], budget, looks)
    for at in looks[1:]:
        if found.verdict != "inconclusive" or len(log_ratios) < at:
            break
        found = look(log_ratios[:at], budget, looks)
    return found


def conclude(log_ratios: Sequence[float], budget: float, looks: Sequence[int] = LOOKS) -> Conclusion | None:
    """The end of a check by its launches in order; None where it needs more.

    Before *regressed* is said ``CONFIRM`` more launches have to be above the budget by themselves; where they are not it is
    *inconclusive*. Launches beyond those that decide are not looked at.
    """
    if len(log_ratios) < looks[0]:
        return None
    found = first_decisive(log_ratios, budget, looks)
    if found.verdict == "inconclusive":
        return Conclusion(found.verdict, found) if found.launches == looks[-1] else None
    if found.verdict != "regressed":
        return Conclusion(found.verdict, found)
    confirming = log_ratios[found.launches : found.launches + CONFIRM]
    if len(confirming) < CONFIRM:
        return None
    again = fixed_look(confirming, budget)
    return Conclusion("regressed" if again.ratio > 1.0 + budget else "inconclusive", found, again)


def _looked(log_ratios: Sequence[float], budget: float, error: float) -> Look:
    centre, half = _yuen(log_ratios, error)
    low, high = math.exp(centre - half), math.exp(centre + half)
    return Look(len(log_ratios), math.exp(centre), low, high, _verdict(low, high, budget))


def _verdict(low: float, high: float, budget: float) -> Verdict:
    if low > 1.0 + budget:
        return "regressed"
    if high < 1.0:
        return "improved"
    return "pass" if high < 1.0 + budget else "inconclusive"


def _yuen(values: Sequence[float], error: float) -> tuple[float, float]:
    """The trimmed mean, and how far it may be off on each side with ``error``: by the winsorized deviation."""
    from scipy.special import stdtrit  # here, as it costs 0.1 s and --help does not need it

    ordered = sorted(values)
    count, cut = len(ordered), math.floor(TRIMMED * len(ordered))
    kept = ordered[cut : count - cut]
    winsorized = [kept[0]] * cut + kept + [kept[-1]] * cut
    # Most of them alike to the nanosecond are no proof that none can differ.
    spread = stdev(winsorized) or stdev(ordered)
    deviation = spread / ((1.0 - 2.0 * cut / count) * math.sqrt(count))
    return fmean(kept), float(stdtrit(len(kept) - 1, 1.0 - error)) * deviation
