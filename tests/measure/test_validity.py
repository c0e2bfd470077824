"""Each rule by a planted fault; none may look at the latency."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from edgebench.measure.limits import limits_of
from edgebench.measure.validity import Judgement, judge, judge_conditions, judge_held
from edgebench.records import DeviceState, ErrorRow, LoadRow, MonitorRow, Plan, SensorsRow, ThermalState, Trace
from tests.measure.fakes import FACTS, REFERENCE
from tests.measure.traces import canaries, telemetry, trace

PLAN = Plan(
    plan_id="0-0", mode="measure", runtime="fake", artifacts=(), cores=(1,), work_dir="w", trace_path="w/trace.jsonl"
)


def test_an_undisturbed_launch_is_valid() -> None:
    assert judge(trace(rows=[telemetry(0), telemetry(500)]), PLAN, REFERENCE).validity == "VALID"


def test_latency_alone_never_lowers_the_verdict() -> None:
    assert judge(trace(5000.0), PLAN, REFERENCE).validity == "VALID"


@pytest.mark.parametrize(
    ("planted", "validity", "words"),
    [
        ({"canary": canaries(clock=1.03)}, "SUSPECT", "clock canary 1.03x"),
        ({"canary": canaries(clock=1.07)}, "INVALID", "clock canary 1.07x"),
        ({"canary": canaries(throughput=1.2)}, "SUSPECT", "throughput canary 1.20x"),
        ({"canary": canaries(throughput=1.6)}, "INVALID", "throughput canary 1.60x"),
        ({"canary": canaries(memory=1.8)}, "SUSPECT", "memory canary 1.80x"),
        ({"canary": canaries(interrupted=0.08)}, "SUSPECT", "interruptions of the canaries 8.0%"),
        ({"canary": canaries(interrupted=0.3)}, "INVALID", "interruptions of the canaries 30.0%"),
        ({"allowed": (0, 1)}, "INVALID", "pinned to cores 0,1, asked for 1"),
        ({"cores": (0,)}, "INVALID", "ran on cores 0, asked for 1"),
        ({"settled": False}, "SUSPECT", "had not settled"),
        ({"slept_ms": 900.0}, "INVALID", "slept for 900 ms"),
        ({"rows": [telemetry(0), telemetry(1000, steal_ms=50.0)]}, "SUSPECT", "stolen by the hypervisor 5.0%"),
        ({"rows": [telemetry(0), telemetry(1000, steal_ms=500.0)]}, "INVALID", "stolen by the hypervisor 50.0%"),
        ({"rows": [telemetry(0), telemetry(1000, cpu_time_ns=500_000_000)]}, "INVALID", "off the CPU 50.0%"),
        ({"cores": (1, 0)}, "INVALID", "ran on cores 0,1, asked for 1"),
        (
            {"rows": [telemetry(0, frequency_khz={"1": 2000}), telemetry(9, frequency_khz={"1": 1000})]},
            "SUSPECT",
            "core 1 fell by 50%",
        ),
        (
            {"rows": [telemetry(0, temperature_c={"skin": 30.0}), telemetry(9, temperature_c={"skin": 34.0})]},
            "SUSPECT",
            "skin warmed by 4.0 °C (limit 3 °C)",
        ),
    ],
)
def test_a_disturbance_is_named_with_its_figure(planted: dict[str, object], validity: str, words: str) -> None:
    judgement = judge(trace(**planted), PLAN, REFERENCE)  # type: ignore[arg-type]
    assert judgement.validity == validity
    assert any(words in reason for reason in judgement.reasons), judgement.reasons


def on_gpu(mhz: tuple[int | None, ...] = (918, 918), percent: int = 90, cost: float = 0.004) -> Trace:
    """A launch that waited while a GPU computed, and what a monitor said of it; without ``mhz`` nothing."""
    row = MonitorRow(
        name="tegrastats",
        t_ns=0,
        period_ms=500,
        cost_share=cost,
        gpu_percent=(percent,) * len(mhz),
        gpu_mhz=mhz,
        memory_mhz=(None,) * len(mhz),
        temperature_c={},
        power_mw={},
        total_rail=None,
    )
    waited = [telemetry(0), telemetry(1000, cpu_time_ns=1_000_000)]
    whole = trace(rows=[*waited, *([row] if mhz else [])])
    rows = (replace(each, computed_on="accelerator") if isinstance(each, LoadRow) else each for each in whole.rows)
    return Trace(rows=tuple(rows))


def test_waiting_for_a_gpu_is_no_disturbance_where_its_clock_stood() -> None:
    assert judge(on_gpu(), PLAN, REFERENCE) == Judgement("VALID", ())


@pytest.mark.parametrize(
    ("planted", "words"),
    [
        ({"mhz": ()}, "nothing told the GPU's clock"),
        ({"mhz": (None, None)}, "nothing told the GPU's clock"),
        ({"mhz": (918, 612, 918)}, "between 612 and 918 MHz"),
        ({"cost": 0.02}, "tegrastats took 2.0% of a core (limit 1%)"),
    ],
)
def test_a_gpu_that_was_throttled_or_not_seen_is_suspect(planted: dict[str, Any], words: str) -> None:
    judgement = judge(on_gpu(**planted), PLAN, REFERENCE)
    assert judgement.validity == "SUSPECT" and any(words in reason for reason in judgement.reasons)


def test_sensors_that_cost_too_much_are_a_disturbance() -> None:
    def read(cost_ns: int) -> Trace:
        return trace(
            rows=[
                SensorsRow(t_ns=0, period_ms=500, cores=(0,), read_cost_ns={"temperature zone0": cost_ns}, left_out=())
            ]
        )

    assert judge(read(4_000_000), PLAN, REFERENCE).validity == "VALID"
    assert judge(read(6_000_000), PLAN, REFERENCE).reasons == ("reading sensors took 1.2% of a core (limit 1%)",)


def test_waiting_is_a_disturbance_where_the_cores_compute() -> None:
    waited = trace(rows=[telemetry(0), telemetry(1000, cpu_time_ns=1_000_000)])
    assert judge(waited, PLAN, REFERENCE).validity == "INVALID"


def test_the_clock_of_an_idle_gpu_says_nothing() -> None:
    judgement = judge(on_gpu((306, 918), percent=0), PLAN, REFERENCE)
    assert "nothing told the GPU's clock" in judgement.reasons[0]


def test_a_launch_that_timed_nothing_has_failed() -> None:
    assert judge(trace(iterations=0), PLAN, REFERENCE).validity == "FAILED"


def test_a_chip_that_warms_under_load_is_no_disturbance() -> None:
    """A junction rises by 20 °C within seconds of any work, on every device."""
    zones = [telemetry(0, temperature_c={"BIG": 40.0}), telemetry(9, temperature_c={"BIG": 65.0})]
    assert judge(trace(rows=zones), PLAN, REFERENCE).validity == "VALID"


def test_the_worst_finding_decides_and_all_are_told() -> None:
    judgement = judge(trace(canary=canaries(clock=1.03), slept_ms=900.0), PLAN, REFERENCE)
    assert judgement.validity == "INVALID"
    assert len(judgement.reasons) == 2


def test_a_trace_without_its_end_is_failed() -> None:
    assert judge(trace(end=False), PLAN, REFERENCE).validity == "FAILED"


def test_an_agents_own_error_is_the_reason() -> None:
    rows = (*trace(end=False).rows, ErrorRow(t_ns=0, code="load", message="no such file"))
    judgement = judge(Trace(rows=rows), PLAN, REFERENCE)
    assert judgement.validity == "FAILED"
    assert judgement.reasons == ("load: no such file",)


def test_without_a_reference_nothing_vouches_for_the_launch() -> None:
    assert judge(trace(), PLAN, None).validity == "SUSPECT"


def test_canaries_of_another_kind_are_not_compared() -> None:
    from msgspec.structs import replace

    judgement = judge(trace(canary=canaries(clock=5.0)), PLAN, replace(REFERENCE, source="numpy"))
    assert judgement.validity == "SUSPECT"
    assert "not comparable" in judgement.reasons[0]


def test_workers_that_wait_for_each_other_are_no_disturbance() -> None:
    from msgspec.structs import replace

    waiting = trace(rows=[telemetry(0), telemetry(1000, cpu_time_ns=500_000_000)])
    assert judge(waiting, replace(PLAN, threads=2), REFERENCE).validity == "VALID"


def test_a_single_thread_that_wanders_within_its_cores_is_suspect() -> None:
    from msgspec.structs import replace

    wandering = trace(cores=(0, 1), allowed=(0, 1))
    judgement = judge(wandering, replace(PLAN, cores=(0, 1)), REFERENCE)
    assert judgement.validity == "SUSPECT"
    assert judgement.reasons == ("moved between cores 0,1",)


def test_a_runtime_that_pins_its_own_workers_elsewhere_is_invalid() -> None:
    from msgspec.structs import replace

    whole = trace()
    rows = tuple(replace(row, resolved={"cores": "0,1"}) if isinstance(row, LoadRow) else row for row in whole.rows)
    judgement = judge(Trace(rows=rows), PLAN, REFERENCE)
    assert judgement.validity == "INVALID"
    assert "may use cores 0,1" in judgement.reasons[0]


def test_readings_of_zero_break_nothing() -> None:
    still = [telemetry(0, frequency_khz={"1": 0}), telemetry(0, frequency_khz={"1": 0})]
    assert judge(trace(rows=still), PLAN, REFERENCE).validity == "VALID"


@pytest.mark.parametrize(
    ("busy_ms", "validity", "words"),
    [
        (1900.0, "VALID", ""),
        (2040.0, "SUSPECT", "other processes on these cores 7.0% (limit 5%)"),
        (2700.0, "INVALID", "other processes on these cores 40.0% (limit 10%)"),
        (None, "VALID", ""),
    ],
)
def test_with_several_threads_the_work_of_others_on_their_cores_is_seen(
    busy_ms: float | None, validity: str, words: str
) -> None:
    from msgspec.structs import replace

    rows = [telemetry(0, cores_busy_ms=0.0), telemetry(1000, cpu_time_ns=1_900_000_000, cores_busy_ms=busy_ms)]
    judgement = judge(trace(rows=rows, cores=(0, 1), allowed=(0, 1)), replace(PLAN, threads=2, cores=(0, 1)), REFERENCE)
    assert (judgement.validity, "; ".join(judgement.reasons)) == (validity, words)


def test_a_virtual_machines_clock_may_move_further_than_a_phones() -> None:
    guest, phone = replace(FACTS, virtual=True), replace(FACTS, virtual=False)
    moved = trace(canary=canaries(clock=1.03))
    assert judge(moved, PLAN, REFERENCE, limits_of(guest)).validity == "VALID"
    assert judge(moved, PLAN, REFERENCE, limits_of(phone)).validity == "SUSPECT"
    assert limits_of(replace(FACTS, virtual=None)) == limits_of(phone)


def test_one_slow_row_of_the_clock_in_a_launch_moves_no_median_and_no_verdict() -> None:
    rows = [canaries(when="between"), canaries(clock=1.2, when="after")]
    assert judge(trace(rows=rows), PLAN, REFERENCE).validity == "VALID"
    rows = [canaries(clock=1.2, when="between"), canaries(clock=1.2, when="after")]
    assert judge(trace(rows=rows), PLAN, REFERENCE).validity == "INVALID"


def test_a_core_that_was_idle_at_the_first_sample_did_not_throttle() -> None:
    speeds = (500_000, 2_800_000, 2_800_000, 2_800_000)
    rows = [telemetry(500 * at, frequency_khz={"1": khz}) for at, khz in enumerate(speeds)]
    assert judge(trace(rows=rows), PLAN, REFERENCE).validity == "VALID"
    rows = [telemetry(500 * at, frequency_khz={"1": khz}) for at, khz in enumerate((2_800_000, *[2_000_000] * 3))]
    assert "core 1 fell by 29%" in judge(trace(rows=rows), PLAN, REFERENCE).reasons[0]


def test_only_a_status_that_somebody_would_notice_lowers_a_launch() -> None:
    fine = judge(trace(), PLAN, REFERENCE)
    assert judge_conditions(fine, DeviceState(), ThermalState(status=1)).validity == "VALID"
    assert "moderate" in judge_conditions(fine, DeviceState(), ThermalState(status=2)).reasons[0]


def test_a_load_that_is_held_may_be_throttled_and_may_not_be_disturbed() -> None:
    def held(**planted: float) -> Judgement:
        return judge_held(trace(canary=canaries(**planted)), PLAN, REFERENCE)

    assert held(clock=1.8, throughput=1.8).validity == "VALID", "that is what it is there for"
    assert "other work on the core in 100% of the canaries" in held(throughput=1.5).reasons[0]
    assert judge_held(trace(), PLAN, None).validity == "SUSPECT"
    competing = trace(rows=[telemetry(0), telemetry(1000, cpu_time_ns=600_000_000)])
    assert judge_held(competing, PLAN, REFERENCE).validity == "SUSPECT", "never INVALID: it is the only one"
    assert judge_held(on_gpu((918, 612)), PLAN, None).validity == "VALID", "the cores only wait for it"
