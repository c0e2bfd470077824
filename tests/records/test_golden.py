"""Files that earlier versions wrote must stay readable: one golden file per format and version."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from edgebench.records import Artifact, Baseline, CheckDocument, Explanation, Plan, ResultDocument, RunRecord, Sidecar
from edgebench.records.migrate import decode_versioned, decode_versioned_trace
from edgebench.records.schema import FORMATS, json_schemas
from tests.records.examples import DOCUMENTS, GOLDEN, golden_bytes, golden_path
from tests.records.launch_examples import TRACE

KINDS = {
    "plan": Plan,
    "run": RunRecord,
    "artifact": Artifact,
    "sidecar": Sidecar,
    "result": ResultDocument,
    "check": CheckDocument,
    "explanation": Explanation,
    "baseline": Baseline,
}
GOLDEN_FILES = sorted(GOLDEN.iterdir())


@pytest.mark.parametrize("path", GOLDEN_FILES, ids=lambda path: path.name)
def test_a_golden_file_of_any_version_still_decodes(path: Path):
    name = path.name.partition("_v")[0]
    if name == "trace":
        assert decode_versioned_trace(path.read_bytes(), path=path.name).complete
    else:
        assert decode_versioned(KINDS[name], path.read_bytes(), path=path.name) is not None


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_golden_file_of_the_present_version_decodes_to_what_it_was_made_from(name: str):
    assert decode_versioned(KINDS[name], golden_path(name).read_bytes(), path=name) == DOCUMENTS[name]


def test_the_golden_trace_decodes_to_what_it_was_made_from():
    assert decode_versioned_trace(golden_path("trace").read_bytes(), path="trace") == TRACE


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_today_is_what_the_golden_file_holds(name: str):
    assert golden_path(name).read_bytes() == golden_bytes(name), (
        "the format changed: raise its version and add a migration, or, while the version is not released, "
        "run: python -m tests.records.examples"
    )


@pytest.mark.parametrize("name", FORMATS)
def test_a_golden_file_is_valid_by_the_published_schema(name: str):
    validator = jsonschema.Draft202012Validator(json_schemas()[name])
    text = golden_path(name).read_text()
    for document in text.splitlines() if name == "trace" else [text]:
        validator.validate(json.loads(document))
