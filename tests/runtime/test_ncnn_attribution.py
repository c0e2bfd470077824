"""ncnn's layers by PyTorch module, through the real converter, the real harness and the planted networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgebench.analyze.attribution import ExportedGraph
from edgebench.device.host import HostDevice
from edgebench.errors import ConversionFailed, InvalidFile
from edgebench.records import Artifact, LayersRow, LayerTiming, Plan, ProfileRecord, Schedule, Sidecar
from edgebench.records.codec import decode
from edgebench.runtime import get_runtime
from edgebench.runtime.launcher import HostLauncher, plan_artifact
from edgebench.runtime.ncnn.attribution import attribute, credit
from edgebench.runtime.ncnn.param import read_param
from edgebench.transport.local import LocalTransport
from tests.planted_networks import PLANTED, export_planted

# pnnx drops operators of these: no ncnn network, no layers.
NOT_ON_NCNN = {"attention_products", "attention_qkv"}


def profile(artifact: Artifact, folder: Path, work: Path) -> ProfileRecord:
    work.mkdir()
    plan = Plan(
        plan_id="planted",
        mode="profile",
        runtime="ncnn",
        artifacts=(plan_artifact(artifact, folder),),
        options=get_runtime("ncnn").options("fp32", 1),
        cores=HostDevice().default_cores(1),
        schedule=Schedule(measure_ms=100, settle_max_ms=0),
        work_dir=str(work),
        trace_path=str(work / "trace.jsonl"),
    )
    trace = HostLauncher(LocalTransport()).launch(plan)
    return get_runtime("ncnn").attribute(artifact, folder, trace.of(LayersRow)[0])


@pytest.mark.parametrize("name", sorted(PLANTED.keys() - NOT_ON_NCNN))
def test_the_module_that_was_made_costly_comes_out_on_top_and_everything_is_credited(name: str, tmp_path: Path):
    folder = tmp_path / "artifact"
    folder.mkdir()
    artifact = export_planted(name, folder, "ncnn")
    found = profile(artifact, folder, tmp_path / "work")
    assert found.layers[0].module == PLANTED[name].costly
    assert found.attributed_share > 0.999


@pytest.mark.parametrize("name", sorted(NOT_ON_NCNN))
def test_a_network_that_pnnx_would_cut_has_no_artifact_to_profile(name: str, tmp_path: Path):
    with pytest.raises(ConversionFailed):
        export_planted(name, tmp_path, "ncnn")


def test_every_multiply_accumulate_is_credited_once(tmp_path: Path):
    artifact = export_planted("residual_main", tmp_path, "ncnn")
    files = {file.role: tmp_path / file.path for file in artifact.files}
    sidecar = decode(Sidecar, files["sidecar"].read_bytes(), path="")
    credited = credit(ExportedGraph(sidecar), read_param(files["param"]))
    assert sum(each.macs for each in credited.values()) == sum(node.macs for node in sidecar.nodes) > 0


def test_a_layer_without_a_value_of_pytorchs_belongs_to_what_reads_it(tmp_path: Path):
    artifact = export_planted("residual_main", tmp_path, "ncnn")
    files = {file.role: tmp_path / file.path for file in artifact.files}
    sidecar = decode(Sidecar, files["sidecar"].read_bytes(), path="")
    layers = read_param(files["param"])
    middle = next(layer for layer in layers if layer.kind == "BinaryOp")
    forgotten = Sidecar(
        modules=sidecar.modules, nodes=tuple(node for node in sidecar.nodes if middle.outputs[0] not in node.outputs)
    )
    credited = credit(ExportedGraph(forgotten), layers)
    reader = next(layer for layer in layers if middle.outputs[0] in layer.inputs)
    assert credited[middle.name].module == credited[reader.name].module
    assert credited[middle.name].kind == "kernel"


def test_a_network_that_did_not_come_from_pytorch_is_shown_by_its_own_layers(tmp_path: Path):
    artifact = export_planted("pooling", tmp_path, "ncnn")
    foreign = Artifact(
        **{name: getattr(artifact, name) for name in artifact.__struct_fields__ if name not in ("files",)},
        files=tuple(file for file in artifact.files if file.role != "sidecar"),
    )
    found = profile(foreign, tmp_path, tmp_path / "work")
    names = {layer.name for layer in read_param(tmp_path / "model.ncnn.param")}
    assert {row.module for row in found.layers} <= names


def test_timings_of_another_network_are_refused(tmp_path: Path):
    artifact = export_planted("pooling", tmp_path, "ncnn")
    row = LayersRow(artifact=0, t_ns=1, total_ns=(5,), layers=(LayerTiming(name="stray", op="ReLU", times_ns=(5,)),))
    with pytest.raises(InvalidFile, match="has no layer stray"):
        attribute(artifact, tmp_path, row)
