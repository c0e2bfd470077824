"""Noise as it was recorded here: models of launches whose parameters are fitted to the committed raw files.

A launch of a pair gives a log ratio: the truth, plus or minus what the order of loading does, plus noise. The noise of log
ratios is fitted to all recorded launches of a kind about their own order's mean within a check or a sizing; that of latencies
to launches of one model that were dealt over an hour (benchmarks/recorded). Every model's noise has the mean zero, so that the
truth is what it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from benchmarks.intervals import RECORDED

Array = NDArray[np.float64]
# Farther out than this many robust deviations a launch was disturbed.
DISTURBED = 4.0
# What launches so far apart still have in common is drift; groups that are shorter do not tell it from their own mean.
FAR, LONG = (4, 5, 6, 7, 8), 40


@dataclass(frozen=True)
class Fitted:
    """Parameters of noise, in logarithms: its robust deviation and its whole one, the degrees of freedom and scale of a t
    distribution, two modes (the share of the upper one, how far it lies above, the deviation of each), the share of disturbed
    launches with their deviation, the correlation of neighbours, the share of the variance that is a slow drift, and what the
    order of loading does."""

    launches: int
    core: float
    deviation: float
    freedom: float
    scale: float
    upper_share: float
    upper_by: float
    mode: float
    disturbed_share: float
    disturbed: float
    neighbours: float
    slow_share: float
    order: float
    residuals: Array


def residuals_of(groups: Sequence[tuple[Array, Array]]) -> tuple[list[Array], list[float]]:
    """What is left of each group about its orders' own means, and half of how far these lie apart, where it has both."""
    residuals, orders = [], []
    for logs, swapped in groups:
        means = {side: float(logs[swapped == side].mean()) for side in np.unique(swapped)}
        left = np.array([log - means[side] for log, side in zip(logs, swapped, strict=True)])
        # A mean of few is nearer to them than the truth is.
        residuals.append(left * np.sqrt(len(left) / max(len(left) - len(means), 1)))
        if len(means) == 2:
            orders.append((means[True] - means[False]) / 2.0)
    return residuals, orders


def fitted(groups: Sequence[tuple[Array, Array]]) -> Fitted:
    """From groups of launches in order: log ratios (or log latencies), and whether each was loaded the other way round.

    Raises ValueError without a long one.
    """
    residuals, orders = residuals_of(groups)
    every = np.concatenate(residuals)
    core = float(stats.median_abs_deviation(every, scale="normal"))
    wild = np.abs(every) > DISTURBED * core
    freedom, _, scale = stats.t.fit(every, floc=0.0)
    share, by, mode = _modes(every[~wild])
    return Fitted(
        launches=len(every),
        core=core,
        deviation=float(every.std()),
        freedom=float(max(freedom, 2.1)),
        scale=float(scale),
        upper_share=share,
        upper_by=by,
        mode=mode,
        disturbed_share=float(wild.mean()),
        disturbed=float(np.sqrt((every[wild] ** 2).mean())) if wild.any() else 0.0,
        neighbours=_alike(residuals, (1,)),
        slow_share=max(_alike(residuals, FAR), 0.0),
        order=fmean(orders) if orders else 0.0,
        residuals=every - every.mean(),
    )


def _alike(groups: Sequence[Array], apart: Sequence[int]) -> float:
    """The correlation of launches that are so many launches apart, of groups that are long enough not to hide it."""
    long = [each for each in groups if len(each) >= LONG]
    products = [(each[at:] * each[:-at]).mean() for each in long for at in apart]
    squares = [(each**2).mean() for each in long]
    if not long:
        raise ValueError(f"no {LONG} launches in a row are recorded, which would tell how alike they are")
    return float(fmean(products) / fmean(squares))


def _modes(values: Array) -> tuple[float, float, float]:
    """Two normal distributions of one deviation by maximum likelihood: the upper one's share, its distance, the deviation."""

    def cost(at: Array) -> float:
        share, by, mode = 0.5 / (1.0 + np.exp(-at[0])), np.exp(at[1]), np.exp(at[2])
        low = -share * by
        density = (1.0 - share) * stats.norm.pdf(values, low, mode) + share * stats.norm.pdf(values, low + by, mode)
        return float(-np.log(density + 1e-300).sum())

    spread = float(values.std())
    found = optimize.minimize(cost, np.array([0.0, np.log(spread), np.log(0.7 * spread)]), method="Nelder-Mead")
    return float(0.5 / (1.0 + np.exp(-found.x[0]))), float(np.exp(found.x[1])), float(np.exp(found.x[2]))


Made = tuple[Array, Array]
"""Noise of launches, and the level about which they scatter, one each: what a latency's interval shall hold the mean of."""
Model = Callable[[Fitted, np.random.Generator, int], Made]


def normal(fit: Fitted, order: np.random.Generator, count: int) -> Made:
    """Nothing but scatter, with all of the recorded deviation."""
    return order.normal(0.0, fit.deviation, count), np.zeros(count)


def heavy_tails(fit: Fitted, order: np.random.Generator, count: int) -> Made:
    """A t distribution."""
    return fit.scale * order.standard_t(fit.freedom, count), np.zeros(count)


def bimodal(fit: Fitted, order: np.random.Generator, count: int) -> Made:
    """Two modes, such as two clocks: each launch in one of them."""
    upper = order.random(count) < fit.upper_share
    return order.normal(0.0, fit.mode, count) + fit.upper_by * (upper - fit.upper_share), np.zeros(count)


def contaminated(fit: Fitted, order: np.random.Generator, count: int) -> Made:
    """Scatter, and launches that were disturbed either way."""
    wild = order.random(count) < fit.disturbed_share
    noise = order.normal(0.0, fit.core, count) + wild * order.normal(0.0, max(fit.disturbed, fit.core), count)
    return noise, np.zeros(count)


def candidate_disturbed(fit: Fitted, order: np.random.Generator, count: int) -> Made:
    """The same, and it is always the candidate that is slowed down: the truth is that of the undisturbed."""
    wild = order.random(count) < fit.disturbed_share
    noise = order.normal(0.0, fit.core, count) + wild * np.abs(order.normal(0.0, max(fit.disturbed, fit.core), count))
    return noise, np.zeros(count)


def autocorrelated(fit: Fitted, order: np.random.Generator, count: int) -> Made:
    """Neighbours are alike as they were (AR(1)); correlation below nothing counts as none."""
    return _correlated(fit.deviation, max(fit.neighbours, 0.0), order, count), np.zeros(count)


def drifting(fit: Fitted, order: np.random.Generator, count: int) -> Made:
    """As much of the variance as launches far apart still share is a level that wanders: it forgets in some forty launches."""
    slow = _correlated(fit.deviation * fit.slow_share**0.5, 0.975, order, count)
    return slow + order.normal(0.0, fit.deviation * (1.0 - fit.slow_share) ** 0.5, count), slow


def recorded(fit: Fitted, order: np.random.Generator, count: int) -> Made:
    """Launches drawn from the recorded ones."""
    return order.choice(fit.residuals, count), np.zeros(count)


MODELS: dict[str, Model] = {
    "normal": normal,
    "heavy tails": heavy_tails,
    "bimodal": bimodal,
    "contaminated": contaminated,
    "candidate disturbed": candidate_disturbed,
    "autocorrelated": autocorrelated,
    "drifting": drifting,
    "as recorded": recorded,
}


def _correlated(deviation: float, neighbours: float, order: np.random.Generator, count: int) -> Array:
    steps = order.normal(0.0, deviation, count)
    values = np.empty(count)
    values[0] = steps[0]
    for at in range(1, count):
        values[at] = neighbours * values[at - 1] + (1.0 - neighbours**2) ** 0.5 * steps[at]
    return values


def pair_groups(rows: Sequence[dict[str, Any]]) -> list[tuple[Array, Array]]:
    """The launches in turns of recorded rows: log ratios, and whether the second was loaded first."""
    return [
        (np.array([log for log, _, _ in row["launches"]]), np.array([bool(other) for _, _, other in row["launches"]]))
        for row in rows
        if len(row.get("launches", ())) >= 6
    ]


def pair_noise(rows: Sequence[dict[str, Any]], *, different: bool) -> Fitted:
    """Of log ratios: of the same network and its kin, or of *different* networks. Raises ValueError without any."""

    def wanted(row: dict[str, Any]) -> bool:
        return (row.get("case") == "different" or row["what"] == "other") is different

    groups = pair_groups([row for row in rows if wanted(row)])
    if not groups:
        raise ValueError("nothing of that kind is recorded yet: python -m benchmarks.statistics.checks")
    return fitted(groups)


def latency_noise() -> Fitted:
    """Of log latencies of launches, in the order in which they were made, model by model."""
    groups = []
    for runs in json.loads(RECORDED.read_text(encoding="utf-8")).values():
        launches = sorted((datetime.fromisoformat(utc), ms) for run in runs for utc, ms in run)
        logs = np.log([ms for _, ms in launches])
        groups.append((logs, np.zeros(len(logs), dtype=bool)))
    return fitted(groups)
