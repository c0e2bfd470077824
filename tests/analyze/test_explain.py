"""Mechanisms share a ratio among them: what was planted is named, once, and what moves nothing is blamed for nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from edgebench.analyze.conditions import Conditions, conditions_of, mostly_discarded
from edgebench.analyze.explain import mechanisms_of
from edgebench.records import (
    DeviceState,
    IterationsRow,
    LayerRow,
    LoadRow,
    Mechanism,
    MonitorRow,
    Place,
    ProfileRecord,
    Reading,
    RunRecord,
    Series,
    TelemetryRow,
    ThermalState,
    Trace,
)
from tests.measure.fakes import record
from tests.measure.traces import canaries, launch_record, trace

MS = 1_000_000


def telemetry(
    at_ms: float, cpu_ms: float, *, busy_ms: float | None = None, celsius: float | None = None
) -> TelemetryRow:
    return TelemetryRow(
        t_ns=round(at_ms * MS),
        frequency_khz={},
        temperature_c={} if celsius is None else {"cpu-thermal": celsius},
        steal_ms=None,
        involuntary_switches=None,
        major_faults=None,
        cpu_time_ns=round(cpu_ms * MS),
        cores_busy_ms=busy_ms,
    )


def measured(
    latency_ms: float,
    *,
    clock: float = 1.0,
    throughput: float = 1.0,
    memory: float = 1.0,
    on_cpu: float = 1.0,
    others: float = 0.0,
    celsius: float | None = None,
    chip_c: float | None = None,
    status: int | None = None,
    power_saving: bool | None = None,
    noise: float = 0.002,
    launches: int = 6,
    validity: str = "VALID",
    profile: ProfileRecord | None = None,
    instructions: int | None = None,
    cycles: int | None = None,
    **card: object,
) -> Conditions:
    """A result by launches that scatter by ``noise``, with what a test plants in them."""
    order = np.random.default_rng(round(latency_ms * 1000))
    run: RunRecord = record("net")
    run = replace(run, device=replace(run.device, clusters=((4, 5), (0, 1, 2, 3))))
    state = DeviceState(power_saving=power_saving)
    felt: tuple[tuple[Place, float | None], ...] = (("skin", celsius), ("soc", chip_c))
    readings = tuple(
        Reading(name=place, place=place, celsius=each, source="zone") for place, each in felt if each is not None
    )
    thermal = ThermalState(readings=readings, status=status)
    made = [replace(launch_record(at, validity=validity), state=state, thermal=thermal) for at in range(launches)]
    rows = [
        telemetry(0, 0, busy_ms=0.0, celsius=celsius),
        telemetry(1000, 1000 * on_cpu, busy_ms=1000 * (on_cpu + others), celsius=celsius),
    ]
    canary = canaries(clock=clock, throughput=throughput, memory=memory)
    traces: dict[int, Trace] = {
        at: trace(latency_ms * math.exp(order.normal(0.0, noise)), canary=canary, rows=rows) for at in range(launches)
    }
    if instructions is not None:
        traces = {at: counted(each, instructions, cycles) for at, each in traces.items()}
    series: Series = replace(run.series[0], launches=tuple(made), profile=profile)
    series = replace(series, identity=replace(series.identity, **card))
    return conditions_of(run, series, traces, discarded_too=mostly_discarded(series, traces))


def counted(made: Trace, instructions: int, cycles: int | None) -> Trace:
    """With as many of each iteration, in every block."""

    def with_counts(row: IterationsRow) -> IterationsRow:
        iterations = row.dropped + len(row.stages["net"])
        return replace(
            row, instructions=instructions * iterations, cycles=None if cycles is None else cycles * iterations
        )

    return Trace(rows=tuple(with_counts(row) if isinstance(row, IterationsRow) else row for row in made.rows))


def explained(first: Conditions, second: Conditions, *, same_canaries: bool = True) -> dict[str, Mechanism]:
    found = mechanisms_of(first, second, same_canaries=same_canaries)
    product = math.prod(each.factor for each in found)
    assert product == pytest.approx(math.exp(second.latency.mean - first.latency.mean)), "nothing is counted twice"
    return {each.name: each for each in found}


def named(found: dict[str, Mechanism]) -> list[str]:
    return [each.name for each in found.values() if each.named]


def causes(mechanism: Mechanism) -> list[str]:
    return [cause.name for cause in mechanism.causes]


def test_two_that_are_alike_have_no_cause() -> None:
    found = explained(measured(6.0), measured(6.02, celsius=60.0, governor="powersave", power_saving=True))
    assert named(found) == [] and all(not each.causes for each in found.values())


def test_the_same_model_at_22_and_10_ms() -> None:
    """The case that this project was begun for: hot and at a throttled clock one day, cool the next."""
    hot = measured(22.0, clock=2.15, throughput=2.15, memory=1.3, celsius=48.0, status=3)
    found = explained(hot, measured(10.0, celsius=31.0, status=0))
    assert named(found) == ["clock"] and found["clock"].factor == pytest.approx(1 / 2.15, rel=0.01)
    assert causes(found["clock"]) == ["heat"] and "thermal status 3" in found["clock"].causes[0].evidence
    assert found["contention"].factor == 1.0, (
        "a slow clock slows the other canaries as well, which is not counted again"
    )


def test_heat_is_told_by_temperature_where_the_device_never_says_that_it_throttles() -> None:
    found = explained(
        measured(6.0, celsius=35.0, status=0), measured(9.0, clock=1.5, throughput=1.5, celsius=47.0, status=0)
    )
    assert causes(found["clock"]) == ["heat"] and "47.0 °C when its launches began" in found["clock"].causes[0].evidence
    assert causes(explained(measured(6.0), measured(9.0, clock=1.5, throughput=1.5))["clock"]) == []


@pytest.mark.parametrize(
    ("cause", "first", "second"),
    [
        ("power saving", {"power_saving": False}, {"power_saving": True}),
        ("governor", {"governor": "performance"}, {"governor": "powersave"}),
        ("power cap", {"power_mode": "25W"}, {"power_mode": "7W"}),
        ("charger", {"charger": "attached"}, {"charger": "detached"}),
    ],
)
def test_what_lowers_a_clock_is_named_with_its_evidence(
    cause: str, first: dict[str, Any], second: dict[str, Any]
) -> None:
    found = explained(measured(6.0, **first), measured(9.0, clock=1.5, throughput=1.5, **second))
    assert causes(found["clock"]) == [cause]


def test_a_busy_sibling_is_contention_and_not_all_that_its_canary_lost() -> None:
    found = explained(measured(6.0), measured(6.8, throughput=1.58, others=0.3))
    assert named(found) == ["contention"] and found["contention"].factor == pytest.approx(6.8 / 6.0, rel=0.01)
    assert found["contention"].evidence == ("throughput: 1.58 x",) and causes(found["contention"]) == [
        "another process"
    ]


def test_memory_that_is_slower_than_a_slower_clock_makes_it_is_contention() -> None:
    found = explained(measured(6.0), measured(9.9, clock=1.5, throughput=1.5, memory=2.1))
    assert named(found) == ["clock", "contention"] and found["contention"].evidence == ("memory: 1.40 x",)


def test_a_process_that_is_off_its_core_is_contended_for() -> None:
    found = explained(measured(6.0), measured(12.0, on_cpu=0.5, others=0.5))
    assert (
        found["contention"].factor == pytest.approx(2.0, rel=0.01)
        and "off the core: 2.00 x" in found["contention"].evidence
    )


def test_a_canary_that_lost_something_is_not_blamed_for_a_latency_that_lost_nothing() -> None:
    found = explained(measured(6.0), measured(6.0, throughput=1.3, memory=1.4, others=0.2))
    assert named(found) == [] and found["contention"].factor == 1.0


def test_another_kind_of_core_is_what_its_canaries_say() -> None:
    """The little core is at the same clock, and takes twice as long for independent multiply-adds."""
    found = explained(measured(6.0, cores=(4,)), measured(18.0, clock=1.5, throughput=3.0, cores=(0,)))
    assert named(found) == ["core type", "clock"]
    assert found["core type"].factor == pytest.approx(2.0, rel=0.01) and "4" in found["core type"].evidence[0]
    assert found["contention"].factor == 1.0, "what the core lacks is nobody's contention"


@pytest.mark.parametrize(
    ("cause", "card"),
    [
        ("thread count", {"threads": 4, "runtime_options": {"num_threads": 4}}),
        ("build", {"agent": "harness another"}),
        ("build", {"runtime_version": "9.9"}),
        ("options", {"runtime_options": {"use_winograd": False}}),
        ("precision", {"precision_stored": "fp16"}),
        ("model", {"artifact": "another"}),
    ],
)
def test_what_is_left_is_the_work_where_something_of_it_differs(cause: str, card: dict[str, Any]) -> None:
    found = explained(measured(6.0), measured(9.0, **card))
    assert named(found) == ["work"] and causes(found["work"]) == [cause]
    assert explained(measured(6.0), measured(6.01, **card))["work"].causes == (), (
        "a field that moves nothing is no cause"
    )
    assert named(explained(measured(6.0), measured(9.0))) == ["residual"]


def test_two_at_once_are_both_named_by_their_size() -> None:
    found = explained(measured(6.0), measured(18.0, clock=1.5, throughput=1.5, agent="harness another", celsius=50.0))
    assert named(found) == ["work", "clock"]
    assert found["work"].factor == pytest.approx(2.0, rel=0.01)


def test_the_modules_that_changed_are_evidence_of_the_work() -> None:
    def profile(stem_ms: float) -> ProfileRecord:
        def row(module: str, ms: float) -> LayerRow:
            return LayerRow(module=module, op="Conv", kind="kernel", ms=ms, share=0.5, macs=1, bytes=None)

        layers = (row("stem", stem_ms), row("head", 3.0))
        return ProfileRecord(
            layers=layers,
            layer_sum_ms=stem_ms + 3.0,
            profiled_ms=6.0,
            iterations=9,
            attributed_share=1.0,
            layout_share=0.0,
        )

    found = explained(measured(6.0, profile=profile(3.0)), measured(9.0, profile=profile(6.0), artifact="another"))
    assert found["work"].evidence == ("stem 3.000 -> 6.000 ms",)


def test_what_was_not_recorded_is_not_known_and_stays_in_the_residual() -> None:
    found = explained(measured(6.0, clock=1.0), measured(9.0, clock=1.5, throughput=1.5), same_canaries=False)
    assert not found["clock"].known and found["clock"].factor == 1.0 and named(found) == ["residual"]


def test_a_result_whose_launches_are_all_invalid_is_explained_by_them() -> None:
    hot = measured(22.0, clock=2.15, throughput=2.15, validity="INVALID")
    assert hot.invalid == 6 and explained(hot, measured(10.0))["clock"].named
    with pytest.raises(ValueError, match="no launch of net timed anything"):
        measured(6.0, validity="FAILED")


factors = st.floats(0.5, 2.0)


@given(factors, factors, factors, factors, st.booleans())
def test_factors_multiply_to_the_ratio_whatever_happened(
    latency: float, clock: float, throughput: float, memory: float, other_build: bool
) -> None:
    card = {"agent": "another"} if other_build else {}
    second = measured(6.0 * latency, clock=clock, throughput=throughput, memory=memory, **card)
    found = explained(measured(6.0), second)
    order = [abs(math.log(each.factor)) for name, each in found.items() if name != "residual"]
    assert order == sorted(order, reverse=True) and list(found)[-1] == "residual"
    assert sum(each.named for each in found.values() if each.name in ("work", "residual")) <= 1


def test_noise_alone_is_named_seldom() -> None:
    order = np.random.default_rng(3)

    def noisy() -> Conditions:
        return measured(6.0 * math.exp(order.normal(0.0, 0.01)), noise=0.03, clock=math.exp(order.normal(0.0, 0.005)))

    pairs: Sequence[dict[str, Mechanism]] = [explained(noisy(), noisy()) for _ in range(200)]
    assert sum(bool(named(each)) for each in pairs) <= 4, "by what nothing accounts for"
    assert not any(each.causes for pair in pairs for each in pair.values())


def test_counted_instructions_decide_whether_other_work_was_done():
    """Another build that runs as many is none; the same card with more of them is."""
    quick = measured(6.0, instructions=10_000_000, cycles=8_000_000)
    renamed = explained(quick, measured(6.6, instructions=10_010_000, cycles=8_800_000, runtime_version="2"))
    assert named(renamed) == ["residual"]
    assert renamed["residual"].evidence == ("cycles per instruction 1.099 x",)
    more = explained(quick, measured(6.6, instructions=11_000_000, cycles=8_800_000))
    assert named(more) == ["work"] and causes(more["work"]) == ["other code"]
    assert more["work"].evidence[0] == "instructions 1.100 x"
    built = explained(quick, measured(6.6, instructions=11_000_000, cycles=8_800_000, runtime_version="2"))
    assert causes(built["work"]) == ["build"]


def test_a_side_that_was_lent_no_counter_leaves_work_to_the_identity_card():
    found = explained(measured(6.0), measured(6.6, instructions=11_000_000, runtime_version="2"))
    assert named(found) == ["work"] and causes(found["work"]) == ["build"] and found["work"].evidence == ()


def test_a_body_that_was_warmer_is_heat_whatever_the_chip_was_at():
    """A chip is as warm as its last second: the cool phone's may be hotter than the hot one's."""

    cool, warm = measured(6.0, celsius=32.6, chip_c=46.0), measured(6.0, celsius=41.0, chip_c=46.0)
    hot = measured(9.0, clock=1.5, throughput=1.5, celsius=43.0, chip_c=45.0)
    found = explained(cool, hot)
    assert causes(found["clock"]) == ["heat"]
    assert "the body of the second was at up to 43.0 °C when its launches began" in found["clock"].causes[0].evidence
    assert causes(explained(warm, hot)["clock"]) == []


def test_one_launch_proves_nothing() -> None:
    found = explained(measured(10.0, launches=1), measured(22.0, launches=1, threads=2))
    assert named(found) == [] and found["residual"].uncertainty is None


def on_gpu(latency_ms: float, mhz: int | None, clock: float = 1.0, launches: int = 3) -> Conditions:
    """An accelerator computed; the cores' canary says ``clock`` of another part of the chip."""
    row = MonitorRow(
        name="tegrastats",
        t_ns=0,
        period_ms=500,
        cost_share=0.001,
        gpu_percent=(90,),
        gpu_mhz=(mhz,),
        memory_mhz=(None,),
        temperature_c={},
        power_mw={},
        total_rail=None,
    )
    run: RunRecord = record("net")
    whole = [trace(latency_ms * each, canary=canaries(clock=clock), rows=[row]) for each in (0.999, 1.0, 1.001)]
    traces = {
        at: Trace(
            rows=tuple(replace(it, computed_on="accelerator") if isinstance(it, LoadRow) else it for it in each.rows)
        )
        for at, each in enumerate(whole)
    }
    made = tuple(launch_record(at) for at in range(launches))
    return conditions_of(run, replace(run.series[0], launches=made), traces, discarded_too=False)


def test_where_a_gpu_computes_its_own_clock_is_what_counts() -> None:
    slower = explained(on_gpu(10.0, 918), on_gpu(15.0, 612))
    assert named(slower) == ["clock"] and slower["clock"].factor == pytest.approx(1.5)
    unseen = explained(on_gpu(10.0, None), on_gpu(10.0, None, clock=2.0))
    assert not unseen["clock"].known and named(unseen) == [], "the cores' clock moves no GPU"
    assert named(explained(on_gpu(10.0, 918, launches=1), on_gpu(15.0, 612, launches=1))) == []
