"""The published JSON Schemas say what the strict decoder says."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from edgebench.records.schema import FORMATS, json_schemas, schema_file_name
from tests.records.examples import DOCUMENTS, golden_bytes, trace_bytes

COMMITTED = Path(__file__).parents[2] / "schemas"


@pytest.mark.parametrize("name", FORMATS)
def test_the_committed_schema_is_current(name: str):
    committed = json.loads((COMMITTED / schema_file_name(name)).read_text())
    assert committed == json_schemas()[name], "renew it with: edgebench schema --out schemas"


def test_no_schema_is_committed_that_nobody_makes():
    present = {schema_file_name(name) for name in FORMATS}
    of_present_names = {path.name for path in COMMITTED.iterdir() if path.name.partition("_v")[0] not in FORMATS}
    assert not of_present_names
    assert present <= {path.name for path in COMMITTED.iterdir()}


@pytest.mark.parametrize("name", FORMATS)
def test_a_schema_is_itself_valid_and_names_its_version(name: str):
    schema = json_schemas()[name]
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:edgebench:schema:{name}:1"


def _invalid(name: str, document: dict) -> bool:
    return not jsonschema.Draft202012Validator(json_schemas()[name]).is_valid(document)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_schema_refuses_another_version_a_missing_one_and_an_unknown_key(name: str):
    document = json.loads(golden_bytes(name))
    assert not _invalid(name, document)
    assert _invalid(name, {**document, "schema": 2})
    assert _invalid(name, {key: value for key, value in document.items() if key != "schema"})
    assert _invalid(name, {**document, "colour": "red"})


def test_the_trace_schema_refuses_a_header_of_another_version_and_an_unknown_row():
    header = json.loads(trace_bytes().splitlines()[0])
    assert not _invalid("trace", header)
    assert _invalid("trace", {**header, "schema": 2})
    assert _invalid("trace", {"type": "weather", "t_ns": 1})


def test_the_result_schema_demands_what_the_readme_promises():
    demanded = json_schemas()["result"]["$defs"]["Result"]
    promised = {
        *("run_id", "model", "artifact", "target", "runtime", "precision", "threads", "weights", "median_ms"),
        *("ci95_ms", "p90_ms", "launches", "verdict", "reasons", "parity", "layers", "identity"),
    }
    assert promised <= set(demanded["properties"])
    layer = json_schemas()["result"]["$defs"]["ResultLayer"]
    assert {"module", "op", "ms", "share", "macs"} <= set(layer["required"])
