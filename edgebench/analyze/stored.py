"""A candidate against a number that was stored: two samples of launches of different hours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from edgebench.analyze.statistics import error_of_neighbours
from edgebench.analyze.verdict import ERROR_EACH_SIDE, verdict_of
from edgebench.records.check import Verdict

# How alike neighbouring launches are does not show in ten of them, and a session that drifts lies off as a whole. Simulated
# with latencies recorded here, 2.4 % of candidates at just their budget were called slower without it (1.0 % with 1.3); 1 %
# may be (benchmarks.statistics.simulate).
SESSION_WIDER = 1.4


@dataclass(frozen=True)
class Unpaired:
    """The ratio of two medians' centres, its bounds, and what follows for these two sessions."""

    ratio: float
    bounds: tuple[float, float]
    verdict: Verdict


def unpaired(baseline_ms: Sequence[float], candidate_ms: Sequence[float], budget: float) -> Unpaired | None:
    """By the launches' log medians; None under two launches of either.

    Welch's interval (Biometrika 34, 1947), as their scatter may differ, wider where neighbouring launches are alike, and by
    ``SESSION_WIDER``: it errs on each side in at most 1 % where the two sessions differ by nothing but noise.
    """
    if min(len(baseline_ms), len(candidate_ms)) < 2:
        return None
    from scipy.special import stdtrit  # here, as it costs 0.1 s and --help does not need it

    first, second = ([math.log(value) for value in each] for each in (baseline_ms, candidate_ms))
    parts = [variance(each) / len(each) * error_of_neighbours(each) ** 2 for each in (first, second)]
    centre = fmean(second) - fmean(first)
    half = 0.0
    if sum(parts):
        # Welch-Satterthwaite.
        freedom = sum(parts) ** 2 / sum(
            part**2 / (len(each) - 1) for part, each in zip(parts, (first, second), strict=True)
        )
        half = SESSION_WIDER * float(stdtrit(freedom, 1.0 - ERROR_EACH_SIDE)) * math.sqrt(sum(parts))
    low, high = math.exp(centre - half), math.exp(centre + half)
    return Unpaired(math.exp(centre), (low, high), verdict_of(low, high, budget))
