"""What a check found: one verdict with its figures, for programs and for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from edgebench.analyze.pairs import interference, log_ratios, pair_launches
from edgebench.analyze.ratios import LogRatio
from edgebench.analyze.summary import (
    DISCARDED_SHARE_MAX,
    PARITY_NOT_CHECKED,
    SUSPECT_SHARE_MAX,
    most_common_reasons,
)
from edgebench.analyze.verdict import ERROR_EACH_SIDE, agreed, conclude, first_decisive, fixed_look, wider_of
from edgebench.errors import NoValidMeasurement
from edgebench.records import Checked, CheckResult, LaunchRecord, LayerChange, Result, RunRecord, Trace
from edgebench.report.tables import milliseconds

# Modules that grew the most, and by how much of the network at least.
_LAYERS_SHOWN, _LAYER_SHARE = 5, 0.002


@dataclass(frozen=True)
class Budgets:
    """How much more than time a candidate may take: memory at its peak, its files' size (.1 allows 10 %)."""

    memory: float
    size: float


def check_of(
    record: RunRecord,
    results: Sequence[Result],
    traces: Sequence[Mapping[int, Trace]],
    pair_traces: Mapping[int, Trace],
) -> CheckResult:
    """The verdict of a run with a budget and one pair; ``results`` and ``traces`` are those of its two series.

    Raises NoValidMeasurement where not one launch could be used.
    """
    [pair], budget, looks = record.pairs, record.policy.budget, record.policy.looks
    if budget is None:
        raise ValueError(f"{record.run_id} is no check")
    logs = log_ratios(record, 0, traces, pair_traces)
    design = "paired" if pair.unpaired is None else f"alternating: {pair.unpaired}"
    if len(logs) < looks[0]:
        return _undecided(record, results, len(logs), budget, design)
    wider = wider_of(record, pair)
    ended, reasons = conclude(logs, budget, looks, wider), []
    # Where it is not concluded it was out of time, or of replacements.
    decided = first_decisive(logs, budget, looks, wider)
    verdict = ended.verdict if ended else "inconclusive"
    if ended is None and decided.verdict == "regressed":
        reasons.append(f"it ended before the confirmation: {len(logs) - decided.launches} of its launches")
    elif ended is None or (verdict == "inconclusive" and not ended.confirmation):
        reasons.append(f"after {decided.launches} launches the interval still holds the budget")
    if ended is None:
        reasons += _why_it_ended(record)
    if ended and ended.confirmation and verdict == "inconclusive":
        again = ended.confirmation
        reasons.append(f"{again.launches} launches to confirm it tell {again.ratio:.4f} x, which the budget allows")
    if pair.unpaired is None and (disturbed := interference(told := pair_launches(pair, pair_traces))):
        # When to stop was chosen by the turns of the same launches: it spends no more than one look.
        by_solo = [LogRatio(each.solo_log_ratio, each.swapped) for each in told]
        alone = fixed_look(by_solo, budget, ERROR_EACH_SIDE / len(looks), wider).verdict
        verdict = agreed(verdict, alone)
        reasons.append(f"{disturbed}; by the two alone it is {alone}")
    return CheckResult(
        verdict=verdict,
        budget=budget,
        ratio=decided.ratio,
        bounds=(decided.low, decided.high),
        wider=wider,
        launches=decided.launches,
        confirmation_ratio=ended.confirmation.ratio if ended and ended.confirmation else None,
        design=design,
        reasons=tuple(reasons),
        notes=(*_doubts(record), *parity_not_checked(*results)),
        layers=grown(*results) if verdict == "regressed" else (),
    )


def _undecided(record: RunRecord, results: Sequence[Result], told: int, budget: float, design: str) -> CheckResult:
    """Too few launches for any look: they were void, or there was no time for more."""
    began = _judged(record) or _every(record)
    causes = _why_it_ended(record)
    said = f"{told} launches told a ratio, a verdict takes {record.policy.looks[0]}"
    # A device that stays hot can take all the time at the gate of its first launch, which may be one that is not judged.
    if began and not any(it.used or it.validity == "INVALID" for it in began):
        raise NoValidMeasurement(
            f"{said}: {'; '.join(causes)}" if causes else said,
            hint=f"each launch: edgebench show {record.run_id} --launches",
        )
    return CheckResult(
        verdict="inconclusive",
        budget=budget,
        ratio=None,
        bounds=None,
        launches=told,
        design=design,
        reasons=(said, *causes),
        notes=(*_doubts(record), *parity_not_checked(*results)),
    )


def _why_it_ended(record: RunRecord) -> list[str]:
    """Why a check without an end got no more launches: its time was over, or what was wrong with those that it has."""
    time = [f"its time was over, {record.policy.max_time_s:.0f} s (--max-time)"] if record.out_of_time else []
    return [*time, *most_common_reasons(it.reasons for it in _judged(record) or _every(record))]


def _doubts(record: RunRecord) -> list[str]:
    """What a reader should know of the launches that the verdict rests on."""
    judged = _judged(record)
    suspect, discarded = [it for it in judged if it.validity == "SUSPECT"], [it for it in judged if not it.used]
    doubts = [] if record.policy.gate else ["nothing waited for the device to be cool and calm (--no-gate)"]
    for what, doubtful, limit in (
        ("SUSPECT", suspect, SUSPECT_SHARE_MAX),
        ("void", discarded, DISCARDED_SHARE_MAX),
    ):
        if len(doubtful) > limit * len(judged):
            causes = "; ".join(most_common_reasons(it.reasons for it in doubtful))
            doubts.append(f"{len(doubtful)} of {len(judged)} launches are {what}: {causes}")
    return doubts


def _judged(record: RunRecord) -> list[LaunchRecord]:
    """The launches that a verdict rests on."""
    [pair] = record.pairs
    if pair.unpaired is None:
        return list(pair.launches)
    return _alone(record)


def _every(record: RunRecord) -> list[LaunchRecord]:
    """All that were begun, judged or not."""
    return [*record.pairs[0].launches, *_alone(record)]


def _alone(record: RunRecord) -> list[LaunchRecord]:
    return [it for series in record.series for it in series.launches if it.repeated]


def parity_not_checked(*results: Result) -> list[str]:
    """Of which of them nobody knows whether it computes what its model does: that bears on no latency, yet on what to ship."""
    return [
        f"{each.label}: {reason}"
        for each in results
        for reason in each.reasons
        if reason.startswith(PARITY_NOT_CHECKED)
    ]


def with_other_budgets(
    check: CheckResult, results: Sequence[Result], sizes: tuple[int, int] | None, budgets: Budgets
) -> CheckResult:
    """``check`` with memory and size held to their budgets, too: above one of them the candidate has *regressed*.

    ``sizes`` are those of the two artifacts' files in bytes, where both are there. Of unlike things no memory is compared.
    """
    baseline, candidate = results
    alike = not check.design.startswith("unpaired") or check.bounds is not None
    memory = _by(candidate.memory_peak_bytes, baseline.memory_peak_bytes) if alike else None
    size = _by(sizes[1], sizes[0]) if sizes else None
    over = [
        f"{what} is {ratio:.3f} x, the budget is {1 + budget:g} x"
        for what, ratio, budget in (("memory", memory, budgets.memory), ("size", size, budgets.size))
        if ratio is not None and ratio > 1.0 + budget
    ]
    return replace(
        check,
        verdict="regressed" if over else check.verdict,
        reasons=(*over, *check.reasons),
        memory_ratio=memory,
        memory_budget=budgets.memory,
        size_ratio=size,
        size_budget=budgets.size,
    )


def _by(second: int | None, first: int | None) -> float | None:
    return second / first if second and first else None


def grown(baseline: Result, candidate: Result) -> tuple[LayerChange, ...]:
    """The modules whose layers take more than they did, those that grew the most first."""
    if not baseline.layers or not candidate.layers:
        return ()
    times: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for side, result in enumerate((baseline, candidate)):
        for layer in result.layers:
            times[layer.module, layer.op][side] += layer.ms
    # Of another network, or one whose modules are called otherwise, every layer is new.
    if not any(before and after for before, after in times.values()):
        return ()
    least_ms = _LAYER_SHARE * sum(layer.ms for layer in baseline.layers)
    grown = sorted(times.items(), key=lambda item: item[1][0] - item[1][1])
    return tuple(
        LayerChange(module=module, op=op, baseline_ms=before, candidate_ms=after)
        for (module, op), (before, after) in grown[:_LAYERS_SHOWN]
        if after - before >= least_ms
    )


def check_lines(checked: Checked) -> list[str]:
    """The verdict first, then what it rests on; for a failure what failed, and the mend."""
    if checked.check is None:
        failure = checked.failure
        return [f"error: {failure.message}", f"hint: {failure.hint}"] if failure else ["nothing was checked"]
    check, (baseline, candidate) = checked.check, checked.results
    design, _, why = check.design.partition(": ")
    unpaired_word = f" ({design})" if design == "unpaired" else ""
    if check.ratio is None or check.bounds is None:
        lines = [f"{check.verdict}{unpaired_word}: {candidate.label} cannot be held against {baseline.label}"]
    else:
        low, high = check.bounds
        # Of memory or size alone a regression is not one of time.
        of = (
            ""
            if check.verdict != "regressed" or low > 1.0 + check.budget
            else f" ({check.reasons[0].partition(' is ')[0]})"
        )
        lines = [
            f"{check.verdict}{of}{unpaired_word}: {candidate.label} takes {check.ratio:.4f} x {baseline.label} "
            f"({low:.4f} to {high:.4f}), the budget is {1 + check.budget:g} x",
            f"by {check.launches} launches {_design_words(design, why)}; "
            + (
                "what differs between their two sessions is in it"
                if unpaired_word
                else f"each side errs in at most {ERROR_EACH_SIDE:.0%} of checks"
            ),
        ]
    if check.wider > 1.0:
        lines.append(
            f"launches of unlike networks depend on each other: the bounds are {check.wider:g} times as wide for it"
        )
    if check.confirmation_ratio is not None:
        lines.append(f"launches to confirm it: {check.confirmation_ratio:.4f} x")
    if check.memory_ratio is not None and baseline.memory_peak_bytes and candidate.memory_peak_bytes:
        peaks = [f"{each / 2**20:.1f}" for each in (baseline.memory_peak_bytes, candidate.memory_peak_bytes)]
        lines.append(f"memory: {' -> '.join(peaks)} MiB ({check.memory_ratio:.3f} x)")
    else:
        lines.append("memory: not known")
    if check.size_ratio is not None:
        lines.append(f"size of the files: {check.size_ratio:.3f} x")
    else:
        lines.append("size of the files: not known")
    lines += [
        f"grew: {each.module} {each.op}, {milliseconds(each.baseline_ms)} -> {milliseconds(each.candidate_ms)} ms"
        for each in check.layers
    ]
    return [*lines, *check.reasons, *(f"note: {note}" for note in check.notes)]


def _design_words(design: str, why: str) -> str:
    if design == "paired":
        return "in turns in one process"
    return f"that alternate ({why})" if design == "alternating" else f"against a stored number ({why})"
