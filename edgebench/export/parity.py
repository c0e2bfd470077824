"""Parity: a converted model computes what PyTorch computes, with the very runtime, options and threads that are timed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import msgspec
from msgspec.structs import replace

from edgebench.errors import LaunchFailed, ParityFailed
from edgebench.events import Emit, StageFinished, StageStarted, ignore
from edgebench.export.compare import not_finite, relative_error
from edgebench.export.reference import Array, read_tensor
from edgebench.files import sha256_bytes, write_atomic
from edgebench.records import Artifact, DeviceFacts, Fidelity, OutputRow, ParityCheck, Plan
from edgebench.records.codec import decode, encode
from edgebench.runtime.base import Launcher, Runtime
from edgebench.runtime.launcher import plan_artifact

if TYPE_CHECKING:
    from edgebench.export.locate import Located

# The largest relative error that is let pass, per runtime and stored precision. Measured on x86_64 over the 17 families of
# the catalogue: ONNX Runtime at most 2.6e-5 and ncnn 3.3e-5 in fp32; earlier, with fp16 storage 5e-4 and with fp16 weights
# up to 4e-2. fp32 gets three times the worst measured: a wrong layer errs by far more.
TOLERANCE_RELATIVE = {
    ("onnxruntime", "fp32"): 1e-4,
    ("ncnn", "fp32"): 1e-4,
    ("torch", "fp32"): 1e-4,
    ("onnxruntime", "fp16"): 5e-2,
    ("ncnn", "fp16"): 5e-2,
    # Never run on a GPU by us: its fp32 sums in another order, as every other runtime's does; what trtexec writes out has six
    # digits.
    ("tensorrt", "fp32"): 1e-4,
    ("tensorrt", "fp16"): 5e-2,
    # Of 16 networks with random weights, calibrated with 8 samples of noise, 13 err by 0.01 to 0.44 (MobileOne, RepVGG and
    # EfficientNet by the most, as the trained ones are known to); RepViT and MobileNetV4 by 0.6 to 1.5: see _says_nothing. What
    # is clipped to nothing errs by 1.
    ("onnxruntime", "int8"): 0.5,
    ("tensorrt", "int8"): 0.5,
}
DEADLINE_S = 60.0
_HINT = "it is not timed; export again with --rebuild, and if it stays report the model and the versions"
_INT8_HINT = "it is not timed; give more samples, and such as the network gets in use, or leave int8 out"


@dataclass(frozen=True)
class Conditions:
    """How the timed launches will run: parity is proven for exactly this."""

    runtime: Runtime
    threads: int
    cores: tuple[int, ...]
    device: DeviceFacts
    launcher: Launcher

    def key(self, artifact: Artifact) -> str:
        """One hash for all that could change a result, and for the limit that it is held to."""
        facts = {
            "artifact": artifact.key,
            "runtime": self.runtime.name,
            "version": self.launcher.version(self.runtime),
            # Two builds of one version may differ.
            "agent": self.launcher.agent(self.runtime),
            "options": self.runtime.options(artifact.precision, self.threads),
            "threads": self.threads,
            "device": self.device.id,
            "os": self.device.os_build,
            "tolerance": tolerance(self.runtime.name, artifact.precision),
        }
        return sha256_bytes(msgspec.json.encode(facts, order="deterministic"))[:32]


def tolerance(runtime: str, precision: str) -> float:
    """The limit for this runtime and stored precision; the strict one where none was measured."""
    return TOLERANCE_RELATIVE.get((runtime, precision), 1e-4)


def with_parity(
    artifact: Artifact,
    folder: Path,
    *,
    runtime: Runtime,
    threads: int,
    cores: tuple[int, ...],
    launcher: Launcher,
    device: DeviceFacts,
    weights: Path | None = None,
    emit: Emit = ignore,
) -> Fidelity:
    """The artifact's fidelity under these conditions: a verify launch the first time, afterwards what it proved.

    Raises ParityFailed naming the first module that diverges where it can be told (``weights`` is the checkpoint, to build
    the network again for that), and whatever the launcher raises. A file without a PyTorch model behind it must at
    least give finite outputs, and so must random weights in int8, which nothing else can be asked of.
    """
    conditions = Conditions(runtime, threads, cores, device, launcher)
    stored = folder / "parity" / f"{conditions.key(artifact)}.json"
    if stored.is_file():
        return decode(Fidelity, stored.read_bytes(), path=str(stored), hint="remove that file")
    stage = f"parity {runtime.name}"
    emit(StageStarted(stage, f"{artifact.model.name} {artifact.precision}, threads: {threads}"))
    work_dir = Path(tempfile.mkdtemp(prefix="edgebench-parity-"))
    try:
        outputs = run_batches(artifact, folder, conditions, work_dir)
    except LaunchFailed:
        # Its hint names a file in this folder.
        raise
    except BaseException:
        shutil.rmtree(work_dir)
        raise
    shutil.rmtree(work_dir)
    if artifact.reference_outputs:
        check = check_parity(artifact, folder, conditions, outputs)
        said = f"relative error {check.error_relative:.1e} (limit {check.tolerance_relative:.0e})"
        fidelity = replace(artifact.fidelity, checks=(*artifact.fidelity.checks, check))
        if _says_nothing(check, artifact):
            said += ", which says nothing of random weights in int8; give a checkpoint with --weights to have it judged"
            fidelity = replace(fidelity, not_checked=f"on {check.step} {said}")
        elif not check.passed:
            raise _failure(check, artifact, folder, weights, emit)
    else:
        problem = next((text for batch in outputs for text in [not_finite(batch, artifact.outputs)] if text), None)
        if problem:
            raise _not_finite_failure(runtime.name, problem)
        said = f"outputs of {len(outputs)} seeded batches are finite on {runtime.name}"
        fidelity = replace(artifact.fidelity, not_checked=f"{artifact.fidelity.not_checked}; {said}")
    write_atomic(stored, encode(fidelity))
    emit(StageFinished(stage, said))
    return fidelity


def run_batches(artifact: Artifact, folder: Path, conditions: Conditions, work_dir: Path) -> list[list[Array]]:
    """The outputs of every reference batch from one verify launch, in the artifact's order."""
    plan = Plan(
        plan_id=f"verify-{artifact.key[:12]}-{conditions.runtime.name}",
        mode="verify",
        runtime=conditions.runtime.name,
        artifacts=(plan_artifact(artifact, folder),),
        options=conditions.runtime.options(artifact.precision, conditions.threads),
        threads=conditions.threads,
        cores=conditions.cores,
        deadline_s=DEADLINE_S,
        work_dir=str(work_dir),
        trace_path=str(work_dir / "trace.jsonl"),
    )
    rows = conditions.launcher.launch(plan).of(OutputRow)
    batches: list[list[Array]] = []
    for batch in range(len(artifact.reference_inputs)):
        by_name = {row.name: row for row in rows if row.batch == batch}
        missing = [spec.name for spec in artifact.outputs if spec.name not in by_name]
        if missing:
            step = conditions.runtime.name
            text = f"{step} did not compute the output {missing[0]} of batch {batch}"
            raise ParityFailed(text, hint=_HINT, step=step, module=None)
        wanted = [by_name[spec.name] for spec in artifact.outputs]
        batches.append([read_tensor(Path(row.path), row.shape, row.dtype) for row in wanted])
    return batches


def check_parity(
    artifact: Artifact, folder: Path, conditions: Conditions, outputs: Sequence[Sequence[Array]]
) -> ParityCheck:
    """Holds the outputs against PyTorch's. A shape that differs or a value that is not finite is an infinite error."""
    worst, note = 0.0, ""
    for batch, names in enumerate(artifact.reference_outputs):
        for spec, name, got in zip(artifact.outputs, names, outputs[batch], strict=True):
            expected = read_tensor(folder / name, spec.shape, spec.dtype)
            error, problem = relative_error(got, expected, batchless=artifact.format == "ncnn")
            if error > worst or problem:
                worst, note = error, problem and f"output {spec.name} of batch {batch} {problem}"
            if problem:
                break
        if note:
            break
    limit = tolerance(conditions.runtime.name, artifact.precision)
    return ParityCheck(
        step=cast(Literal["onnxruntime", "ncnn", "torch", "tensorrt"], conditions.runtime.name),
        against="the fused fp32 network in PyTorch",
        error_relative=worst,
        tolerance_relative=limit,
        batches=len(artifact.reference_outputs),
        precision=artifact.precision,
        threads=conditions.threads,
        runtime_version=conditions.launcher.version(conditions.runtime),
        options=conditions.runtime.options(artifact.precision, conditions.threads),
        passed=worst <= limit,
        note=note,
    )


def _says_nothing(check: ParityCheck, artifact: Artifact) -> bool:
    """Whether rounding alone explains the error: a network that was never trained amplifies it from layer to layer, some until
    nothing is left. It is timed, as a SUSPECT, since it takes as long as a trained one."""
    random = artifact.precision == "int8" and artifact.weights.kind == "random"
    return random and not check.passed and not check.note


def _failure(check: ParityCheck, artifact: Artifact, folder: Path, weights: Path | None, emit: Emit) -> ParityFailed:
    from edgebench.export.locate import locate

    emit(StageStarted("locate", f"which module of {artifact.model.name} diverges on {check.step}"))
    found: Located = locate(artifact, folder, check, weights)
    emit(StageFinished("locate", found.text))
    reason = check.note or f"relative error {check.error_relative:.1e} over the limit of {check.tolerance_relative:.0e}"
    return ParityFailed(
        f"{artifact.model.name} on {check.step} does not compute what PyTorch computes: {reason}; {found.text}",
        hint=_INT8_HINT if artifact.precision == "int8" else _HINT,
        step=check.step,
        module=found.module,
    )


def _not_finite_failure(step: str, problem: str) -> ParityFailed:
    return ParityFailed(
        f"on {step} {problem}", hint="check the file's weights; it is not timed", step=step, module=None
    )
