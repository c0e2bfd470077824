"""The file formats as JSON Schema (2020-12), derived from the records, so that others can read and write them.

The committed copies in schemas/ are renewed with ``edgebench schema --out schemas``; a test holds them current.
"""

from __future__ import annotations

from inspect import cleandoc
from typing import Any

import msgspec

from edgebench.records.artifact import ARTIFACT_SCHEMA, Artifact, Sidecar
from edgebench.records.check import BASELINE_SCHEMA, CHECK_SCHEMA, Baseline, CheckDocument
from edgebench.records.explain import EXPLANATION_SCHEMA, Explanation
from edgebench.records.plan import PLAN_SCHEMA, Plan
from edgebench.records.result import RESULT_SCHEMA, ResultDocument
from edgebench.records.run import RUN_SCHEMA, RunRecord
from edgebench.records.trace import TRACE_SCHEMA, HeaderRow, TraceRow

_FORMATS: dict[str, tuple[int, Any, type[msgspec.Struct], str]] = {
    "plan": (PLAN_SCHEMA, Plan, Plan, "plan.json: one launch, as an agent is told about it"),
    "trace": (TRACE_SCHEMA, TraceRow, HeaderRow, "one line of trace.jsonl: what a launch wrote"),
    "run": (RUN_SCHEMA, RunRecord, RunRecord, "run.json: what a run leaves behind"),
    "artifact": (ARTIFACT_SCHEMA, Artifact, Artifact, "artifact.json: converted files and their proof"),
    "sidecar": (ARTIFACT_SCHEMA, Sidecar, Sidecar, "sidecar.json: from graph nodes to PyTorch modules"),
    "result": (RESULT_SCHEMA, ResultDocument, ResultDocument, "what --json prints of measurements"),
    "check": (CHECK_SCHEMA, CheckDocument, CheckDocument, "what --json prints of checks"),
    "explanation": (EXPLANATION_SCHEMA, Explanation, Explanation, "what explain --json prints"),
    "baseline": (BASELINE_SCHEMA, Baseline, Baseline, "a kept baseline: a result and the hash of its artifact"),
}
"""Per format: its version, its type, the record that carries the version, and what it is."""

FORMATS = tuple(_FORMATS)


def json_schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of every format by name. ``$id`` ends in the version, which the schema also demands of the data."""
    return {name: _schema(name) for name in FORMATS}


def schema_file_name(name: str) -> str:
    """The name of a format's committed schema, such as ``plan_v1.json``."""
    return f"{name}_v{_FORMATS[name][0]}.json"


def _schema(name: str) -> dict[str, Any]:
    version, kind, carrier, title = _FORMATS[name]
    # Through JSON and back: defaults that are records or tuples become what a reader of the file sees.
    schema = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(kind)))
    for definition in schema["$defs"].values():
        definition["description"] = cleandoc(definition["description"])
    record = schema["$defs"][carrier.__name__]
    # The records default to the present version when edgebench makes one; a file always states it.
    record["properties"]["schema"] = {"const": version}
    record["required"] = ["schema", *(field for field in record["required"] if field != "schema")]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:edgebench:schema:{name}:{version}",
        "title": title,
        **schema,
    }
