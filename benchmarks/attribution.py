"""Is layer time credited to modules, and to the right ones?

Five models: the share of kernel time credited to a named module, and for each convolution and matrix product with a weight of
its own whether the kernel really holds the weight of the module it is named by (a reordered weight keeps its values). Planted
networks: whether the leaf module that was made costly comes out on top. Exits with 1 where a bar is missed.

    .venv/bin/python -m benchmarks.attribution
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from tabulate import tabulate

from benchmarks.bench import opened
from edgebench.analyze.attribution import HEAVY_OPS, ExportedGraph
from edgebench.catalog import resolve_model
from edgebench.export.pipeline import obtain
from edgebench.measure.prepare import Bench
from edgebench.records import Artifact, LayersRow, Plan, ProfileRecord, Sidecar
from edgebench.records.codec import decode
from edgebench.runtime import get_runtime
from edgebench.runtime.launcher import plan_artifact
from edgebench.runtime.onnxruntime.graph import match_kernels, read_optimized
from tests.planted_networks import PLANTED, export_planted

BARS = {
    "mobileone_s0": 0.99,
    "mobilenetv3_large": 0.99,
    "resnet50": 0.99,
    "repvit_m0_9": 0.99,
    "mobilevit_s": 0.97,
}
HEADERS = ("network", "credited", "bar", "layout", "weights right", "costliest leaf", "share", "")


@dataclass(frozen=True)
class Profiled:
    artifact: Artifact
    folder: Path
    layers: LayersRow
    profile: ProfileRecord


def profile(artifact: Artifact, folder: Path, work: Path, bench: Bench) -> Profiled:
    """One profile launch on one default core and thread."""
    work.mkdir()
    runtime = get_runtime("onnxruntime")
    plan = Plan(
        plan_id=work.name,
        mode="profile",
        runtime=runtime.name,
        artifacts=(plan_artifact(artifact, folder),),
        options=runtime.options("fp32", 1),
        threads=1,
        cores=bench.device.default_cores(1),
        work_dir=str(work),
        trace_path=str(work / "trace.jsonl"),
    )
    layers = bench.launcher.launch(plan).of(LayersRow)[0]
    return Profiled(artifact, folder, layers, runtime.attribute(artifact, folder, layers))


def weights_right(made: Profiled) -> tuple[int, int]:
    """Of the convolution and product kernels with a constant weight, how many hold their module's, and how many there are."""
    graph_path = Path(made.layers.graph or "")
    held, exported = constants(graph_path), constants(made.folder / "model.onnx")
    sidecar = decode(Sidecar, (made.folder / "sidecar.json").read_bytes(), path="sidecar.json")
    graph = ExportedGraph(sidecar)
    of_module: dict[str, list[npt.NDArray[np.generic]]] = defaultdict(list)
    for node in sidecar.nodes:
        if node.op in HEAVY_OPS and node.inputs[1] in exported:
            of_module[graph.module_of(node)].append(exported[node.inputs[1]])
    module_of = {name: row.module for row in made.profile.layers for name in row.kernels}
    right = total = 0
    for node in match_kernels(made.layers.layers, read_optimized(graph_path)):
        if node is not None and node.op in HEAVY_OPS and node.inputs[1] in held:
            total += 1
            weight = held[node.inputs[1]]
            right += any(same_values(weight, other) for other in of_module[module_of[node.name]])
    return right, total


def constants(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def same_values(left: npt.NDArray[np.generic], right: npt.NDArray[np.generic]) -> bool:
    """Whether both hold the same values but for order and the zeros of padding."""
    a, b = (np.sort(each[each != 0], axis=None) for each in (left, right))
    return bool(np.array_equal(a, b))


def top_leaf(record: ProfileRecord) -> tuple[str, float]:
    shares: dict[str, float] = defaultdict(float)
    for row in record.layers:
        shares[row.module] += row.share
    return max(shares.items(), key=lambda item: item[1])


def line(name: str, made: Profiled, bar: float | None, costly: str | None) -> tuple[list[str], bool]:
    leaf, share = top_leaf(made.profile)
    right, total = weights_right(made)
    passed = right == total and (bar is None or made.profile.attributed_share >= bar) and costly in (None, leaf)
    cells = [
        name,
        f"{made.profile.attributed_share:.2%}",
        "" if bar is None else f"{bar:.0%}",
        f"{made.profile.layout_share:.2%}",
        f"{right} of {total}",
        leaf if costly in (None, leaf) else f"{leaf}, planted {costly}",
        f"{share:.1%}",
        "ok" if passed else "MISSED",
    ]
    return cells, passed


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    bench = opened()
    lines = []
    with tempfile.TemporaryDirectory(prefix="edgebench-attribution-") as scratch:
        for name, bar in BARS.items():
            artifact, folder = obtain(resolve_model(name)[0], format="onnx", emit=bench.emit)
            lines.append(line(name, profile(artifact, folder, Path(scratch, name), bench), bar, None))
        for name, network in PLANTED.items():
            folder = Path(scratch, f"{name}-artifact")
            folder.mkdir()
            made = profile(export_planted(name, folder), folder, Path(scratch, name), bench)
            lines.append(line(name, made, None, network.costly))
    print(tabulate([cells for cells, _ in lines], headers=HEADERS, disable_numparse=True))
    return 0 if all(passed for _, passed in lines) else 1


if __name__ == "__main__":
    raise SystemExit(main())
