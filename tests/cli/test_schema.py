"""``edgebench schema``."""

from __future__ import annotations

import json
from pathlib import Path

from edgebench.records.schema import FORMATS, json_schemas, schema_file_name


def test_a_format_is_printed_as_its_json_schema(edgebench):
    for name in FORMATS:
        assert json.loads(edgebench("schema", name).out) == json_schemas()[name]


def test_without_a_name_the_formats_are_listed(edgebench):
    assert [line.split()[0] for line in edgebench("schema").out.splitlines()] == list(FORMATS)
    assert json.loads(edgebench("schema", "--json").out) == {"schema": 1, "formats": list(FORMATS)}


def test_an_unknown_format_suggests_the_nearest(edgebench):
    done = edgebench("schema", "plam")
    assert done.status == 1
    assert "did you mean plan?" in done.err


def test_all_schemas_are_written_to_a_folder(edgebench, tmp_path: Path):
    done = edgebench("schema", "--out", str(tmp_path / "new"))
    assert (done.status, done.out) == (0, "")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {schema_file_name(name) for name in FORMATS}
    assert edgebench("schema", "plan", "--out", str(tmp_path / "one")).status == 0
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["plan_v1.json"]


def test_writing_and_printing_at_once_is_refused(edgebench, tmp_path: Path):
    done = edgebench("schema", "--out", str(tmp_path / "new"), "--json")
    assert done.status == 2
    assert json.loads(done.out)["error"]["code"] == "usage"
    assert not (tmp_path / "new").exists()
