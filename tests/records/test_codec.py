"""Strict decoding names what is wrong and where; a cut trace keeps its whole rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebench.errors import InvalidFile
from edgebench.records import Plan, TargetSpec
from edgebench.records.codec import convert, decode, decode_trace, encode
from tests.records.examples import trace_bytes
from tests.records.launch_examples import PLAN, TRACE

WHOLE = trace_bytes()


def test_a_record_survives_being_written_and_read():
    assert decode(Plan, encode(PLAN), path="plan.json") == PLAN
    assert encode(PLAN).endswith(b"}\n")


def test_a_wrong_type_is_told_with_the_path_to_the_key():
    data = encode(PLAN).replace(b'"warmup_window": 5', b'"warmup_window": "five"')
    with pytest.raises(InvalidFile) as caught:
        decode(Plan, data, path="plan.json")
    assert caught.value.where == "$.schedule.warmup_window"
    assert str(caught.value) == "plan.json at $.schedule.warmup_window: Expected `int`, got `str`"


def test_an_unknown_key_is_refused():
    with pytest.raises(InvalidFile, match="unknown field `colour`"):
        decode(Plan, encode(PLAN).replace(b'"threads"', b'"colour"'), path="plan.json")


def test_a_value_outside_its_range_is_refused_with_its_path():
    value = {"name": "host", "summary": "s", "platform": "host", "runtimes": ["ncnn"], "gate": {"max_wait_s": -1.0}}
    with pytest.raises(InvalidFile) as caught:
        convert(TargetSpec, value, path="host.yaml", hint="mend it")
    assert caught.value.where == "$.gate.max_wait_s"
    assert caught.value.hint == "mend it"


@given(st.integers(min_value=0, max_value=len(WHOLE)))
def test_a_trace_cut_anywhere_keeps_exactly_its_whole_rows(length: int):
    rows = decode_trace(WHOLE[:length], path="trace").rows
    assert rows == TRACE.rows[: WHOLE[:length].count(b"\n")]


@given(st.binary(max_size=60))
def test_bytes_that_are_no_trace_raise_invalid_file_and_nothing_else(data: bytes):
    try:
        trace = decode_trace(data + b"\n", path="trace")
    except InvalidFile:
        return
    assert trace.rows == ()


def test_a_broken_row_in_the_middle_names_its_line():
    lines = WHOLE.splitlines(keepends=True)
    lines[2] = b'{"type":"canaries"}\n'
    with pytest.raises(InvalidFile, match=r"trace\.jsonl line 3"):
        decode_trace(b"".join(lines), path="trace.jsonl")


def test_a_trace_without_its_end_is_not_complete():
    assert TRACE.complete
    assert not decode_trace(WHOLE[:-2], path="trace").complete
