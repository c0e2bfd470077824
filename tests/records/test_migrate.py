"""A file of an earlier version is brought up to date; one of a later version is refused."""

from __future__ import annotations

import msgspec
import pytest

from edgebench.errors import InvalidFile
from edgebench.records import Plan, Trace
from edgebench.records.migrate import decode_versioned, decode_versioned_trace, present_version
from tests.records.examples import golden_bytes, trace_bytes
from tests.records.launch_examples import PLAN, TRACE


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A made-up format in its third version: ``text`` was ``words`` in 1, and ``lang`` came with 3."""

    text: str
    lang: str
    schema: int = 3


CHAIN = {
    1: lambda old: {"text": old["words"]},
    2: lambda old: {**old, "lang": "en"},
}


def test_every_step_of_the_chain_is_applied_in_order():
    note = decode_versioned(Note, b'{"schema": 1, "words": "hello"}', path="note", migrations=CHAIN)
    assert note == Note(text="hello", lang="en")


def test_a_chain_is_entered_where_the_file_stands():
    note = decode_versioned(Note, b'{"schema": 2, "text": "hello"}', path="note", migrations=CHAIN)
    assert note == Note(text="hello", lang="en")


def test_the_present_version_passes_no_migration():
    note = decode_versioned(Note, b'{"schema": 3, "text": "hello", "lang": "de"}', path="note", migrations=CHAIN)
    assert note == Note(text="hello", lang="de")


def test_a_newer_version_is_refused_with_the_advice_to_upgrade():
    with pytest.raises(InvalidFile, match="version 2 is newer than 1") as caught:
        decode_versioned(Plan, golden_bytes("plan").replace(b'"schema": 1', b'"schema": 2'), path="plan.json")
    assert "upgrade edgebench" in caught.value.hint
    assert caught.value.where == "$.schema"


def test_a_version_from_which_no_migration_leads_is_refused():
    with pytest.raises(InvalidFile, match="version 1 can no longer be read"):
        decode_versioned(Note, b'{"schema": 1, "words": "hello"}', path="note", migrations={2: CHAIN[2]})


@pytest.mark.parametrize("version", ["", '"schema": "3",', '"schema": null,', '"schema": true,', '"schema": 1.5,'])
def test_a_file_without_a_version_number_is_refused(version: str):
    with pytest.raises(InvalidFile, match="no version number"):
        decode_versioned(Note, f'{{{version} "text": "a", "lang": "b"}}'.encode(), path="note", migrations=CHAIN)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"null"])
def test_what_is_no_json_object_is_refused_by_name(data: bytes):
    with pytest.raises(InvalidFile, match=r"^note\.json"):
        decode_versioned(Note, data, path="note.json", migrations=CHAIN)


def test_a_migrated_file_is_still_decoded_strictly():
    with pytest.raises(InvalidFile, match="unknown field `colour`"):
        decode_versioned(Note, b'{"schema": 2, "text": "hello", "colour": "red"}', path="note", migrations=CHAIN)


def test_a_trace_of_the_present_version_is_read_as_it_is():
    assert decode_versioned_trace(trace_bytes(), path="trace") == TRACE


def test_a_trace_of_a_newer_version_is_refused_before_its_rows_are_looked_at():
    newer = trace_bytes().replace(b'"schema":1', b'"schema":2') + b'{"type":"weather"}\n'
    with pytest.raises(InvalidFile, match="version 2 is newer than 1") as caught:
        decode_versioned_trace(newer, path="trace")
    assert "upgrade edgebench" in caught.value.hint


def test_a_trace_of_an_older_version_is_migrated_row_by_row():
    older = trace_bytes().replace(b'"schema":1', b'"schema":0').replace(b'"iterations_ns"', b'"times_ns"')

    def rename(old):
        for row in old["rows"]:
            if row["type"] == "warmup":
                row["iterations_ns"] = row.pop("times_ns")
        return old

    assert decode_versioned_trace(older, path="trace", migrations={0: rename}) == TRACE
    with pytest.raises(InvalidFile, match="version 0 can no longer be read"):
        decode_versioned_trace(older, path="trace", migrations={})


def test_a_trace_that_a_crash_left_empty_has_no_rows():
    assert decode_versioned_trace(b"", path="trace") == Trace(rows=())
    assert decode_versioned_trace(b'{"type":"head', path="trace") == Trace(rows=())


def test_a_format_knows_its_present_version():
    assert present_version(Note) == 3
    assert present_version(Plan) == PLAN.schema
