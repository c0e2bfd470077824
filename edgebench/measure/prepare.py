"""From names to things that can be launched: artifacts made and proven, one series for each combination asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgebench.catalog import ResolvedModel, resolve_model
from edgebench.device.base import Device
from edgebench.errors import EdgebenchError, LaunchFailed, ModelError, ParityFailed, PrecisionRefused, UsageError
from edgebench.events import Emit
from edgebench.measure.launching import Subject
from edgebench.records import (
    Artifact,
    DeviceFacts,
    Fidelity,
    Identity,
    NotMeasured,
    PublishedFigure,
    RunRecord,
    Series,
    ThermalState,
)
from edgebench.records.plan import Option
from edgebench.runtime import RUNTIMES, get_runtime
from edgebench.runtime.base import Launcher, Runtime
from edgebench.runtime.launcher import plan_artifact

if TYPE_CHECKING:
    from edgebench.export.calibration import CalibrationSet
    from edgebench.export.keys import Int8

_VARIANT_FLAGS = {"provider": "--provider", "dla": "--dla", "build": "--rebuilds"}


@dataclass(frozen=True)
class Request:
    """What a person asked to be measured. ``asked_runtimes`` is false where the runtimes are the target's defaults.

    ``builds`` engines are made and measured of each artifact, for the ``dla`` of that number where one is asked for;
    ``provider`` is ONNX Runtime's own name of what computes; ``calibration`` the samples that int8 takes its ranges from.
    """

    models: tuple[str, ...]
    runtimes: tuple[str, ...]
    asked_runtimes: bool
    precisions: tuple[str, ...]
    threads: int
    cores: tuple[int, ...]
    weights: Path | None = None
    input_size: tuple[int, ...] | None = None
    batch: int = 1
    rebuild: bool = False
    builds: int = 1
    dla: int | None = None
    provider: str | None = None
    calibration: Path | None = None


@dataclass(frozen=True)
class Bench:
    """The device and the way to it; what preparing and measuring share.

    ``thermometer`` reads the device's sensors. It and ``keep`` tell others who may use the device that it is still in use;
    never more than device.lock.STALE_S may pass without.
    ``launched_from`` says who starts the agent there; ``settings`` what is changed on the device while it is measured, which
    is what ``changes`` does and undoes.
    """

    device: Device
    facts: DeviceFacts
    launcher: Launcher
    thermometer: Callable[[], ThermalState]
    emit: Emit
    keep: Callable[[], None] = lambda: None
    launched_from: str = "this machine"
    settings: tuple[str, ...] = ()
    changes: Callable[[], AbstractContextManager[None]] = nullcontext


@dataclass
class Prepared:
    """Series and their subjects, index by index, and what could not be prepared with its error."""

    series: list[Series] = field(default_factory=list)
    subjects: list[Subject] = field(default_factory=list)
    failures: list[tuple[NotMeasured, EdgebenchError]] = field(default_factory=list)


def prepare(request: Request, bench: Bench) -> Prepared:
    """Exports what is not in the cache, proves each combination, and builds its series.

    A combination that cannot be made is kept as a failure while others can still be measured; when nothing is left the
    first failure is raised. Unknown names and missing runtimes are raised at once: nothing would be right after them.
    """
    calibration = _calibration_of(request)
    models = [model for name in request.models for model in resolve_model(name)]
    runtimes = [runtime for name in request.runtimes for runtime in _variants(name, request)]
    for runtime in runtimes:
        bench.launcher.prepare(runtime, bench.emit)
    prepared = Prepared()
    for model in models:
        fitting = _runtimes_for(model, runtimes, request)
        for precision in request.precisions:
            _Preparation(model, precision, request, calibration, bench, prepared).run(fitting)
    if not prepared.series:
        raise prepared.failures[0][1]
    prepared.series[:] = _told_apart(prepared.series)
    return prepared


def _told_apart(every: list[Series]) -> list[Series]:
    """Series of one label (two files of one name, a model and its baseline) with a part of their artifacts' keys, and a number
    where even that is the same."""
    labels = [each.label for each in every]
    parts = [f"{each.label}@{each.artifact[:8]}" if labels.count(each.label) > 1 else each.label for each in every]
    numbered = [
        f"{part}#{parts[:at].count(part) + 1}" if parts.count(part) > 1 else part for at, part in enumerate(parts)
    ]
    return [msgspec.structs.replace(each, label=label) for each, label in zip(every, numbered, strict=True)]


def reopen(record: RunRecord) -> list[Subject]:
    """The subjects of a stored run, from the cache. Raises CacheError where an artifact is gone or was changed."""
    from edgebench.export.cache import open_artifact

    # A user's own factory lives in the folder that the run was begun in; the agent looks where this process looks.
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    subjects = []
    for series in record.series:
        artifact, folder = open_artifact(series.artifact)
        runtime = get_runtime(series.identity.runtime, series.identity.runtime_options)
        subjects.append(_subject(artifact, folder, runtime, series.identity.threads, series.identity.cores))
    return subjects


def _calibration_of(request: Request) -> CalibrationSet | None:
    """Looked at before anything is sent or built. Raises UsageError, ModelError."""
    if request.calibration is None:
        return None
    if "int8" not in request.precisions:
        raise UsageError("only int8 is calibrated", hint="add --precision int8, or leave --calibration out")
    from edgebench.export.calibration import open_calibration

    return open_calibration(request.calibration)


def _variants(name: str, request: Request) -> list[Runtime]:
    """The runtime as often as it is to be measured. Raises UsageError for a flag that it does not have."""
    wanted = {"provider": request.provider, "dla": request.dla, "build": request.builds if request.builds > 1 else None}
    asked: dict[str, Option] = {option: value for option, value in wanted.items() if value is not None}
    if foreign := [option for option in asked if option not in get_runtime(name).variants]:
        owners = [each for each in RUNTIMES if foreign[0] in get_runtime(each).variants]
        flags = " and no ".join(_VARIANT_FLAGS[option] for option in foreign)
        raise UsageError(f"{name} has no {flags}", hint=f"that is for --runtime {','.join(owners)}")
    return [get_runtime(name, {**asked, "build": number}) for number in range(1, request.builds + 1)]


def _runtimes_for(model: ResolvedModel, runtimes: list[Runtime], request: Request) -> list[Runtime]:
    """A model file runs only on the runtimes of its format. Raises UsageError where none is left."""
    only = model.format
    if only is None:
        return runtimes
    fitting = [runtime for runtime in runtimes if runtime.format == only]
    if not fitting or (request.asked_runtimes and len(fitting) < len(runtimes)):
        names = ", ".join(runtime.name for runtime in runtimes if runtime not in fitting)
        able = " or ".join(name for name in RUNTIMES if get_runtime(name).format == only)
        raise UsageError(f"{model.name} is an {only} file; {names} cannot load it", hint=f"use --runtime {able}")
    return fitting


@dataclass
class _Preparation:
    """One model in one precision on several runtimes."""

    model: ResolvedModel
    precision: str
    request: Request
    calibration: CalibrationSet | None
    bench: Bench
    prepared: Prepared

    def run(self, runtimes: list[Runtime]) -> None:
        """Adds a series, or a failure, for each runtime."""
        before = len(self.prepared.series)
        failed: list[tuple[Runtime, EdgebenchError]] = []
        for runtime in runtimes:
            try:
                runtime.check_precision(self.precision, self.bench.facts.machine)
                self._add(runtime)
            except (ModelError, PrecisionRefused, LaunchFailed, UsageError) as error:
                # A usage error, too, may be of this runtime alone: ncnn has no --batch.
                failed.append((runtime, error))
        measurable = len(self.prepared.series) > before
        for runtime, failure in failed:
            self._failed(runtime, failure, measurable)

    def _add(self, runtime: Runtime) -> None:
        from edgebench.export.parity import with_parity
        from edgebench.export.pipeline import obtain

        request, bench = self.request, self.bench
        bench.keep()
        # What is asked of a model that is built is not asked of one beside it that was made before.
        made = self.model.kind == "artifact" and len(request.models) > 1
        artifact, folder = obtain(
            self.model,
            format=runtime.format,
            precision=self.precision,
            weights=None if made else request.weights,
            input_size=None if made else request.input_size,
            batch=request.batch,
            int8=self._int8(runtime),
            rebuild=request.rebuild,
            emit=bench.emit,
        )
        # A file has the precision that it has, whatever was asked for.
        runtime.check_precision(artifact.precision, bench.facts.machine)
        bench.keep()
        fidelity = with_parity(
            artifact,
            folder,
            runtime=runtime,
            threads=request.threads,
            cores=request.cores,
            launcher=bench.launcher,
            device=bench.facts,
            weights=None if made else request.weights,
            emit=bench.emit,
        )
        subject = _subject(artifact, folder, runtime, request.threads, request.cores)
        self.prepared.series.append(_series(self.model.published, subject, fidelity, bench))
        self.prepared.subjects.append(subject)

    def _int8(self, runtime: Runtime) -> Int8 | None:
        from edgebench.export.keys import Int8

        if self.precision != "int8" or self.calibration is None:
            return None
        scheme = runtime.int8_scheme(self.bench.facts.machine)
        if scheme is None:
            raise PrecisionRefused(
                f"networks are not quantised here for {runtime.name}{runtime.variant}",
                hint="use --precision fp32, or another --runtime or --provider",
            )
        return Int8(scheme, self.calibration)

    def _failed(self, runtime: Runtime, error: EdgebenchError, measurable: bool) -> None:
        """A default runtime that cannot take a model that another can is no failure of the request; all else is."""
        asked = self.request.asked_runtimes or not measurable or isinstance(error, ParityFailed)
        record = NotMeasured(
            model=self.model.name,
            runtime=runtime.name,
            precision=self.precision,
            code=error.code,
            message=error.message,
            hint=error.hint,
            asked=asked,
        )
        self.prepared.failures.append((record, error))


def _subject(artifact: Artifact, folder: Path, runtime: Runtime, threads: int, cores: tuple[int, ...]) -> Subject:
    return Subject(
        artifact=artifact,
        folder=folder,
        planned=plan_artifact(artifact, folder),
        runtime=runtime,
        options=runtime.options(artifact.precision, threads),
        threads=threads,
        cores=cores,
    )


def _series(published: tuple[PublishedFigure, ...], subject: Subject, fidelity: Fidelity, bench: Bench) -> Series:
    artifact = subject.artifact
    return Series(
        label=f"{artifact.model.name}-{subject.runtime.name}-{artifact.precision}-t{subject.threads}{subject.runtime.variant}",
        model=artifact.model,
        weights=artifact.weights,
        artifact=artifact.key,
        inputs=artifact.inputs,
        fidelity=fidelity,
        published=published,
        identity=_identity(subject, bench),
    )


def _calibration(artifact: Artifact) -> str | None:
    made = artifact.quantization
    return f"{made.samples} samples, sha256 {made.sha256[:16]}, Q/DQ for {made.scheme}" if made else None


def _identity(subject: Subject, bench: Bench) -> Identity:
    """The card before the first launch; ``completed_identity`` adds what only a launch can tell."""
    artifact, facts = subject.artifact, bench.facts
    return Identity(
        model=artifact.model.name,
        model_source=artifact.model.source,
        model_source_version=artifact.model.source_version,
        weights=artifact.weights.description,
        weights_sha256=artifact.weights.sha256,
        reparameterized=artifact.model.reparameterized,
        artifact=artifact.key,
        format=artifact.format,
        precision_stored=artifact.precision,
        calibration=_calibration(artifact),
        precision_computed=None,
        runtime=subject.runtime.name,
        runtime_version=bench.launcher.version(subject.runtime),
        runtime_options=dict(subject.options),
        inputs={spec.name: spec.shape for spec in artifact.inputs},
        threads=subject.threads,
        cores=subject.cores,
        agent="n/a",
        canary_source=None,
        gate="n/a",
        device_id=facts.id,
        device_model=facts.model,
        soc=facts.soc,
        os_build=facts.os_build,
        machine=facts.machine,
        governor=facts.governor,
        power_source=facts.power_source,
        launched_from=bench.launched_from,
        settings=bench.settings,
    )
