"""What a result says beyond its latency is derived from the launches that were used, and from no other."""

from __future__ import annotations

import math
from typing import Any

import pytest
from msgspec.structs import replace

from edgebench.analyze.verdict import UNLIKE_WIDER
from edgebench.records import (
    CanaryRow,
    IterationsRow,
    LaunchRecord,
    Monitored,
    MonitorRow,
    Pair,
    Place,
    Reading,
    Result,
    RunPolicy,
    SensorsRow,
    ThermalState,
    Trace,
)
from edgebench.report.results import ranked, ranked_by_ratios, results_of
from tests.measure.fakes import FakeClock, gate, record
from tests.measure.traces import canaries, launch_record, pair_trace, trace


def launch(index: int, *, validity: str = "VALID", skin: float | None = None, soc: float = 50.0) -> LaunchRecord:
    told: list[tuple[str, Place, float | None]] = [("SKIN", "skin", skin), ("CPU", "soc", soc)]
    readings = [Reading(name=name, place=place, celsius=c, source="t") for name, place, c in told if c is not None]
    return launch_record(index, validity=validity, thermal=ThermalState(readings=tuple(readings)))


def clocked(ghz: float | None) -> Trace:
    row: CanaryRow = replace(canaries(), clock_ghz=ghz)
    return trace(canary=row)


def derived(*launches: LaunchRecord, traces: dict[int, Trace] | None = None):
    run = record("net")
    run = replace(run, series=(replace(run.series[0], launches=launches),))
    every = {each.index: trace() for each in launches} | (traces or {})
    return results_of(run, [every], [])[0]


def test_a_reference_that_no_launch_comes_up_to_is_said_with_how_to_take_it_anew():
    waits = [gate([canaries(clock=slower)], FakeClock(), []).wait() for slower in (1.05, 1.07)]
    waited = [replace(launch(at, validity="SUSPECT"), gate=str(each)) for at, each in enumerate(waits)]
    profile = replace(launch(9), kind="profile", gate="passed")
    [note] = derived(*waited, profile).notes
    assert "each of 2 launches waited at the gate in vain, the last as its clock canary 1.07x its reference" in note
    assert "remove ~/.local/state/edgebench/references" in note and note.endswith("they are made again")
    warm = replace(launch(1), gate="timed out: SKIN at 44.0 °C, starts at 35.0 °C")
    for other in (replace(launch(2), gate="passed"), warm):
        assert derived(*waited, other).notes == ()


def test_the_temperature_of_the_body_before_the_launches_that_were_used():
    found = derived(launch(0, skin=29.5), launch(1, skin=44.0, validity="INVALID"), launch(2, skin=31.0))
    assert (found.start_sensor, found.start_c) == ("SKIN", (29.5, 31.0))


def test_the_chip_where_the_body_has_no_sensor_and_nothing_where_there_is_none():
    assert derived(launch(0)).start_sensor == "CPU"
    bare = replace(launch(0), thermal=ThermalState())
    assert derived(bare).start_c is None


def test_the_clock_over_the_launches_that_were_used():
    traces = {0: clocked(2.85), 1: clocked(1.2), 2: clocked(2.8)}
    found = derived(launch(0), launch(1, validity="INVALID"), launch(2), traces=traces)
    assert found.clock_ghz == (2.8, 2.85)
    assert derived(launch(0), traces={0: clocked(None)}).clock_ghz is None


def on_gpu(cost: float, mhz: int, mw: int, h2d_ms: float) -> Trace:
    """A launch on a GPU, as a monitor and the program saw it."""
    monitor = MonitorRow(
        name="tegrastats",
        t_ns=0,
        period_ms=500,
        cost_share=cost,
        gpu_percent=(90, 0),
        gpu_mhz=(mhz, 100),
        memory_mhz=(None, None),
        temperature_c={},
        power_mw={"VDD_IN": (mw, None), "VDD_SOC": (1, 1)},
        total_rail="VDD_IN",
    )
    whole = trace(rows=[monitor], cores=())
    copied = tuple(
        replace(row, transfers={"h2d": (round(h2d_ms * 1e6),) * len(row.stages["net"])})
        if isinstance(row, IterationsRow)
        else row
        for row in whole.rows
    )
    return Trace(rows=copied)


def test_a_monitors_worst_cost_and_what_it_saw_of_a_gpu_at_work_stand_in_the_result() -> None:
    found = derived(launch(0), launch(1), traces={0: on_gpu(0.002, 900, 12000, 0.2), 1: on_gpu(0.006, 918, 13000, 0.4)})
    assert found.monitor == Monitored(
        name="tegrastats", cost_share=0.006, gpu_mhz=(900, 918), power_mw=12500.0, rail="VDD_IN"
    )
    assert found.transfers_ms == {"h2d": pytest.approx(0.3)}
    assert found.median_ms == 5.0, "copies are no part of it"


def sensed(cores: tuple[int, ...], *costs_ns: int) -> Trace:
    """A launch beside which so many sensors were read, every 500 ms."""
    costs = {f"temperature zone{number}": cost for number, cost in enumerate(costs_ns)}
    return trace(rows=[SensorsRow(t_ns=0, period_ms=500, cores=cores, read_cost_ns=costs, left_out=())])


def test_what_reading_sensors_took_of_a_core_is_the_cost_of_all_reads_over_their_period() -> None:
    found = derived(launch(0), launch(1), traces={0: sensed((0,), 100_000, 50_000), 1: sensed((0,), 300_000, 200_000)})
    assert found.telemetry_share == pytest.approx(0.001), "0.5 ms of each 500 ms, the worst launch"
    assert derived(launch(0), traces={0: sensed((), 100_000)}).telemetry_share is None, "nothing is timed meanwhile"


def test_without_a_monitor_there_is_none() -> None:
    found = derived(launch(0), traces={0: trace()})
    assert found.monitor is None and found.transfers_ms == {}


def held(late_ms: float, clock: float) -> Result:
    """A load of 30 s, which from the tenth on takes ``late_ms`` for 5, while the clock canary takes ``clock`` times as long."""
    rows: list[object] = []
    for second in range(30):
        slow = second >= 10
        at_ns, ms = second * 10**9, late_ms if slow else 5.0
        times = (round(ms * 1e6),) * round(1000 / ms)
        rows.append(IterationsRow(artifact=0, t_ns=at_ns, stages={"net": times}, cores=(1,) * len(times), dropped=0))
        rows.append(replace(canaries(clock if slow else 1.0, when="between"), t_ns=at_ns))
    run = record("net")
    launches = (launch(0), replace(launch(1), kind="sustained"))
    policy = replace(run.policy, sustained_s=30.0)
    run = replace(run, policy=policy, series=(replace(run.series[0], launches=launches),))
    return results_of(run, [{0: trace(), 1: Trace(rows=tuple(rows))}], [])[0]  # type: ignore[arg-type]


def test_a_held_load_that_slowed_down_without_its_clock_is_suspect_and_says_by_how_much() -> None:
    throttled, busy = held(6.0, 1.2).sustained, held(6.0, 1.0).sustained
    assert throttled is not None and busy is not None
    assert (throttled.verdict, throttled.reasons) == ("VALID", ())
    assert busy.verdict == "SUSPECT" and "latency was 1.20 x" in busy.reasons[0]
    assert throttled.throttled_after_s == busy.throttled_after_s == pytest.approx(10.0, abs=1.0)


def compared(ratios: list[list[float]], *, solo: float | None = None, **pair: Any) -> list[Result]:
    """A run of a first series of 5 ms and one more for each list, whose launches of the pair have these ratios."""
    run = record("first", *(f"other{index}" for index in range(len(ratios))))
    alone = tuple(launch(index) for index in range(6))
    pairs, pair_traces = [], []
    for index, each in enumerate(ratios):
        launches = tuple(replace(launch(number), kind="pair") for number in range(len(each)))
        pairs.append(Pair(first=0, second=index + 1, launches=launches, **pair))
        traces = (pair_trace(5.0, 5.0 * ratio, (5.0, 5.0 * (solo or ratio))) for ratio in each)
        pair_traces.append(dict(enumerate(traces)))
    run = replace(
        run, series=tuple(replace(each, launches=alone) for each in run.series), pairs=tuple(pairs), policy=POLICY
    )
    traces = [{number: trace(5.0 + 0.01 * number) for number in range(6)} for _ in run.series]
    return results_of(run, traces, pair_traces)


POLICY = RunPolicy(looks=(6,), profile=False)
AROUND = [0.998, 1.002, 0.999, 1.001, 0.9985, 1.0015]


def test_launches_in_turns_tell_a_ratio_that_the_latencies_could_not() -> None:
    first, other = compared([[1.01 * each for each in AROUND]])
    assert (first.ratio, first.ratio_to, first.design) == (None, None, None)
    assert (other.ratio_to, other.design) == (first.label, "paired")
    assert other.ratio == pytest.approx(1.01, abs=1e-3) and other.ratio_ci95 is not None
    assert 1.008 < other.ratio_ci95[0] < 1.01 < other.ratio_ci95[1] < 1.012
    assert [(each.label, each.rank) for each in ranked([other, first])] == [(first.label, 1), (other.label, 2)]
    assert first.ci95_ms is not None and other.ci95_ms is not None
    assert first.ci95_ms[1] > other.ci95_ms[0], "by their latencies nobody could tell"


def test_ranks_go_by_way_of_the_row_that_each_was_held_against() -> None:
    first, other, third, fourth = compared([[2.0 * each for each in AROUND], [0.99 * each for each in AROUND], AROUND])
    fourth = replace(fourth, ratio_to=other.label, ratio=1.01, ratio_ci95=(1.009, 1.011))
    rows = ranked([first, other, third, fourth])
    assert [(each.label, each.rank) for each in rows] == [
        (third.label, 1),
        (first.label, 2),
        (other.label, 3),
        (fourth.label, 4),
    ]
    near = replace(fourth, ratio=1.001, ratio_ci95=(0.999, 1.003))
    assert [each.rank for each in ranked([first, other, third, near])] == [1, 2, 3, 3]
    unknown = replace(other, ratio=None, ratio_ci95=None)
    assert not ranked_by_ratios([first, unknown, third, fourth]), "what it is held against has no ratio itself"


def test_two_that_are_alike_share_a_rank() -> None:
    assert [each.rank for each in ranked(compared([AROUND]))] == [1, 1]


def test_the_clearest_of_several_comparisons_is_judged_the_most_strictly() -> None:
    one = compared([[1.01 * each for each in AROUND]])[1]
    several = compared(
        [[1.01 * each for each in AROUND], [1.02 * each for each in AROUND], [1.03 * each for each in AROUND]]
    )

    def width(each: Result) -> float:
        assert each.ratio_ci95 is not None
        return each.ratio_ci95[1] / each.ratio_ci95[0] - 1.0

    assert width(several[3]) > 1.2 * width(one), "the clearest at a third of the error"
    assert width(several[1]) == pytest.approx(width(one), rel=1e-3), "the last that is clear at all of it"


def test_a_run_that_is_not_paired_compares_the_launches_that_alternated() -> None:
    run = record("first", "other")
    alone = tuple(launch(index) for index in range(6))
    pair = Pair(first=0, second=1, unpaired="two runtimes")
    run = replace(run, series=tuple(replace(each, launches=alone) for each in run.series), pairs=(pair,), policy=POLICY)
    # The machine gets slower from launch to launch, which both see.
    traces = [{number: trace(ms * (1.0 + 0.05 * number)) for number in range(6)} for ms in (5.0, 5.5)]
    _, other = results_of(run, traces, [{}])
    assert (other.ratio, other.design) == (pytest.approx(1.1), "alternating: two runtimes")
    assert other.ratio_ci95 is not None and other.ratio_ci95[1] - other.ratio_ci95[0] < 1e-3


def test_alternating_launches_are_held_against_those_of_their_own_round() -> None:
    """A replaced launch must not shift all that follow: the machine gets slower by 5 % a round."""
    run = record("first", "other")
    replaced = tuple(launch(index, validity="INVALID" if index == 2 else "VALID") for index in range(7))
    whole = tuple(launch(index) for index in range(6))
    series = tuple(replace(each, launches=own) for each, own in zip(run.series, (replaced, whole), strict=True))
    run = replace(run, series=series, pairs=(Pair(first=0, second=1, unpaired="two runtimes"),), policy=POLICY)
    traces = [{number: trace(ms * (1.0 + 0.05 * number)) for number in range(7)} for ms in (5.0, 5.5)]
    _, other = results_of(run, traces, [{}])
    assert other.ratio == pytest.approx(1.1) and other.ratio_ci95 is not None
    assert other.ratio_ci95[1] - other.ratio_ci95[0] < 1e-3


def test_with_several_sessions_the_session_is_the_unit_of_a_ratio() -> None:
    run = record("first", "other")
    launches = tuple(replace(launch(index), kind="pair", session=index // 6) for index in range(12))
    run = replace(
        run,
        series=tuple(replace(each, launches=tuple(launch(index) for index in range(6))) for each in run.series),
        pairs=(Pair(first=0, second=1, launches=launches),),
        policy=replace(POLICY, sessions=2),
    )
    # Two sessions that do not agree: twelve launches of one would.
    ratios = [*(1.02 * each for each in AROUND), *(1.04 * each for each in AROUND)]
    traces = {number: pair_trace(5.0, 5.0 * ratio) for number, ratio in enumerate(ratios)}
    _, other = results_of(run, [{number: trace() for number in range(6)}] * 2, [traces])
    assert other.ratio == pytest.approx(1.03, abs=1e-3) and other.ratio_ci95 is not None
    assert other.ratio_ci95[0] < 1.0 < 1.06 < other.ratio_ci95[1], "two values, one degree of freedom"


def test_without_an_interval_of_every_ratio_ranks_rest_on_the_latencies() -> None:
    base, fast = compared([[0.5]])
    assert fast.ratio_ci95 is None
    slow = replace(base, ci95_ms=(5.0, 5.1), median_ms=5.05)
    quick = replace(fast, ci95_ms=(2.0, 2.1), median_ms=2.05)
    assert [(each.label, each.rank) for each in ranked([slow, quick])] == [(fast.label, 1), (base.label, 2)]
    broken = replace(compared([AROUND])[0], median_ms=None, ci95_ms=None)
    assert next(each.rank for each in ranked([broken, compared([AROUND])[1]]) if each.label == base.label) is None


def test_turns_that_disturb_make_the_ratio_suspect() -> None:
    _, other = compared([[1.2 * each for each in AROUND]], solo=1.0)
    assert other.verdict == "SUSPECT" and any(reason.startswith("interference:") for reason in other.reasons)


def test_a_pair_with_too_few_launches_says_so_and_why() -> None:
    run = record("first", "other")
    failed = replace(launch(0, validity="FAILED"), kind="pair", reasons=("the deadline of 60 s was over",))
    run = replace(
        run,
        series=tuple(replace(each, launches=tuple(launch(index) for index in range(6))) for each in run.series),
        pairs=(Pair(first=0, second=1, launches=(failed,)),),
        policy=POLICY,
    )
    _, other = results_of(run, [{number: trace() for number in range(6)}] * 2, [{}])
    assert (other.ratio, other.verdict) == (None, "SUSPECT")
    assert other.reasons[0] == "only 0 launches of the pair, 6 were planned" and "deadline" in other.reasons[1]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["INVALID"] * 4, "4 of 10 launches of the pair discarded (limit 30%)"),
        (["SUSPECT"] * 4, "4 of 10 launches of the pair are SUSPECT (limit 30%)"),
        (["INVALID", "SUSPECT"], None),
    ],
)
def test_a_pair_much_of_which_is_disturbed_is_suspect(more: list[str], said: str | None) -> None:
    run = record("first", "other")
    launches = [replace(launch(number), kind="pair") for number in range(6)]
    launches += [replace(launch(6 + number, validity=each), kind="pair") for number, each in enumerate(more)]
    run = replace(
        run,
        series=tuple(replace(each, launches=tuple(launch(index) for index in range(6))) for each in run.series),
        pairs=(Pair(first=0, second=1, launches=tuple(launches)),),
        policy=POLICY,
    )
    ratios = (*AROUND, *[1.0] * len(more))
    traces = {number: pair_trace(5.0, 5.0 * ratio) for number, ratio in enumerate(ratios)}
    _, other = results_of(run, [{number: trace() for number in range(6)}] * 2, [traces])
    assert other.reasons == ((said,) if said else ())
    assert other.verdict == ("SUSPECT" if said else "VALID")


def test_a_ratio_of_unlike_networks_has_an_interval_that_is_as_much_wider_as_a_checks() -> None:
    def width(params: int) -> float:
        run = record("first", "other")
        launches = tuple(replace(launch(number), kind="pair") for number in range(6))
        series = [replace(each, launches=tuple(launch(index) for index in range(6))) for each in run.series]
        series[1] = replace(series[1], model=replace(series[1].model, params=params))
        series[0] = replace(series[0], model=replace(series[0].model, params=100))
        run = replace(run, series=tuple(series), pairs=(Pair(first=0, second=1, launches=launches),), policy=POLICY)
        turns = {number: pair_trace(5.0, 5.0 * ratio) for number, ratio in enumerate(AROUND)}
        _, other = results_of(run, [{number: trace() for number in range(6)}] * 2, [turns])
        assert other.ratio_ci95 is not None
        return math.log(other.ratio_ci95[1] / other.ratio_ci95[0])

    assert width(200) == pytest.approx(UNLIKE_WIDER * width(110), rel=1e-6)
