"""What export makes: converted files, where their layers came from, and the proof that they compute the same."""

from __future__ import annotations

from typing import Literal

from edgebench.records.base import Record, TensorSpec

ARTIFACT_SCHEMA = 1
# The name of an artifact's record in its folder.
MANIFEST = "artifact.json"


class ArtifactFile(Record, frozen=True, kw_only=True):
    """A file of an artifact, relative to its folder. ``role`` is what a runtime asks for (onnx, param, bin, …)."""

    role: str
    path: str
    sha256: str
    size_bytes: int


class WeightsInfo(Record, frozen=True, kw_only=True):
    """Where the weights came from. ``sha256`` is over the state dict's names and bytes (or the user's file)."""

    kind: Literal["random", "checkpoint", "in-file"]
    description: str
    sha256: str


class Quantization(Record, frozen=True, kw_only=True):
    """How an int8 artifact was made: Q/DQ as the runtime ``scheme`` fuses them, ranges of the ``samples`` of a set.

    ``sha256`` is over the set's files. None of this is known of a file that came quantised.
    """

    scheme: str
    samples: int
    sha256: str


class ModelIdentity(Record, frozen=True, kw_only=True):
    """Which network this is. ``source`` is the build string or the file; ``source_version`` the package's version.

    ``params`` and ``macs`` are of the form that is timed (fused); 0 where they could not be counted.
    """

    name: str
    family: str
    source: str
    source_version: str
    reparameterized: bool
    params: int
    macs: int


class ParityCheck(Record, frozen=True, kw_only=True):
    """One comparison. ``error_relative`` = max|a-b| / max|b| over all outputs and batches, the worst of them."""

    step: Literal["fuse", "onnxruntime", "ncnn", "torch", "tensorrt"]
    against: str
    error_relative: float
    tolerance_relative: float
    batches: int
    precision: str
    threads: int | None = None
    runtime_version: str | None = None
    options: dict[str, str | int | float | bool] = {}
    passed: bool
    note: str = ""


class Fidelity(Record, frozen=True, kw_only=True):
    """How faithful the timed thing is to PyTorch: the checks, or why there are none."""

    checks: tuple[ParityCheck, ...] = ()
    not_checked: str | None = None


class Artifact(Record, frozen=True, kw_only=True):
    """artifact.json of one folder in the cache.

    ``reference_inputs[b]`` and ``reference_outputs[b]`` name the raw little-endian files of batch ``b`` in the order of
    ``inputs`` and ``outputs``; parity on any runtime, thread count or device is held against them without PyTorch.
    """

    schema: int = ARTIFACT_SCHEMA
    key: str
    model: ModelIdentity
    weights: WeightsInfo
    format: Literal["onnx", "ncnn", "torch"]
    precision: str
    quantization: Quantization | None = None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    files: tuple[ArtifactFile, ...]
    reference_inputs: tuple[tuple[str, ...], ...] = ()
    reference_outputs: tuple[tuple[str, ...], ...] = ()
    fidelity: Fidelity
    tools: dict[str, str]


class SidecarNode(Record, frozen=True, kw_only=True):
    """One node of the exported graph and the PyTorch module it came from.

    ``scopes`` are the module paths from the root to the innermost; ``weight_module`` is the path of the module that
    owns the node's weight, where it has one. ``macs`` is 0 for anything but conv, linear and matmul.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    scopes: tuple[str, ...] = ()
    weight_module: str | None = None
    macs: int = 0


class Sidecar(Record, frozen=True, kw_only=True):
    """sidecar.json: optimisers drop node metadata, so the map from graph to modules is kept beside the file.

    ``modules`` maps every module path to its class name; empty for a graph that did not come from PyTorch here, whose
    layers are then named by their nodes.
    """

    schema: int = ARTIFACT_SCHEMA
    modules: dict[str, str]
    nodes: tuple[SidecarNode, ...]
