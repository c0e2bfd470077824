"""What follows from knowing which nodes a kernel computes: names, shares, sums."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebench.analyze.attribution import NOBODY, Credit, ExportedGraph, profile_record
from edgebench.errors import InvalidFile
from edgebench.records import LayersRow, LayerTiming, Sidecar, SidecarNode


def node(op: str, inputs: str, outputs: str, scope: str = "", weight: str | None = None, macs: int = 0) -> SidecarNode:
    scopes = tuple(scope.split(".")[:end] for end in range(len(scope.split(".")) + 1)) if scope else ([],)
    return SidecarNode(
        name=f"{op}:{outputs}",
        op=op,
        inputs=tuple(inputs.split()),
        outputs=tuple(outputs.split()),
        scopes=tuple(".".join(parts) for parts in scopes),
        weight_module=weight,
        macs=macs,
    )


def graph(*nodes: SidecarNode, **classes: str) -> ExportedGraph:
    modules = {"": "Net"} | {path.replace("__", "."): kind for path, kind in classes.items()}
    return ExportedGraph(Sidecar(modules=modules, nodes=nodes))


def layers(*kernels: tuple[str, tuple[int, ...]], bytes_moved: int | None = 10) -> LayersRow:
    return LayersRow(
        artifact=0,
        t_ns=0,
        total_ns=tuple(5_000_000 for _ in kernels[0][1]) if kernels else (),
        layers=tuple(
            LayerTiming(name=f"k{i}", op=op, times_ns=times, bytes_moved=bytes_moved)
            for i, (op, times) in enumerate(kernels)
        ),
    )


def test_a_region_ends_at_the_values_of_other_kernels() -> None:
    made = graph(node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Add", "r s", "a"), node("Relu", "a", "y"))
    assert [each.op for each in made.region(["y"], {"r"})] == ["Add", "Relu"]
    assert [each.op for each in made.region(["y"], set())] == ["Conv", "Relu", "Add", "Relu"]


def test_what_made_a_tensor_whose_shape_alone_is_read_is_not_in_the_region() -> None:
    made = graph(node("Conv", "x w", "c"), node("Shape", "c", "n"), node("Reshape", "z n", "y"))
    assert [each.op for each in made.region(["y"], set())] == ["Shape", "Reshape"]


def test_the_anchor_is_of_the_kernels_type_then_heavy_then_weighted_then_last() -> None:
    conv, norm, relu = node("Conv", "x w", "c", macs=9), node("Norm", "c", "n", weight="n"), node("Relu", "n", "y")
    made = graph(conv, norm, relu)
    assert made.anchor((conv, norm, relu), "Relu") is relu
    assert made.anchor((conv, norm, relu), "FusedConv") is conv
    assert made.anchor((norm, relu), "Conv") is norm
    assert made.anchor((relu,), "Gelu") is relu
    assert made.anchor((), "Gelu") is None


def test_among_several_products_the_one_with_the_most_work_is_the_anchor() -> None:
    small, large = node("MatMul", "a b", "c", macs=1), node("MatMul", "x y", "z", macs=5)
    assert graph(large, small).anchor((large, small), "Attention") is large


def test_a_convolution_that_took_in_its_batch_norm_is_named_by_its_weight() -> None:
    conv = node("Conv", "x w", "y", "stem.bn", "stem.conv")
    made = graph(conv, stem__conv="Conv2d", stem__bn="BatchNorm2d")
    assert made.module_of(conv) == "stem.conv"
    assert made.others((conv,), "stem.conv") == ("stem.bn",)


def test_branches_whose_equal_weights_are_stored_once_keep_their_own_names() -> None:
    left = node("Conv", "x w", "a", "left.bn", "left.conv")
    right = node("Conv", "x w", "b", "right.bn", "left.conv")
    plain = node("Conv", "x w", "c", "third", "left.conv")
    kinds = {f"{side}__{leaf}": kind for side in ("left", "right") for leaf, kind in LEAVES.items()}
    made = graph(left, right, plain, third="Conv2d", **kinds)
    assert [made.module_of(each) for each in (left, right, plain)] == ["left.conv", "right.conv", "third"]


LEAVES = {"conv": "Conv2d", "bn": "BatchNorm2d"}


def test_one_convolution_called_under_two_norms_stays_one_module() -> None:
    calls = [node("Conv", f"x{level} w", f"y{level}", f"norms.{level}", "head.conv") for level in (0, 1)]
    made = graph(*calls, head__conv="Conv2d", norms__0="BatchNorm2d", norms__1="BatchNorm2d")
    assert [made.module_of(each) for each in calls] == ["head.conv", "head.conv"]


def test_a_norm_is_named_by_its_scope_since_equal_norms_share_the_first_ones_weight() -> None:
    second = node("LayerNormalization", "x w", "y", "norm2", "norm1")
    assert graph(second, norm1="LayerNorm", norm2="LayerNorm").module_of(second) == "norm2"


def test_a_graph_without_modules_is_named_by_its_nodes() -> None:
    named, unnamed = node("Conv", "x w", "y", "a"), SidecarNode(name="", op="Relu", inputs=("y",), outputs=("z",))
    made = ExportedGraph(Sidecar(modules={}, nodes=(named, unnamed)))
    assert [made.module_of(each) for each in (named, unnamed)] == ["Conv:y", "z"]


def test_kernels_of_one_module_and_type_are_one_row_with_the_median_of_their_sums() -> None:
    row = layers(("Conv", (1, 9, 5)), ("Conv", (9, 1, 5)), ("Relu", (2, 2, 2)))
    credited = [
        Credit("m", "kernel", macs=3, fused=("b",)),
        Credit("m", "kernel", macs=4, fused=("b", "c")),
        Credit("m", "layout"),
    ]
    record = profile_record(row, credited)
    first, second = record.layers
    assert (first.ms, first.macs, first.bytes, first.fused) == (pytest.approx(10e-6), 7, 20, ("b", "c"))
    assert first.kernels == ("k0", "k1")
    assert (second.kind, second.share) == ("layout", pytest.approx(2 / 12))
    assert (record.layer_sum_ms, record.profiled_ms, record.iterations) == (pytest.approx(12e-6), 5.0, 3)
    assert (record.attributed_share, record.layout_share) == (pytest.approx(1), pytest.approx(2 / 12))


def test_what_nobody_owns_is_a_row_of_its_own_and_lowers_the_attributed_share() -> None:
    record = profile_record(layers(("Conv", (3,)), ("Mystery", (1,))), [Credit("m", "kernel"), NOBODY])
    assert record.layers[1].kind == "unattributed"
    assert record.attributed_share == pytest.approx(0.75)


def test_bytes_are_unknown_where_one_kernels_are() -> None:
    record = profile_record(layers(("Conv", (3,)), bytes_moved=None), [Credit("m", "kernel")])
    assert record.layers[0].bytes is None


@pytest.mark.parametrize(
    "row",
    [layers(), layers(("Conv", ())), layers(("Conv", (1, 2)), ("Relu", (1,)))],
    ids=["no kernel", "none", "uneven"],
)
def test_a_profile_whose_iterations_do_not_line_up_is_refused(row: LayersRow) -> None:
    with pytest.raises(InvalidFile, match="layers"):
        profile_record(row, [NOBODY] * len(row.layers))


@given(
    st.integers(1, 5).flatmap(
        lambda n: st.lists(
            st.tuples(
                st.sampled_from(["a", "b", "c"]),
                st.sampled_from(["Conv", "Relu"]),
                st.sampled_from(["kernel", "layout", "unattributed"]),
                st.lists(st.integers(1, 10**9), min_size=n, max_size=n).map(tuple),
            ),
            min_size=1,
            max_size=12,
        )
    )
)
def test_no_time_and_no_work_is_lost_or_counted_twice(kernels: list) -> None:
    row = layers(*((op, times) for _, op, _, times in kernels))
    credited = [Credit(module, kind, macs=7) for module, _, kind, _ in kernels]
    record = profile_record(row, credited)
    assert sum(each.share for each in record.layers) == pytest.approx(1)
    assert sum(each.macs for each in record.layers) == 7 * len(kernels)
    assert sorted(name for each in record.layers for name in each.kernels) == sorted(k.name for k in row.layers)
    assert [each.ms for each in record.layers] == sorted((each.ms for each in record.layers), reverse=True)
    assert 0 <= record.layout_share <= record.attributed_share + 1e-9 <= 1 + 2e-9
