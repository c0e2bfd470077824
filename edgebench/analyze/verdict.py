"""Regressed, fine or cannot tell: a candidate against its baseline, by log ratios that come in one launch after another.

A group-sequential test: the interval is looked at after so many launches as ``LOOKS`` says, and the check ends as soon as it
lies on one side of the budget. Each look may spend an equal share of the error on each side (Bonferroni over looks, Dunn
1961), which holds however the looks depend on each other. The interval is that of ``ratios``, made wider by as much as
launches of a check are known to depend on each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgebench.analyze.ratios import LogRatio, centre_of
from edgebench.records import ModelIdentity, Pair, RunRecord
from edgebench.records.check import Verdict

LOOKS = (6, 8, 10, 13, 17, 22, 28)
# Over all looks, of calling a candidate slower than the budget allows when it is not; and as much of calling one fine.
ERROR_EACH_SIDE = 0.01
# Launches of networks that use a machine in different ways are alike where they are neighbours: their log ratios correlate by
# .52 in the first 60 recorded launches of mobileone_s0 against mobilenetv2_100, by .41 in all 802, and by -.05 in 5258 of
# networks that are nearly the same (reports/benchmarks/statistics.md). At .52 the mean of 6 to 28 launches scatters 1.8 to 1.9
# times as much as their own scatter tells, as if they were independent.
UNLIKE_WIDER = 1.8
# Of the variance of a log ratio, as much is a level that wanders slowly: all launches of a check share it (same place).
COMMON = 0.02
# Networks are unlike where one has so many times the other's parameters, or multiply-adds.
UNLIKE_FROM = 1.25
# Launches of the confirmation: it is over with the first of these counts whose ratio is above the budget.
CONFIRM = (2, 4, 6)


@dataclass(frozen=True)
class Look:
    """What the launches so far say: the ratio, its bounds, and what follows from them.

    *inconclusive* asks for more launches, where there may be any.
    """

    launches: int
    ratio: float
    low: float
    high: float
    verdict: Verdict


def unlike(first: ModelIdentity, second: ModelIdentity) -> bool:
    """Whether two networks differ by more than a change of one does; where it was not counted they do not."""
    counts = ((first.params, second.params), (first.macs, second.macs))
    return any(min(pair) > 0 and max(pair) > UNLIKE_FROM * min(pair) for pair in counts)


def wider_of(record: RunRecord, pair: Pair) -> float:
    """By how much the mean of a pair's launches scatters more than that of launches that do not depend on each other."""
    return UNLIKE_WIDER if unlike(record.series[pair.first].model, record.series[pair.second].model) else 1.0


def look(told: Sequence[LogRatio], budget: float, looks: Sequence[int] = LOOKS, wider: float = 1.0) -> Look:
    """The verdict on what was ``told`` of a candidate by its baseline, with a ``budget`` (.02 allows 2 %), at one of ``looks``.

    *regressed*: even the lower bound is above 1 + budget. *pass*: the upper one is below; *improved* where it is below 1.
    ``wider`` is by how much the mean scatters more than independent launches' does. Raises ValueError for another count: the
    error is for these looks alone.
    """
    if len(told) not in looks:
        raise ValueError(f"{len(told)} launches, looks are at {', '.join(map(str, looks))}")
    return fixed_look(told, budget, ERROR_EACH_SIDE / len(looks), wider)


def fixed_look(told: Sequence[LogRatio], budget: float, error: float = ERROR_EACH_SIDE, wider: float = 1.0) -> Look:
    """As ``look``, at any number of launches that was fixed beforehand; it spends ``error`` on each side."""
    centre = centre_of(told, wider)
    half = math.sqrt(1.0 + COMMON * (len(told) - 1)) * centre.half(error)
    low, high = math.exp(centre.log - half), math.exp(centre.log + half)
    return Look(len(told), math.exp(centre.log), low, high, verdict_of(low, high, budget))


def agreed(verdict: Verdict, other: Verdict) -> Verdict:
    """What two verdicts say together: *inconclusive* where one holds the candidate for slower than the other allows."""
    if verdict == other:
        return verdict
    return "pass" if {verdict, other} == {"pass", "improved"} else "inconclusive"


@dataclass(frozen=True)
class Confirmation:
    """What launches after a decision say by themselves."""

    launches: int
    ratio: float


@dataclass(frozen=True)
class Conclusion:
    """How a check ended: the look that decided, and what the launches of the confirmation say where there was one."""

    verdict: Verdict
    decided: Look
    confirmation: Confirmation | None = None


def first_decisive(told: Sequence[LogRatio], budget: float, looks: Sequence[int] = LOOKS, wider: float = 1.0) -> Look:
    """The first look that decides, else the last that there are launches for. Raises ValueError where there is none."""
    found = look(told[: looks[0]], budget, looks, wider)
    for at in looks[1:]:
        if found.verdict != "inconclusive" or len(told) < at:
            break
        found = look(told[:at], budget, looks, wider)
    return found


def conclude(
    told: Sequence[LogRatio], budget: float, looks: Sequence[int] = LOOKS, wider: float = 1.0
) -> Conclusion | None:
    """The end of a check by its launches in order; None where it needs more.

    Before *regressed* is said, as many more launches as ``CONFIRM`` says have to be above the budget by themselves; where they
    are not it is *inconclusive*. Launches beyond those that decide are not looked at.
    """
    if len(told) < looks[0]:
        return None
    found = first_decisive(told, budget, looks, wider)
    if found.verdict == "inconclusive":
        return Conclusion(found.verdict, found) if found.launches == looks[-1] else None
    if found.verdict != "regressed":
        return Conclusion(found.verdict, found)
    confirming = told[found.launches :]
    for count in (it for it in CONFIRM if it <= len(confirming)):
        ratio = math.exp(centre_of(confirming[:count]).log)
        if ratio > 1.0 + budget:
            return Conclusion("regressed", found, Confirmation(count, ratio))
        if count == CONFIRM[-1]:
            return Conclusion("inconclusive", found, Confirmation(count, ratio))
    return None


def verdict_of(low: float, high: float, budget: float) -> Verdict:
    """What bounds on a ratio say where it may be as much as 1 + ``budget``."""
    if low > 1.0 + budget:
        return "regressed"
    if high < 1.0:
        return "improved"
    return "pass" if high < 1.0 + budget else "inconclusive"
