"""A check against a number that was stored: what may be concluded from it, and what became of a baseline since."""

from __future__ import annotations

from msgspec.structs import replace

from edgebench.analyze.stored import Unpaired, unpaired
from edgebench.analyze.summary import PARITY_NOT_CHECKED
from edgebench.records import CheckResult, Result
from edgebench.records.check import Verdict
from edgebench.report.check import grown, parity_not_checked
from edgebench.report.results import identity_differences
from edgebench.report.tables import milliseconds

# Where one of these differs two latencies are of two things.
_ALIKE = (
    *(
        "device_id",
        "runtime",
        "runtime_version",
        "runtime_options",
        "precision_stored",
        "precision_computed",
        "threads",
    ),
    *("cores", "inputs", "governor", "power_source", "power_mode", "clocks", "settings"),
)
# What tells two models, or two launches, apart by itself.
_OWN = ("model", "model_source", "model_source_version", "weights", "weights_sha256", "reparameterized", "artifact")


def check_of_stored(baseline: Result, candidate: Result, budget: float, why: str) -> CheckResult:
    """The verdict where one of the two is a stored number (``why``): by the cards first, then by the numbers.

    Their intervals are of one session each, and sessions differ by more: the word *unpaired* stands with the verdict.
    """
    differing = identity_differences([baseline.identity, candidate.identity])
    notes = [
        f"{name} differs: {' and '.join(values)}" for name, values in differing.items() if name not in (*_ALIKE, *_OWN)
    ]
    reasons = [f"{name} differs: {' and '.join(differing[name])}" for name in _ALIKE if name in differing]
    found: Unpaired | None = None
    if reasons:
        reasons.append(
            "latencies of unlike things say nothing of the candidate: measure it as the baseline was, or save the baseline anew"
        )
    else:
        found = unpaired(baseline.launch_medians_ms, candidate.launch_medians_ms, budget)
        if found is None:
            reasons.append("one launch has no interval")
    reasons += _doubtful(baseline, candidate)
    verdict: Verdict = found.verdict if found and not reasons else "inconclusive"
    if found and verdict == "inconclusive" and not reasons:
        reasons.append("the interval holds the budget")
    return CheckResult(
        verdict=verdict,
        budget=budget,
        ratio=found.ratio if found else None,
        bounds=found.bounds if found else None,
        launches=candidate.launches,
        design=f"unpaired: {why}",
        reasons=tuple(reasons),
        notes=(*notes, *parity_not_checked(baseline, candidate)),
        layers=grown(baseline, candidate) if verdict == "regressed" else (),
    )


def _doubtful(*results: Result) -> list[str]:
    """Why these results are no base of a verdict on latency: nothing where they are."""
    found = []
    for each in results:
        # What a file computes bears on no latency.
        doubts = [reason for reason in each.reasons if not reason.startswith(PARITY_NOT_CHECKED)]
        if each.verdict != "VALID" and doubts:
            found.append(f"{each.label} is {each.verdict}: {'; '.join(doubts)}")
    return found


def with_confirmation(check: CheckResult, baseline: Result, candidate: Result) -> CheckResult:
    """A check by a stored number that says *regressed*, with launches of one more session of what can be measured: they have
    to be above the budget by themselves."""
    found = unpaired(baseline.launch_medians_ms, candidate.launch_medians_ms, check.budget)
    doubts = _doubtful(baseline, candidate)
    if found is None or doubts:
        return unconfirmed(check, "; ".join(doubts) or "one launch has no interval")
    check = replace(check, confirmation_ratio=found.ratio)
    if found.ratio > 1.0 + check.budget:
        return check
    return unconfirmed(
        check, f"{candidate.launches} launches to confirm it tell {found.ratio:.4f} x, which the budget allows"
    )


def unconfirmed(check: CheckResult, why: str) -> CheckResult:
    """A check that said *regressed* where no launches confirm it."""
    return replace(check, verdict="inconclusive", reasons=(f"not confirmed: {why}", *check.reasons), layers=())


def since_stored(check: CheckResult, stored: Result | None, now: Result) -> CheckResult:
    """``check`` of a baseline that was measured before, too (``stored``), with what became of it since."""
    if stored is None:
        return check
    if stored.identity.device_id != now.identity.device_id:
        note = f"the baseline was saved on {stored.device}; both were measured now, on {now.device}, which the verdict is about"
    else:
        note = f"the baseline took {milliseconds(stored.median_ms)} ms when it was saved, {milliseconds(now.median_ms)} ms now"
        differing = identity_differences([stored.identity, now.identity])
        otherwise = [
            f"{name} was {differing[name][0]}, is {differing[name][1]}" for name in _ALIKE if name in differing
        ]
        if otherwise:
            note += f", which are not alike ({'; '.join(otherwise)}); the verdict is about what was measured now"
    return replace(check, notes=(*check.notes, note))
