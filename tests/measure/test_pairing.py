"""What may be timed in turns in one process, and what the run says of what may not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgebench.measure.launching import Subject
from edgebench.measure.pairing import pairs_of
from edgebench.runtime import get_runtime
from tests.measure.fakes import subject


def on(runtime: str, precision: str = "fp32", threads: int = 1, **variant: object) -> Subject:
    found = get_runtime(runtime, variant)  # type: ignore[arg-type]
    return replace(subject(), runtime=found, options=found.options(precision, threads), threads=threads)


def why(*subjects: Subject) -> list[str | None]:
    return [pair.unpaired for pair in pairs_of(subjects, "in turns")]


def test_every_other_series_is_held_against_the_first():
    pairs = pairs_of([on("ncnn")] * 3, "in turns")
    assert [(pair.first, pair.second, pair.unpaired) for pair in pairs] == [(0, 1, None), (0, 2, None)]
    assert pairs_of([on("ncnn")], "in turns") == ()


def test_models_on_several_runtimes_are_held_against_each_other_on_each():
    pairs = pairs_of([on("onnxruntime"), on("ncnn"), on("onnxruntime"), on("ncnn")], "in turns")
    assert [(pair.first, pair.second, pair.unpaired) for pair in pairs] == [
        (0, 1, "onnxruntime and ncnn are two runtimes"),
        (0, 2, None),
        (1, 3, None),
    ]
    pairs = pairs_of([on("torch"), on("ncnn"), on("torch"), on("ncnn", "fp16"), on("ncnn")], "alternate")
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 1), (0, 2), (0, 3), (1, 4)]


def test_one_runtime_with_the_same_options_is_timed_in_turns():
    assert why(on("ncnn"), on("ncnn"), on("ncnn")) == [None, None]
    assert why(on("ncnn", threads=2), on("ncnn", threads=2)) == [None], "its networks share one pool"
    assert why(on("onnxruntime"), on("onnxruntime")) == [None]


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (on("ncnn"), on("onnxruntime"), "ncnn and onnxruntime are two runtimes"),
        (on("ncnn"), on("ncnn", "fp16"), "options differ in use_fp16_arithmetic, use_fp16_packed, use_fp16_storage"),
        (on("onnxruntime", threads=2), on("onnxruntime", threads=2), "spin against each other"),
        (on("tensorrt"), on("tensorrt"), "one engine a process"),
        (on("torch"), on("torch"), "one network a process"),
        (
            on("onnxruntime", provider="CUDAExecutionProvider"),
            on("onnxruntime", provider="CUDAExecutionProvider"),
            "on a GPU",
        ),
    ],
)
def test_what_is_not_sound_is_not_done_and_the_reason_is_kept(first: Subject, second: Subject, said: str):
    [reason] = why(first, second)
    assert reason is not None and said in reason


def test_a_person_may_ask_for_launches_that_alternate():
    [pair] = pairs_of([on("ncnn"), on("ncnn")], "alternate")
    assert pair.unpaired == "--unpaired"
