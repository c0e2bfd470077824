"""What an artifact's key is made of: all that decides its content, found without importing PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from edgebench.catalog import ResolvedModel
from edgebench.errors import ModelError, NotInstalled
from edgebench.export.build import source_version
from edgebench.files import sha256_bytes, sha256_file

# The packages whose versions decide what a conversion yields.
TOOLS = {
    "onnx": ("torch", "onnx", "onnxscript", "onnxruntime"),
    "ncnn": ("torch", "pnnx", "ncnn"),
    "torch": ("torch",),
}
_FILE_TOOLS = {"onnx": ("onnx",), "ncnn": ("ncnn",)}
# Our own code that decides the content. Its hash stands in for a version that somebody would forget to raise.
_CODE = ("build", "weights", "fuse", "counts", "graph", "onnx", "ncnn", "onnx_file", "ncnn_file", "torch_program")
_CODE_ALSO = ("reference", "prepare", "pipeline", "keys")


@dataclass(frozen=True)
class Wanted:
    """One artifact of a model: the format and the precision that its weights are stored in."""

    format: str
    precision: str = "fp32"


def artifact_key(
    model: ResolvedModel,
    wanted: Wanted,
    *,
    weights: Path | None,
    input_size: tuple[int, ...] | None,
    batch: int,
    content: str | None = None,
) -> str | None:
    """The key, or None for a user's factory until ``content`` (the hash of its weights and graph) is known.

    Raises NotInstalled where a converter is missing, ModelError for a weights file that is not there.
    """
    version = file_sha256(model) if model.path else source_version(model.build)
    if version is None and content is None:
        return None
    facts: dict[str, Any] = {
        "name": model.name,
        "build": model.path.name if model.path else model.build,
        "version": version or content,
        "inputs": model.inputs,
        "weights": weights_fact(weights),
        "input_size": input_size,
        "batch": batch,
        "format": wanted.format,
        "precision": wanted.precision,
        "tools": tool_versions(model, wanted.format),
        "code": code_hash(),
    }
    return sha256_bytes(msgspec.json.encode(facts, order="deterministic"))[:32]


def tool_versions(model: ResolvedModel, format_name: str) -> dict[str, str]:
    """Package -> version of what makes this format. Raises NotInstalled."""
    packages = (_FILE_TOOLS if model.path else TOOLS)[format_name]
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            raise NotInstalled(
                f"{package} is not installed; {format_name} artifacts need it",
                hint="run: pip install 'edgebench[export]'",
            ) from None
    return found


def weights_fact(weights: Path | None) -> str:
    """``random`` (what that means is in our code, which is in the key) or the checkpoint's hash. Raises ModelError."""
    if weights is None:
        return "random"
    if not weights.is_file():
        raise ModelError(f"there is no weights file {weights}", hint="check the path given to --weights")
    return f"checkpoint {sha256_file(weights)}"


def file_sha256(model: ResolvedModel) -> str:
    """The hash over a model file and the files beside it that belong to it."""
    assert model.path is not None
    if model.kind == "ncnn":
        return sha256_bytes((sha256_file(model.path) + sha256_file(model.path.with_suffix(".bin"))).encode())
    from edgebench.export.onnx_file import files_of

    return sha256_bytes("".join(sha256_file(path) for path in files_of(model.path)).encode())


@cache
def code_hash() -> str:
    """The hash of the modules of this package that decide what an artifact holds."""
    here = Path(__file__).parent
    files = sorted(here / f"{name}.py" for name in _CODE + _CODE_ALSO)
    return sha256_bytes(b"".join(file.read_bytes() for file in files))
