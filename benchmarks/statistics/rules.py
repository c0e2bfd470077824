"""What other rules would have said of the same launches: one of each file by itself, as people do it.

*Mann-Whitney*: the candidate's iterations are slower at p < .05 (one-sided). *two sigma*: its mean is more than two deviations
of the baseline's iterations above the baseline's mean. *10 %*: its median is more than a tenth above.
*github-action-benchmark*: above its default ``alert-threshold`` of 200 % (its README).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, median, stdev

from scipy import stats

Rule = Callable[[Sequence[float], Sequence[float]], bool]


def mann_whitney(baseline: Sequence[float], candidate: Sequence[float]) -> bool:
    return bool(stats.mannwhitneyu(candidate, baseline, alternative="greater").pvalue < 0.05)


def two_sigma(baseline: Sequence[float], candidate: Sequence[float]) -> bool:
    return fmean(candidate) > fmean(baseline) + 2.0 * stdev(baseline)


def ten_percent(baseline: Sequence[float], candidate: Sequence[float]) -> bool:
    return median(candidate) > 1.1 * median(baseline)


def github_action_benchmark(baseline: Sequence[float], candidate: Sequence[float]) -> bool:
    return fmean(candidate) > 2.0 * fmean(baseline)


RULES: dict[str, Rule] = {
    "Mann-Whitney on iterations of one launch each": mann_whitney,
    "two sigma on means": two_sigma,
    "10 % on medians": ten_percent,
    "github-action-benchmark's default": github_action_benchmark,
}
