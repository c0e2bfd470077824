"""The layer table and the lines under it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from edgebench.records import LayerRow, ProfileRecord, ResultLayer
from edgebench.report.layers import group_by_depth, layer_documents, layers_table, layers_text, profile_lines
from tests.report.results import result


def text(renderable: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=160, no_color=True)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


def layer(module: str, ms: float, op: str = "Conv", **changes: object) -> ResultLayer:
    values = {"kind": "kernel", "share": ms / 10, "macs": 1_000_000, "bytes": 500_000} | changes
    return ResultLayer(module=module, op=op, ms=ms, **values)


ROWS = (
    layer("stages.0.conv", 4.0, fused=("stages.0.bn", "stages.0.act", "stages.0", "stages.1.act")),
    layer("stages.0.act", 2.0, "Gelu", macs=0),
    layer("stages.1.conv", 1.0, bytes=None),
    layer("stages.1.conv", 0.5, "ReorderOutput", kind="layout", macs=0),
    layer("", 0.4, "Add", macs=0),
    layer("", 0.1, "Mystery", kind="unattributed", macs=0),
)


def test_documents_derive_rates_and_come_slowest_first() -> None:
    def row(ms: float, macs: int, size: int | None) -> LayerRow:
        return LayerRow(module="m", op="Conv", kind="kernel", ms=ms, share=0.5, macs=macs, bytes=size, fused=("bn",))

    profile = ProfileRecord(
        layers=(row(0.5, 0, 8), row(2.0, 3_000_000, 1_500_000), row(0.25, 1000, None)),
        layer_sum_ms=2.75,
        profiled_ms=3.0,
        iterations=30,
        attributed_share=1.0,
        layout_share=0.0,
    )
    heavy, idle, unsized = layer_documents(profile)
    assert (heavy.gflop_per_s, heavy.macs_per_byte, heavy.fused) == (pytest.approx(3.0), pytest.approx(2.0), ("bn",))
    assert (idle.gflop_per_s, idle.macs_per_byte) == (None, None)
    assert unsized.gflop_per_s == pytest.approx(0.008)
    assert unsized.macs_per_byte is None


def test_groups_add_up_and_keep_conversions_and_the_unattributed_apart() -> None:
    groups = {(row.module, row.kind): row for row in group_by_depth(ROWS, 1)}
    assert set(groups) == {("stages", "kernel"), ("stages", "layout"), ("", "kernel"), ("", "unattributed")}
    stages = groups["stages", "kernel"]
    assert (stages.ms, stages.share, stages.macs) == (pytest.approx(7.0), pytest.approx(0.7), 2_000_000)
    assert (stages.op, stages.bytes, stages.fused) == ("Conv, Gelu", None, ())
    assert sum(row.ms for row in groups.values()) == pytest.approx(sum(row.ms for row in ROWS))


def test_a_group_lists_only_the_fused_modules_outside_it_and_the_rate_of_its_sum() -> None:
    group = next(row for row in group_by_depth(ROWS, 2) if row.module == "stages.0")
    assert group.fused == ("stages.1.act",)
    assert group.gflop_per_s == pytest.approx(2 * 1e6 / 6e6)
    assert group.macs_per_byte == pytest.approx(1.0)


def test_node_names_of_a_plain_graph_group_by_their_slashes() -> None:
    rows = [layer("/layer1/conv/Conv", 1.0), layer("/layer1/act/Relu", 1.0), layer("/layer2/Conv", 1.0)]
    assert [row.module for row in group_by_depth(rows, 1)] == ["/layer1", "/layer2"]


def test_the_table_marks_conversions_the_root_and_what_nobody_owns() -> None:
    shown = text(layers_table(ROWS))
    assert "stages.1.conv [layout]" in shown
    assert "(model)" in shown
    assert "(unattributed)" in shown
    assert "stages.0.bn, stages.0.act, stages.0 and 1 more" in shown
    assert "n/a" in next(line for line in shown.splitlines() if line.startswith("stages.1.conv "))


def test_the_rest_is_added_up_but_the_unattributed_always_has_its_own_row() -> None:
    shown = text(layers_table(ROWS, top=2))
    assert "(3 more rows)" in shown
    assert "1.900" in next(line for line in shown.splitlines() if "more rows" in line)
    assert "(unattributed)" in shown
    assert "(model)" not in shown


def test_a_single_row_too_many_is_shown_instead_of_added_up() -> None:
    assert "more rows" not in text(layers_table(ROWS, top=len(ROWS) - 1))


def test_the_lines_hold_the_layer_sum_and_the_profiler_against_the_unprofiled_latency() -> None:
    measured = result(
        median_ms=6.0, layer_sum_ms=6.3, profiled_ms=6.6, attributed_share=0.995, layout_share=0.04, layers=ROWS
    )
    lines = "\n".join(profile_lines(measured))
    assert "layer sum 6.300 ms, 105.0% of the unprofiled latency (6.000 ms)" in lines
    assert "profiler's cost +10.0% (6.600 ms" in lines
    assert "99.5% of the layer time is credited to a module; 4.0% is layout" in lines
    assert lines.splitlines()[0] in text(layers_text(measured))


def test_without_an_unprofiled_latency_the_profilers_cost_is_not_available() -> None:
    lines = "\n".join(profile_lines(result(median_ms=None, layer_sum_ms=6.3, profiled_ms=6.6)))
    assert "profiler's cost n/a" in lines


def test_a_result_without_layers_says_why() -> None:
    shown = text(layers_text(result(layers=(), not_profiled="layers on ncnn need the native harness")))
    assert "not profiled: layers on ncnn need the native harness" in shown


def test_layers_of_a_disturbed_run_say_so() -> None:
    assert not any("disturbed" in line for line in profile_lines(result()))
    assert any("the run is SUSPECT" in line for line in profile_lines(result(verdict="SUSPECT")))
