"""From a model's name to an artifact in the cache: the one way in for the verbs."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgebench.catalog import ResolvedModel
from edgebench.errors import UsageError
from edgebench.events import Emit, StageFinished, StageStarted, ignore
from edgebench.export.cache import adopt, draft, find_artifact
from edgebench.export.imported import Imported
from edgebench.export.keys import Int8, Source, Wanted, artifact_key, make_source, tool_versions, version_of
from edgebench.export.reference import Array, make_inputs, make_outputs, save_tensors
from edgebench.files import full_disk_is_said
from edgebench.records import Artifact, Fidelity, ModelIdentity, Quantization, TensorSpec, WeightsInfo
from edgebench.records.artifact import MANIFEST

if TYPE_CHECKING:
    from edgebench.export.prepare import PreparedModel

FORMATS = ("onnx", "ncnn", "torch")
PRECISIONS = ("fp32", "fp16", "int8")
_NOT_CHECKED = "the file was given as it is: there is no PyTorch model here to hold it against"


def obtain(
    model: ResolvedModel,
    *,
    format: str,  # noqa: A002  the word of the flag and of the record
    precision: str = "fp32",
    weights: Path | None = None,
    input_size: tuple[int, ...] | None = None,
    batch: int = 1,
    int8: Int8 | None = None,
    rebuild: bool = False,
    emit: Emit = ignore,
) -> tuple[Artifact, Path]:
    """The artifact and its folder, from the cache when it is there, else made now.

    A cached artifact of a catalogue, timm or torchvision model, or of a file, imports no PyTorch. A user's own factory
    is always built: only its weights and graph tell whether the cached artifact is still the same. Several formats
    of one model in a row build it once. ``int8`` says how precision int8 is made.

    Raises UsageError, ModelError and its kin (what the model or a converter cannot do), NotInstalled, CacheTampered, NoSpace.
    """
    wanted = Wanted(format, precision, int8)
    _require_sensible(model, wanted, weights, batch)
    if model.kind == "artifact":
        return _made_before(model, input_size, emit)
    source = make_source(model, weights, input_size, batch)
    version = version_of(model)
    if version is not None:
        key = artifact_key(source, wanted, version)
        found = None if rebuild else find_artifact(key)
        if found is not None:
            emit(StageFinished(f"export {format}", f"from the cache, artifact {key}"))
            return _as_named(found, model)
        if model.path is not None:
            return _import_file(source, wanted, version, key, rebuild=rebuild, emit=emit)
    from edgebench.export.prepare import content_sha256, prepare_model

    prepared = prepare_model(source, emit)
    if version is None:
        _stay_importable()
        key = artifact_key(source, wanted, content_sha256(prepared))
        found = None if rebuild else find_artifact(key)
        if found is not None:
            emit(StageFinished(f"export {format}", f"unchanged, artifact {key}"))
            return found
    return _convert(prepared, wanted, key, tool_versions(model, format), rebuild=rebuild, emit=emit)


def _made_before(model: ResolvedModel, input_size: tuple[int, ...] | None, emit: Emit) -> tuple[Artifact, Path]:
    if input_size is not None:
        raise UsageError(f"{model.path} has the input size that it has", hint="leave --input-size out")
    artifact, folder = adopt(model.path or Path())
    emit(StageFinished(f"artifact {artifact.format}", f"{model.path}, {artifact.key}"))
    return artifact, folder


def _as_named(found: tuple[Artifact, Path], model: ResolvedModel) -> tuple[Artifact, Path]:
    """A file's artifact is kept by content: another file of the same content was perhaps the first to make it."""
    artifact, folder = found
    if model.path is None:
        return found
    named = replace(artifact.model, name=model.name, family=model.family, source=model.build)
    return replace(artifact, model=named), folder


def export_to(out: Path, artifact: Artifact, folder: Path) -> Path:
    """Copies an artifact to ``out/<model>-<format>-<precision>``, whole or not at all; returns that folder.

    Replaces an artifact that is there already. Raises UsageError where something else is, NoSpace.
    """
    name = re.sub(r"[^\w.-]+", "_", artifact.model.name)
    final = out / f"{name}-{artifact.format}-{artifact.precision}"
    if final.exists() and not (final / MANIFEST).is_file():
        raise UsageError(f"{final} is there and holds no artifact", hint="remove it, or choose another --out")
    with full_disk_is_said(out):
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".edgebench-") as work:
            fresh = Path(work, "new")
            fresh.mkdir()
            for path in (MANIFEST, *(file.path for file in artifact.files)):
                shutil.copyfile(folder / path, fresh / path)
            if final.exists():
                final.rename(Path(work, "old"))
            fresh.rename(final)
    return final


def _require_sensible(model: ResolvedModel, wanted: Wanted, weights: Path | None, batch: int) -> None:
    """Raises UsageError for flags that do not go together."""
    if wanted.format not in FORMATS:
        raise UsageError(f"there is no format {wanted.format!r}", hint=f"choose from {', '.join(FORMATS)}")
    if wanted.precision not in PRECISIONS:
        raise UsageError(f"there is no precision {wanted.precision!r}", hint=f"choose from {', '.join(PRECISIONS)}")
    if batch < 1:
        raise UsageError(f"a batch of {batch} is none", hint="give --batch 1 or more")
    if wanted.format == "torch" and wanted.precision != "fp32":
        raise UsageError("the torch program is kept in fp32 alone", hint="leave torch out, or --precision fp32")
    if wanted.precision == "int8" and model.path is None:
        if wanted.format != "onnx":
            raise UsageError(
                f"int8 is made for onnx alone, not for {wanted.format}", hint="leave the other formats out"
            )
        if wanted.int8 is None:
            raise UsageError(
                "int8 takes its ranges from samples, and there are none",
                hint="give a folder of inputs as the network gets them: --calibration DIR (edgebench run --help)",
            )
    if wanted.format == "ncnn" and batch != 1:
        raise UsageError(
            f"ncnn networks have no batch dimension: there is no batch of {batch} on ncnn",
            hint="leave --batch out, or leave ncnn out",
        )
    if model.path is None:
        return
    if wanted.format != model.format:
        kind = "artifact" if model.kind == "artifact" else "file"
        raise UsageError(
            f"{model.path} is an {model.format} {kind}; it cannot become {wanted.format}", hint="give the PyTorch model"
        )
    if weights is not None:
        raise UsageError(f"{model.path} holds its own weights", hint="leave --weights out, or give the PyTorch model")
    if wanted.precision != "fp32" and model.kind != "artifact":
        raise UsageError(f"{model.path} is taken in the precision it has", hint="leave --precision out")


def _stay_importable() -> None:
    """Leaves the current folder on the path: the agent, which gets it, must find the classes of a pickled module there.

    At its end, as a file of the user's must not stand before a module of ours or of the standard library.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def _convert(
    prepared: PreparedModel, wanted: Wanted, key: str, tools: dict[str, str], *, rebuild: bool, emit: Emit
) -> tuple[Artifact, Path]:
    stage = f"export {wanted.format}"
    quantized = _quantization(wanted, prepared.inputs)
    by = f" by {quantized.samples} samples" if quantized else ""
    emit(StageStarted(stage, f"{prepared.identity.name} {wanted.precision}{by}"))
    with draft() as work:
        roles = _converter(wanted)(prepared, work.folder)
        inputs, outputs = _reference(prepared, wanted)
        names_in = save_tensors(work.folder, "input", inputs)
        names_out = save_tensors(work.folder, "output", outputs)
        artifact = Artifact(
            key=key,
            model=prepared.identity,
            weights=prepared.weights,
            format=wanted.format,  # type: ignore[arg-type]  # _require_sensible admits these three alone
            precision=wanted.precision,
            quantization=quantized,
            inputs=prepared.inputs,
            outputs=prepared.outputs,
            files=work.describe(roles | _reference_roles(names_in + names_out)),
            reference_inputs=names_in,
            reference_outputs=names_out,
            fidelity=Fidelity(checks=(prepared.fusion,)),
            tools=tools,
        )
        made = work.commit(artifact, replace=rebuild)
    emit(StageFinished(stage, f"artifact {key}"))
    return made


def _quantization(wanted: Wanted, inputs: Sequence[TensorSpec]) -> Quantization | None:
    if wanted.int8 is None:
        return None
    calibration = wanted.int8.calibration
    samples = calibration.count(inputs)
    return Quantization(scheme=wanted.int8.scheme, samples=samples, sha256=calibration.sha256)


def _reference(prepared: PreparedModel, wanted: Wanted) -> tuple[list[list[Array]], list[list[Array]]]:
    """Inputs and PyTorch's outputs that parity is held against: of an int8 artifact samples of its set, as others leave its
    ranges."""
    if wanted.int8 is None:
        return prepared.reference_inputs, prepared.reference_outputs
    inputs = wanted.int8.calibration.examples(prepared.inputs)
    wanted.int8.calibration.require_unchanged()
    return inputs, make_outputs(prepared.module, inputs)


def _converter(wanted: Wanted) -> Callable[[PreparedModel, Path], dict[str, str]]:
    if wanted.format == "torch":
        from edgebench.export.torch_program import export_torch

        return lambda made, folder: export_torch(made.module, folder)
    if wanted.format == "ncnn":
        from edgebench.export.ncnn import export_ncnn

        return lambda made, folder: export_ncnn(made.module, made.inputs, made.outputs, folder, wanted.precision)
    from edgebench.export.onnx import export_onnx

    return lambda made, folder: export_onnx(
        made.module, made.inputs, made.outputs, folder, wanted.precision, wanted.int8
    )


def _import_file(
    source: Source, wanted: Wanted, version: str, key: str, *, rebuild: bool, emit: Emit
) -> tuple[Artifact, Path]:
    model = source.model
    stage = f"import {wanted.format}"
    emit(StageStarted(stage, str(model.path)))
    with draft() as work:
        found = _importer(source)(work.folder)
        names = save_tensors(work.folder, "input", make_inputs(found.inputs))
        artifact = Artifact(
            key=key,
            model=ModelIdentity(
                name=model.name,
                family=model.family,
                source=model.build,
                source_version=f"file {version[:16]}",
                reparameterized=False,
                params=found.params,
                macs=found.macs,
            ),
            weights=WeightsInfo(kind="in-file", description="the file's own weights", sha256=version),
            format=wanted.format,  # type: ignore[arg-type]  # as above
            precision=found.precision,
            inputs=found.inputs,
            outputs=found.outputs,
            files=work.describe(found.roles | _reference_roles(names)),
            reference_inputs=names,
            fidelity=Fidelity(not_checked=_NOT_CHECKED),
            tools=tool_versions(model, wanted.format),
        )
        made = work.commit(artifact, replace=rebuild)
    emit(StageFinished(stage, f"artifact {key}"))
    return made


def _importer(source: Source) -> Callable[[Path], Imported]:
    path = source.model.path or Path()
    if source.model.kind == "ncnn":
        from edgebench.export.ncnn_file import import_ncnn

        return lambda folder: import_ncnn(path, source.input_size, folder)
    from edgebench.export.onnx_file import import_onnx

    return lambda folder: import_onnx(path, source.input_size, source.batch, folder)


def _reference_roles(names: Sequence[Sequence[str]]) -> dict[str, str]:
    """A role of its own for each reference file, so that they are hashed as all other files are."""
    return {f"reference:{name}": name for row in names for name in row}
