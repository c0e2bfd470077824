"""The result document of a run: what ``--json`` prints and what every table is made from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median

from msgspec.structs import replace

from edgebench.analyze.pairs import PairLaunch, interference, log_ratios, pair_launches
from edgebench.analyze.ratios import LogRatio, by_session, centre_of, holm_errors, ratio_of
from edgebench.analyze.statistics import interval_error, ranks
from edgebench.analyze.summary import (
    DISCARDED_SHARE_MAX,
    SUSPECT_SHARE_MAX,
    most_common_reasons,
    says_over_reference,
    summarize,
)
from edgebench.analyze.sustained import clock_doubt, sustained_of
from edgebench.analyze.telemetry import busy_gpu_mhz, sensors_share
from edgebench.analyze.verdict import wider_of
from edgebench.records import (
    CanaryRow,
    Identity,
    IterationsRow,
    Monitored,
    MonitorRow,
    Pair,
    ProfileRecord,
    Result,
    ResultLayer,
    RunPolicy,
    RunRecord,
    Series,
    Sustained,
    Trace,
)
from edgebench.report.layers import layer_documents


def results_of(
    record: RunRecord, traces: Sequence[Mapping[int, Trace]], pair_traces: Sequence[Mapping[int, Trace]]
) -> list[Result]:
    """One result a series, in the run's order. ``traces[i]`` are those of series ``i`` by launch index, ``pair_traces[i]`` of
    pair ``i``."""
    results = [_result(record, series, traces[index]) for index, series in enumerate(record.series)]
    told = [log_ratios(record, place, traces, pair_traces[place]) for place in range(len(record.pairs))]
    return _compared(results, record, pair_traces, told)


def _compared(
    results: Sequence[Result],
    record: RunRecord,
    pair_traces: Sequence[Mapping[int, Trace]],
    logs: Sequence[Sequence[LogRatio]],
) -> list[Result]:
    """The results with the ratios of the run's pairs: that an interval leaves out 1 by mistake happens in one of twenty runs.

    With several sessions the session is the unit, as for latencies.
    """
    pairs = list(zip(record.pairs, pair_traces, strict=True))
    paired = [pair_launches(pair, traces) if pair.unpaired is None else [] for pair, traces in pairs]
    if sessions := record.policy.sessions > 1:
        logs = [by_session(each) for each in logs]
    told = [index for index, each in enumerate(logs) if each]
    total = interval_error(() if sessions else record.policy.looks)
    # Sessions do not depend on each other as launches do.
    wider = [1.0 if sessions else wider_of(record, pair) for pair in record.pairs]
    chances = [centre_of(logs[index], wider[index]).p_of_none() for index in told]
    errors = dict(zip(told, holm_errors(chances, total), strict=True))
    compared = list(results)
    for index, (pair, _) in enumerate(pairs):
        ratio = ratio_of(logs[index], errors[index], wider[index]) if index in errors else None
        result = compared[pair.second]
        doubts = _doubts(pair, paired[index], record.policy) if pair.unpaired is None else []
        reasons = (*result.reasons, *doubts)
        compared[pair.second] = replace(
            result,
            ratio=ratio.ratio if ratio else None,
            ratio_ci95=ratio.ci if ratio else None,
            ratio_to=results[pair.first].label,
            design="paired" if pair.unpaired is None else f"alternating: {pair.unpaired}",
            reasons=reasons,
            verdict="SUSPECT" if result.verdict == "VALID" and reasons else result.verdict,
        )
    return compared


def _doubts(pair: Pair, told: Sequence[PairLaunch], policy: RunPolicy) -> list[str]:
    """What speaks against a ratio of launches in turns."""
    if len(told) < policy.looks[0]:
        causes = most_common_reasons(launch.reasons for launch in pair.launches if not launch.used)
        return [f"only {len(told)} launches of the pair, {policy.looks[0]} were planned", *causes]
    every, doubts = len(pair.launches), []
    discarded = every - len(told)
    suspect = sum(launch.validity == "SUSPECT" for launch in pair.launches)
    if discarded > DISCARDED_SHARE_MAX * every:
        doubts.append(f"{discarded} of {every} launches of the pair discarded (limit {DISCARDED_SHARE_MAX:.0%})")
    if suspect > SUSPECT_SHARE_MAX * len(told):
        doubts.append(f"{suspect} of {len(told)} launches of the pair are SUSPECT (limit {SUSPECT_SHARE_MAX:.0%})")
    found = interference(told)
    return [*doubts, found] if found else doubts


def _result(record: RunRecord, series: Series, traces: Mapping[int, Trace]) -> Result:
    summary = summarize(series, traces, record.policy)
    identity, profile = series.identity, series.profile
    start_sensor, start_c = _start_temperature(series)
    repeated = [launch for launch in series.launches if launch.repeated and launch.used and launch.index in traces]
    used = [traces[launch.index] for launch in repeated]
    held, not_held = _sustained(series, traces, record.policy)
    return Result(
        run_id=record.run_id,
        label=series.label,
        model=series.model.name,
        family=series.model.family,
        params=series.model.params,
        macs=series.model.macs,
        artifact=series.artifact,
        format=identity.format,
        target=record.target.name,
        device=record.device.model,
        runtime=identity.runtime,
        precision=identity.precision_stored,
        threads=identity.threads,
        weights=series.weights.description,
        median_ms=summary.median_ms,
        ci95_ms=summary.ci95_ms,
        p90_ms=summary.p90_ms,
        min_ms=summary.min_ms,
        launches=summary.launches,
        launches_suspect=summary.launches_suspect,
        launches_invalid=summary.launches_invalid,
        launches_failed=summary.launches_failed,
        iterations=summary.iterations,
        launch_medians_ms=summary.launch_medians_ms,
        session_medians_ms=summary.session_medians_ms,
        memory_peak_bytes=summary.memory_peak_bytes,
        verdict=summary.verdict,
        reasons=summary.reasons,
        notes=_notes(record),
        start_sensor=start_sensor,
        start_c=start_c,
        clock_ghz=_clock_ghz(used),
        monitor=_monitor(used),
        telemetry_share=_telemetry_share(used),
        transfers_ms=_transfers_ms(used),
        parity=series.fidelity,
        layers=_layers(profile),
        not_profiled=series.not_profiled,
        layer_sum_ms=profile.layer_sum_ms if profile else None,
        profiled_ms=profile.profiled_ms if profile else None,
        attributed_share=profile.attributed_share if profile else None,
        layout_share=profile.layout_share if profile else None,
        published=series.published,
        sustained=held,
        not_sustained=not_held,
        identity=identity,
    )


def _start_temperature(series: Series) -> tuple[str | None, tuple[float, float] | None]:
    """The sensor of the device's body, else of its chip, and how warm it was before the launches that were used."""
    states = [launch.thermal for launch in series.launches if launch.kind == "measure" and launch.used]
    readings = [reading for state in states if (reading := state.hottest("skin", "battery") or state.hottest())]
    if not readings:
        return None, None
    degrees = [reading.celsius for reading in readings]
    return " or ".join(dict.fromkeys(reading.name for reading in readings)), (min(degrees), max(degrees))


def _clock_ghz(used: Sequence[Trace]) -> tuple[float, float] | None:
    """The estimates of all clock canaries of the launches that were used; None where they cannot estimate."""
    clocks = [row.clock_ghz for trace in used for row in trace.of(CanaryRow) if row.clock_ghz is not None]
    return (min(clocks), max(clocks)) if clocks else None


def _monitor(used: Sequence[Trace]) -> Monitored | None:
    """None where no monitor ran beside."""
    rows = [row for trace in used for row in trace.of(MonitorRow)]
    if not rows:
        return None
    clocks = [mhz for row in rows for mhz in busy_gpu_mhz(row)]
    rail = next((row.total_rail for row in rows if row.total_rail is not None), None)
    powers = [mw for row in rows if rail is not None for mw in row.power_mw.get(rail, ()) if mw is not None]
    return Monitored(
        name=rows[0].name,
        cost_share=max(row.cost_share for row in rows),
        gpu_mhz=(min(clocks), max(clocks)) if clocks else None,
        power_mw=median(powers) if powers else None,
        rail=rail if powers else None,
    )


def _sustained(series: Series, traces: Mapping[int, Trace], policy: RunPolicy) -> tuple[Sustained | None, str | None]:
    """What the launch that held the load says, or why there is none where one was asked for."""
    if policy.sustained_s is None:
        return None, None
    launches = [launch for launch in series.launches if launch.kind == "sustained"]
    for launch in launches:
        if launch.used and launch.index in traces:
            try:
                held = sustained_of(traces[launch.index])
                reasons = (
                    *launch.reasons,
                    *(() if policy.gate else ("the gate was off (--no-gate): it may have begun warm",)),
                    *([doubt] if (doubt := clock_doubt(held)) else []),
                )
                return replace(held, verdict="SUSPECT" if reasons else launch.validity, reasons=reasons), None
            except ValueError as error:
                return None, str(error)
    return None, "; ".join(launches[-1].reasons) if launches else "there was no time left for it"


def _telemetry_share(used: Sequence[Trace]) -> float | None:
    shares = [share for trace in used if (share := sensors_share(trace)) is not None]
    return max(shares, default=None)


def _transfers_ms(used: Sequence[Trace]) -> dict[str, float]:
    """By *h2d* and *d2h*: the median over launches of each launch's median."""
    medians: dict[str, list[float]] = defaultdict(list)
    for trace in used:
        times: dict[str, list[int]] = defaultdict(list)
        for row in trace.of(IterationsRow):
            for name, values in row.transfers.items():
                times[name] += values
        for name, values_ns in times.items():
            medians[name].append(median(values_ns) / 1e6)
    return {name: median(values) for name, values in medians.items()}


def _layers(profile: ProfileRecord | None) -> tuple[ResultLayer, ...]:
    return tuple(layer_documents(profile)) if profile else ()


def _notes(record: RunRecord) -> tuple[str, ...]:
    """What a reader should know though it lowers no verdict."""
    notes = []
    if record.reference is not None and record.reference.new:
        notes.append(
            "reference new: the canaries are held against the best of this session's idle probes (there was none for these"
            " cores, or it was beaten by a fresh probe); on a busy machine that is a busy reference"
        )
    if doubt := _reference_doubt(record):
        notes.append(doubt)
    if record.state == "interrupted":
        verb = "run" if record.policy.budget is None else "check"
        notes.append(f"interrupted: go on with edgebench {verb} --resume {record.run_id}")
    return tuple(notes)


def _reference_doubt(record: RunRecord) -> str | None:
    """Where no launch was ever as fast as the reference, whether it is the device that is slow or the reference too fast."""
    launches = [each for one in record.series for each in one.launches if each.kind == "measure"]
    launches += [each for pair in record.pairs for each in pair.launches]
    if not launches or not all(
        each.gate.startswith("timed out:") and says_over_reference(each.gate) for each in launches
    ):
        return None
    obstacle = launches[-1].gate.removeprefix("timed out: ")
    return (
        f"each of {len(launches)} launches waited at the gate in vain, the last as its {obstacle}: something slows the"
        " device all the time, or its reference comes from a moment that was faster than usual; if it is as it always is,"
        " remove ~/.local/state/edgebench/references ($XDG_STATE_HOME/... where set): they are made again"
    )


def ranked(results: Sequence[Result]) -> list[Result]:
    """The results, the fastest first, with the ranks that their intervals support; what has no latency comes last."""
    intervals, by = rank_by(results)
    with_rank = [replace(result, rank=rank) for result, rank in zip(results, ranks(intervals), strict=True)]
    order = sorted(range(len(results)), key=lambda index: float("inf") if (at := by[index]) is None else at)
    return [with_rank[index] for index in order]


def rank_by(results: Sequence[Result]) -> tuple[list[tuple[float, float] | None], list[float | None]]:
    """The intervals that ranks rest on, and what rows are in the order of: the ratios to the first of all, which are far
    narrower, where one run has all of them with their intervals; else the latencies."""
    ratios = _ratios_to_first(results)
    if ratios is None:
        return [result.ci95_ms for result in results], [result.median_ms for result in results]
    return [(low, high) for _, low, high in ratios], [ratio for ratio, _, _ in ratios]


def ranked_by_ratios(results: Sequence[Result]) -> bool:
    """Whether ranks rest on ratios, see ``rank_by``."""
    return _ratios_to_first(results) is not None


def _ratios_to_first(results: Sequence[Result]) -> list[tuple[float, float, float]] | None:
    """Each row's ratio to the first of all and its interval, by way of the row that it was held against: the limits of both
    steps are multiplied, which is wider than need be, as the two are not off by as much at once."""
    rows = {result.label: result for result in results}
    if len({result.run_id for result in results}) != 1 or len(rows) != len(results) or len(rows) < 2:
        return None
    if sum(result.ratio_to is None for result in results) != 1:
        return None
    found = [ratio for result in results if (ratio := _to_first(result, rows)) is not None]
    return found if len(found) == len(results) else None


def _to_first(result: Result, rows: Mapping[str, Result]) -> tuple[float, float, float] | None:
    if result.ratio_to is None:
        return None if result.median_ms is None else (1.0, 1.0, 1.0)
    base = _to_first(rows[result.ratio_to], rows) if result.ratio_to in rows else None
    if base is None or result.ratio is None or result.ratio_ci95 is None:
        return None
    low, high = result.ratio_ci95
    return result.ratio * base[0], low * base[1], high * base[2]


def identity_differences(cards: Sequence[Identity]) -> dict[str, list[str]]:
    """The fields in which identity cards differ, each with its value a card, as text."""
    if not cards:
        return {}
    values = {field: [text_of(getattr(card, field)) for card in cards] for field in cards[0].__struct_fields__}
    return {field: texts for field, texts in values.items() if len(set(texts)) > 1}


def text_of(value: object) -> str:
    """A field of an identity card in words."""
    if value is None:
        return "n/a"
    if isinstance(value, dict):
        return ", ".join(f"{key}={_shape_or_text(each)}" for key, each in sorted(value.items()))
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _shape_or_text(value: object) -> str:
    if isinstance(value, tuple) and value and all(isinstance(each, int) for each in value):
        return "x".join(map(str, value))
    return text_of(value)
