"""Why two results differ, for people: the mechanisms as a table, their causes and evidence in words."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tabulate import tabulate

from edgebench.analyze.conditions import Conditions, canary_sources, conditions_of, mostly_discarded
from edgebench.analyze.explain import NAMED_ERRORS, NAMED_LEAST, WORK_FIELDS, mechanisms_of
from edgebench.errors import NoValidMeasurement
from edgebench.records import Mechanism, RunRecord, Series, Trace
from edgebench.records.explain import Explanation
from edgebench.report.results import identity_differences
from edgebench.report.tables import milliseconds

Measured = tuple[RunRecord, Series, Mapping[int, Trace]]


def explanation_of(first: Measured, second: Measured) -> Explanation:
    """Why the second took as much more or less than the first. Raises NoValidMeasurement where either timed nothing.

    Where most launches of either were discarded, all of both tell it: a few fast ones of the one by all of the other would be
    a difference that is made by the choice.
    """
    discarded_too = any(mostly_discarded(series, traces) for _, series, traces in (first, second))
    one, other = (_conditions(each, discarded_too=discarded_too) for each in (first, second))
    sources = canary_sources(first[2].values()) | canary_sources(second[2].values())
    share, error2 = other.latency.mean - one.latency.mean, one.latency.error2 + other.latency.error2
    return Explanation(
        first=_name(first),
        second=_name(second),
        first_ms=one.latency_ms,
        second_ms=other.latency_ms,
        ratio=math.exp(share),
        uncertainty=math.sqrt(error2) if math.isfinite(error2) else None,
        mechanisms=mechanisms_of(one, other, same_canaries=len(sources) == 1),
        unlike=_unlike(first[1], second[1]),
        told_by=(_told_by(one), _told_by(other)),
    )


def _conditions(measured: Measured, *, discarded_too: bool) -> Conditions:
    record, series, traces = measured
    try:
        return conditions_of(record, series, traces, discarded_too=discarded_too)
    except ValueError as error:
        raise NoValidMeasurement(
            f"{record.run_id}: {error}", hint=f"see its launches: edgebench show {record.run_id} --launches"
        ) from error


def _name(measured: Measured) -> str:
    record, series, _ = measured
    return f"{series.label} of {record.run_id}"


def _told_by(found: Conditions) -> str:
    launches = f"{found.launches} launch{'' if found.launches == 1 else 'es'}"
    if not found.invalid:
        return launches
    return f"{launches}, {'all' if found.invalid == found.launches else found.invalid} INVALID"


def _unlike(first: Series, second: Series) -> tuple[str, ...]:
    """The fields of the cards that differ, those of the work first."""
    differing = identity_differences([first.identity, second.identity])
    ordered = sorted(differing, key=lambda name: name not in WORK_FIELDS)
    return tuple(f"{name}: {' and '.join(differing[name])}" for name in ordered)


def explanation_text(found: Explanation) -> str:
    """What happened in one line, the mechanisms, what is behind those that are named, and what else differs."""
    interval = _interval(found)
    told = "one launch tells no scatter" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
    lines = [
        f"{found.second} takes {found.ratio:.3f} x {found.first} "
        f"({milliseconds(found.second_ms)} and {milliseconds(found.first_ms)} ms, {told})",
        f"by {found.told_by[1]} and {found.told_by[0]}",
        "",
        tabulate(
            [_row(each) for each in found.mechanisms],
            headers=("mechanism", "factor", "evidence"),
            tablefmt="github",
            disable_numparse=True,
        ),
        "",
    ]
    named = [each for each in found.mechanisms if each.named]
    lines += [line for each in named for line in _words(each)] or [_nothing_named(found)]
    if found.unlike:
        lines += ["", "unlike on the identity cards:", *(f"  {each}" for each in found.unlike)]
    return "\n".join(lines)


def _interval(found: Explanation) -> tuple[float, float] | None:
    """Of the ratio, at 95 %; None where nothing tells it."""
    if found.uncertainty is None:
        return None
    half = 1.96 * found.uncertainty
    return found.ratio * math.exp(-half), found.ratio * math.exp(half)


def _nothing_named(found: Explanation) -> str:
    interval = _interval(found)
    if interval is None:
        return "one launch on a side proves nothing: measure both with --launches 5 or more"
    if interval[0] <= 1.0 <= interval[1]:
        return "nothing is larger than chance: no difference was found"
    least = f"{NAMED_LEAST:.0%} and {NAMED_ERRORS:g} standard errors"
    return f"they differ, by {found.ratio:.3f} x, and no mechanism by itself is as large as is worth a name: {least}"


def _row(mechanism: Mechanism) -> list[str]:
    factor = f"{mechanism.factor:.3f} x" if mechanism.known else "not known"
    return [
        mechanism.name,
        factor,
        "; ".join(mechanism.evidence) or ("" if mechanism.known else "nothing was recorded that tells it"),
    ]


def _words(mechanism: Mechanism) -> list[str]:
    if mechanism.name == "residual":
        return [f"nothing recorded accounts for {mechanism.factor:.3f} x"]
    causes = [f"  {cause.name}: {cause.evidence}" for cause in mechanism.causes]
    return [f"{mechanism.name}: {mechanism.factor:.3f} x", *(causes or ["  what is behind it was not recorded"])]
