"""What a person reads in five seconds must be there, and true."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from edgebench.records import Fidelity, Monitored
from edgebench.report.panel import result_panel
from tests.report.results import result


def drawn(renderable: Any) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_panel_has_number_width_verdict_parity_and_weights() -> None:
    text = drawn(result_panel(result()))
    for words in (
        "6.000 ms",
        "± 1.7%",
        "VALID",
        "random weights",
        "onnxruntime ok 3.1e-07 (limit 1e-04)",
        "fp32",
    ):
        assert words in text


def test_published_latency_is_shown_with_why_it_is_not_comparable() -> None:
    text = " ".join(drawn(result_panel(result())).split())
    assert "0.79 ms published (the paper): not comparable because another device (iPhone 12 Pro, here Fake CPU)" in text


def test_suspect_shows_every_reason() -> None:
    text = drawn(result_panel(result(verdict="SUSPECT", reasons=("clock canary 1.08x", "the gate was off"))))
    assert "SUSPECT" in text
    assert "clock canary 1.08x" in text
    assert "the gate was off" in text


def test_what_could_not_be_measured_is_not_a_zero() -> None:
    text = drawn(result_panel(result(verdict="INVALID", median_ms=None, ci95_ms=None, p90_ms=None)))
    assert "n/a: no launch can be used" in text
    assert "p90 n/a" in text


def test_unchecked_parity_is_said() -> None:
    text = drawn(result_panel(result(parity=Fidelity(not_checked="a .onnx file has no PyTorch source"))))
    assert "not checked: a .onnx file has no PyTorch source" in text


def test_brackets_in_names_are_not_taken_for_markup() -> None:
    assert "[bold]" in drawn(result_panel(result(reasons=("file [bold] is odd",), verdict="SUSPECT")))


def test_what_the_device_was_like_stands_in_the_panel():
    phone = result(
        start_sensor="VIRTUAL-SKIN",
        start_c=(29.8, 31.24),
        clock_ghz=(2.801, 2.853),
        identity={
            "screen": "on and off",
            "charger": "attached",
            "launched_from": "adb shell",
            "settings": ("stay_awake",),
        },
    )
    said = " ".join(drawn(result_panel(phone)).replace("│", "").split())
    assert "VIRTUAL-SKIN at 29.8 to 31.2 °C before a launch; clock 2.80 to 2.85 GHz by its canaries;" in said
    assert "screen on and off; charger attached;" in said
    assert "changed for the run: stay_awake; launched from adb shell" in said


def test_what_a_monitor_saw_and_cost_and_what_copies_took_stand_in_the_panel():
    monitor = Monitored(name="tegrastats", cost_share=0.0042, gpu_mhz=(612, 918), power_mw=12_500.0, rail="VDD_IN")
    jetson = result(monitor=monitor, transfers_ms={"h2d": 0.25, "d2h": 0.125})
    said = " ".join(drawn(result_panel(jetson)).replace("│", "").split())
    assert "GPU at 612 to 918 MHz; 12.5 W (VDD_IN); tegrastats cost 0.4% of a core" in said
    assert "h2d 0.2500 ms, d2h 0.1250 ms, not in the latency" in said
    assert "transfers" not in drawn(result_panel(result()))


def test_a_ratio_stands_in_the_panel_with_what_it_is_to_and_how_it_came_about():
    paired = result(ratio=1.0234, ratio_ci95=(1.0211, 1.0262), ratio_to="old-ncnn-fp32-t1", design="paired")
    said = " ".join(drawn(result_panel(paired)).replace("│", "").split())
    assert "1.0234 x old-ncnn-fp32-t1 (95 %: 1.0211 to 1.0262), paired" in said
    assert "ratio  " not in drawn(result_panel(result()))


def test_what_reading_sensors_cost_stands_in_the_panel():
    said = " ".join(drawn(result_panel(result(telemetry_share=0.00042))).replace("│", "").split())
    assert "reading sensors cost 0.04% of a core" in said


def test_a_result_without_the_gate_is_marked():
    assert "GATE OFF" in drawn(result_panel(result(identity={"gate": "off"})))
    assert "GATE OFF" not in drawn(result_panel(result()))
