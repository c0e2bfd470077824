"""What an artifact's key is made of: all that decides its content, found without importing PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import msgspec

from edgebench.catalog import ResolvedModel
from edgebench.errors import ModelError, NotInstalled
from edgebench.export.build import source_version
from edgebench.export.calibration import CalibrationSet
from edgebench.files import sha256_bytes, sha256_file

# The packages whose versions decide what a conversion yields.
_TOOLS = {
    "onnx": ("torch", "onnx", "onnxscript", "onnxruntime"),
    "ncnn": ("torch", "pnnx", "ncnn"),
    "torch": ("torch",),
}
_FILE_TOOLS = {"onnx": ("onnx",), "ncnn": ("ncnn",)}
# Our own code that decides the content. Its hash stands in for a version that somebody would forget to raise.
_CODE = (
    *("build", "weights", "fuse", "counts", "prepare", "reference", "forward", "pipeline", "keys"),
    *("calibration", "quantize", "graph", "onnx", "onnx_file"),
    *("ncnn", "ncnn_file", "ncnn_probe", "calls", "ncnn_sidecar", "torch_program"),
)


@dataclass(frozen=True)
class Source:
    """All that decides a network: equal sources give equal networks. ``weights_sha256`` is None for random weights."""

    model: ResolvedModel
    weights: Path | None
    weights_sha256: str | None
    input_size: tuple[int, ...] | None
    batch: int


@dataclass(frozen=True)
class Int8:
    """How a network is quantised: in the scheme of one runtime, with the ranges that it has on a calibration set."""

    scheme: str
    calibration: CalibrationSet


@dataclass(frozen=True)
class Wanted:
    """One artifact of a network: the format and the precision that its weights are stored in."""

    format: str
    precision: str
    int8: Int8 | None = None


def make_source(model: ResolvedModel, weights: Path | None, input_size: tuple[int, ...] | None, batch: int) -> Source:
    """Raises ModelError for a weights file that is not there."""
    if weights is not None and not weights.is_file():
        raise ModelError(f"there is no weights file {weights}", hint="check the path given to --weights")
    return Source(model, weights, sha256_file(weights) if weights else None, input_size, batch)


def version_of(model: ResolvedModel) -> str | None:
    """What decides the network behind the name: a package's version, a file's hash. None for a user's own factory.

    Raises NotInstalled where the package is missing.
    """
    if model.path is None:
        return source_version(model.build)
    if model.kind == "ncnn":
        files = [model.path, model.path.with_suffix(".bin")]
    else:
        from edgebench.export.onnx_file import files_of

        files = files_of(model.path)
    return sha256_bytes("".join(sha256_file(path) for path in files).encode())


def artifact_key(source: Source, wanted: Wanted, version: str) -> str:
    """The key of what ``source`` gives in the wanted form. Raises NotInstalled where a converter is missing."""
    model = source.model
    facts = {
        "name": model.name,
        "build": model.path.name if model.path else model.build,
        "version": version,
        "inputs": model.inputs,
        "weights": source.weights_sha256,
        "input_size": source.input_size,
        "batch": source.batch,
        "format": wanted.format,
        "precision": wanted.precision,
        "int8": wanted.int8 and (wanted.int8.scheme, wanted.int8.calibration.sha256),
        "tools": tool_versions(model, wanted.format),
        "code": _code_hash(),
    }
    return sha256_bytes(msgspec.json.encode(facts, order="deterministic"))[:32]


def tool_versions(model: ResolvedModel, format_name: str) -> dict[str, str]:
    """Package -> version of what makes this format. Raises NotInstalled."""
    found = {}
    for package in (_FILE_TOOLS if model.path else _TOOLS)[format_name]:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            raise NotInstalled(
                f"{package} is not installed; {format_name} artifacts need it",
                hint="run: pip install 'edgebench[export]'",
            ) from None
    return found


@cache
def _code_hash() -> str:
    """The hash of the modules of this package that decide what an artifact holds."""
    here = Path(__file__).parent
    return sha256_bytes(b"".join((here / f"{name}.py").read_bytes() for name in _CODE))
