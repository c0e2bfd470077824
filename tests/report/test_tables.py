"""Tables that people paste, and what must be read with them."""

from __future__ import annotations

import csv
import io

import pytest

from edgebench.records import Result
from edgebench.report.results import identity_differences, ranked
from edgebench.report.tables import (
    CSV_HEADERS,
    CSV_RATIO_HEADERS,
    FORMATS,
    HEADERS,
    RATIO_HEADERS,
    builds_lines,
    comparison_notes,
    comparison_table,
)
from tests.report.results import result

SLOW = result("resnet50", median_ms=30.0, ci95_ms=(29.0, 31.0))
FAST = result("mobileone_s0")
ALIKE = result("mobilenetv3_large", median_ms=6.05, ci95_ms=(5.95, 6.2))
NONE = result("broken", median_ms=None, ci95_ms=None, verdict="INVALID", reasons=("none of 3 launches can be used",))


def test_rows_are_ranked_and_the_inseparable_share_a_rank() -> None:
    rows = ranked([SLOW, NONE, ALIKE, FAST])
    assert [(row.model, row.rank) for row in rows] == [
        ("mobileone_s0", 1),
        ("mobilenetv3_large", 1),
        ("resnet50", 3),
        ("broken", None),
    ]
    assert any("share a rank" in note for note in comparison_notes(rows))


def test_ratios_stand_beside_the_latencies_and_say_to_what_and_how() -> None:
    base = result("mobileone_s0")
    paired = result("resnet50", ratio=1.0234, ratio_ci95=(1.0211, 1.0262), ratio_to=base.label, design="paired")
    apart = result("vgg16", ratio_to=base.label, design="alternating: ncnn and onnxruntime are two runtimes")
    rows = list(csv.reader(io.StringIO(comparison_table([base, paired, apart], "csv"))))
    at = rows[0].index(RATIO_HEADERS[0])
    assert [row[at : at + 2] for row in rows] == [
        list(RATIO_HEADERS),
        ["1", ""],
        ["1.0234", "1.0211 to 1.0262"],
        ["n/a", "n/a"],
    ]
    notes = "\n".join(comparison_notes([base, paired, apart]))
    assert f"Ratios are to {base.label}" in notes
    assert (
        f"{apart.label} is not timed in turns with {base.label}, their launches alternate: ncnn and onnxruntime"
        in notes
    )
    assert f"{paired.label} is not" not in notes
    assert RATIO_HEADERS[0] not in comparison_table([base], "csv").splitlines()[0].split(",")
    assert [row[-2:] for row in rows] == [
        list(CSV_RATIO_HEADERS),
        ["", ""],
        [base.label, "paired"],
        [base.label, "alternating: ncnn and onnxruntime are two runtimes"],
    ]


def test_ratios_to_several_rows_say_which_is_to_which() -> None:
    base = result("mobileone_s0")
    base_ncnn = result(
        "vgg16", ratio=1.5, ratio_ci95=(1.4, 1.6), ratio_to=base.label, design="alternating: two runtimes"
    )
    other = result("resnet50", ratio=1.02, ratio_ci95=(1.01, 1.03), ratio_to=base_ncnn.label, design="paired")
    rows = list(csv.reader(io.StringIO(comparison_table([base, base_ncnn, other], "csv"))))
    at = rows[0].index(RATIO_HEADERS[0])
    assert [row[at] for row in rows[1:]] == ["1", "1.5000", "1.0200"]
    [note] = [note for note in comparison_notes([base, base_ncnn, other]) if note.startswith("Ratios are to")]
    assert f"to {base.label} (that of {base_ncnn.label}); to {base_ncnn.label} (that of {other.label})," in note


def test_a_row_of_another_run_is_nobodys_ratio_of_one() -> None:
    base = result("mobileone_s0")
    paired = result("resnet50", ratio=1.02, ratio_ci95=(1.01, 1.03), ratio_to=base.label, design="paired")
    foreign = result("vgg16", run_id="another")
    rows = list(csv.reader(io.StringIO(comparison_table([base, paired, foreign], "csv"))))
    at = rows[0].index(RATIO_HEADERS[0])
    assert [row[at] for row in rows[1:]] == ["1", "1.0200", "n/a"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_holds_every_model_and_its_verdict(name: str) -> None:
    text = comparison_table(ranked([SLOW, FAST, NONE]), name)
    for words in ("resnet50", "mobileone", "broken", "VALID", "INVALID", "n/a"):
        assert words in text.replace("\\_", "_")


def test_csv_is_read_back_by_a_csv_reader() -> None:
    rows = list(csv.reader(io.StringIO(comparison_table(ranked([SLOW, FAST]), "csv"))))
    assert tuple(rows[0]) == HEADERS + CSV_HEADERS
    assert [row[1] for row in rows[1:]] == ["mobileone_s0", "resnet50"]
    assert all(len(row) == len(rows[0]) for row in rows)


def test_an_identity_field_that_differs_is_marked() -> None:
    other = result("resnet50", identity={"os_build": "FakeOS 2", "cores": (0,)})
    notes = "\n".join(comparison_notes([FAST, other]))
    assert "NOT ALIKE in os_build" in notes
    assert "FakeOS 2" in notes
    assert "NOT ALIKE in cores" in notes


def test_another_runtime_version_of_the_same_runtime_is_marked() -> None:
    other = result("resnet50", identity={"runtime_version": "1.33.0"})
    assert any("NOT ALIKE in runtime_version" in note for note in comparison_notes([FAST, other]))


def test_what_follows_from_another_runtime_is_not_marked() -> None:
    ncnn = result("mobileone_s0", identity={"runtime": "ncnn", "runtime_version": "2026", "format": "ncnn"})
    assert not any("NOT ALIKE" in note for note in comparison_notes([FAST, ncnn]))


def test_another_input_size_is_marked_with_the_rows_that_have_it() -> None:
    small = result("resnet50", identity={"inputs": {"input": (1, 3, 4, 4)}})
    (note,) = [note for note in comparison_notes([FAST, ALIKE, small]) if "NOT ALIKE" in note]
    assert note == "NOT ALIKE in inputs: input=1x3x8x8 (2 rows); input=1x3x4x4 (resnet50-onnxruntime-fp32-t1)."


def test_fields_that_every_comparison_varies_are_not_marked() -> None:
    assert not any("NOT ALIKE" in note for note in comparison_notes([FAST, SLOW]))


def test_equal_cards_have_no_differences() -> None:
    assert identity_differences([FAST.identity, result().identity]) == {}


def test_reasons_of_a_verdict_stand_below_the_table() -> None:
    assert any("none of 3 launches" in note for note in comparison_notes([NONE]))


def built(number: int, median_ms: float | None, **options: str) -> Result:
    """A result of TensorRT, of the build of that number."""
    card = {
        "runtime": "tensorrt",
        "runtime_options": {"tf32": False, "build": number, "engine": f"e{number}"} | options,
    }
    return result(runtime="tensorrt", median_ms=median_ms, identity=card)


def test_builds_of_one_file_are_told_how_far_they_lie_apart() -> None:
    [line] = builds_lines([built(1, 4.0), built(2, 4.4), built(3, 4.2), result()])
    assert "3 builds, medians 4.000, 4.400, 4.200 ms" in line
    assert "vary by 4.8% (standard deviation), 10.0% from the fastest to the slowest" in line
    assert line in comparison_notes([built(1, 4.0), built(2, 4.4), built(3, 4.2), result()])


def test_one_build_and_builds_of_unlike_options_say_nothing_of_variance() -> None:
    assert builds_lines([built(1, 4.0), built(1, 5.0, dla="0")]) == []
    assert builds_lines([built(1, 4.0), built(2, None)]) == []
    assert builds_lines([result(), result("resnet50")]) == []
