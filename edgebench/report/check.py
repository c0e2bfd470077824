"""What a check found: one verdict with its figures, for programs and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgebench.analyze.pairs import interference, log_ratios, pair_launches
from edgebench.analyze.ratios import LogRatio
from edgebench.analyze.verdict import ERROR_EACH_SIDE, agreed, conclude, first_decisive, fixed_look
from edgebench.errors import NoValidMeasurement
from edgebench.records import CheckResult, Result, RunRecord, Trace


def check_of(
    record: RunRecord,
    results: Sequence[Result],
    traces: Sequence[Mapping[int, Trace]],
    pair_traces: Mapping[int, Trace],
) -> CheckResult:
    """The verdict of a run with a budget and one pair; ``results`` and ``traces`` are those of its two series.

    Raises NoValidMeasurement where too few launches could be used for any look.
    """
    [pair], budget, looks = record.pairs, record.policy.budget, record.policy.looks
    if budget is None:
        raise ValueError(f"{record.run_id} is no check")
    logs = log_ratios(record, 0, traces, pair_traces)
    if len(logs) < looks[0]:
        raise NoValidMeasurement(
            f"{len(logs)} launches told a ratio, a verdict takes {looks[0]}",
            hint=f"give it more time, or a quieter device; each launch: edgebench show {record.run_id} --launches",
        )
    ended, reasons = conclude(logs, budget, looks), []
    # Where it is not concluded it was out of time, or of replacements.
    decided = first_decisive(logs, budget, looks)
    verdict = ended.verdict if ended else "inconclusive"
    if ended is None and decided.verdict == "regressed":
        reasons.append(f"it ended before the confirmation: {len(logs) - decided.launches} of its launches")
    elif ended is None or (verdict == "inconclusive" and not ended.confirmation):
        reasons.append(f"after {decided.launches} launches the interval still holds the budget")
    if ended and ended.confirmation and verdict == "inconclusive":
        again = ended.confirmation
        reasons.append(f"{again.launches} launches to confirm it tell {again.ratio:.4f} x, which the budget allows")
    if pair.unpaired is None and (disturbed := interference(told := pair_launches(pair, pair_traces))):
        # When to stop was chosen by the turns of the same launches: it spends no more than one look.
        by_solo = [LogRatio(each.solo_log_ratio, each.swapped) for each in told]
        alone = fixed_look(by_solo, budget, ERROR_EACH_SIDE / len(looks)).verdict
        verdict = agreed(verdict, alone)
        reasons.append(f"{disturbed}; by the two alone it is {alone}")
    baseline, candidate = results
    return CheckResult(
        verdict=verdict,
        budget=budget,
        ratio=decided.ratio,
        bounds=(decided.low, decided.high),
        launches=decided.launches,
        confirmation_ratio=ended.confirmation.ratio if ended and ended.confirmation else None,
        design="paired" if pair.unpaired is None else f"alternating: {pair.unpaired}",
        reasons=tuple(reasons),
        memory_ratio=_by(candidate.memory_peak_bytes, baseline.memory_peak_bytes),
    )


def _by(second: int | None, first: int | None) -> float | None:
    return second / first if second and first else None


def check_lines(check: CheckResult, results: Sequence[Result]) -> list[str]:
    """The verdict first, then what it rests on."""
    baseline, candidate = results
    low, high = check.bounds
    rests = (
        "in turns in one process" if check.design == "paired" else f"that alternate ({check.design.partition(': ')[2]})"
    )
    lines = [
        f"{check.verdict}: {candidate.label} takes {check.ratio:.4f} x {baseline.label} "
        f"({low:.4f} to {high:.4f}), the budget is {1 + check.budget:g} x",
        f"by {check.launches} launches {rests}; each side errs in at most {ERROR_EACH_SIDE:.0%} of checks",
    ]
    if check.confirmation_ratio is not None:
        lines.append(f"launches to confirm it: {check.confirmation_ratio:.4f} x")
    if check.memory_ratio is not None and baseline.memory_peak_bytes and candidate.memory_peak_bytes:
        peaks = [f"{each / 2**20:.1f}" for each in (baseline.memory_peak_bytes, candidate.memory_peak_bytes)]
        lines.append(f"memory: {' -> '.join(peaks)} MiB ({check.memory_ratio:.3f} x)")
    return [*lines, *check.reasons]
