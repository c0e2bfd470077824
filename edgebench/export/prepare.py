"""One network ready to be converted: built, given weights, fused, counted, run for its reference. The costly part, once."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgebench.errors import ConversionFailed, ParityFailed
from edgebench.events import Emit, StageFinished, StageStarted
from edgebench.export.build import build
from edgebench.export.counts import count
from edgebench.export.fuse import FUSION_BATCHES, fuse, fusion_error
from edgebench.export.keys import Source
from edgebench.export.reference import Array, first_line, make_inputs, make_outputs, output_specs
from edgebench.export.weights import load_checkpoint, randomize, state_sha256
from edgebench.records import ModelIdentity, ParityCheck, TensorSpec, WeightsInfo

if TYPE_CHECKING:
    from torch import nn

# In float64 a right fusion agrees to 1e-10 on every network of the catalogue; rounding to float32 alone makes up to 4e-3.
FUSION_TOLERANCE = 1e-10


@dataclass(frozen=True)
class PreparedModel:
    """The fused network in fp32, its description, and seeded inputs with the outputs it computes for them."""

    module: nn.Module
    identity: ModelIdentity
    weights: WeightsInfo
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    fusion: ParityCheck
    reference_inputs: list[list[Array]]
    reference_outputs: list[list[Array]]


# Several formats of a model are converted one after the other: the last network is kept.
@lru_cache(maxsize=1)
def prepare_model(source: Source, emit: Emit) -> PreparedModel:
    """Builds, loads or randomises, fuses, checks, counts and runs the network.

    Raises NotInstalled, UnknownName, ModelError (it does not build or run, or computes NaN), CheckpointMismatch, and
    ParityFailed where fusing changed what it computes.
    """
    model = source.model
    emit(StageStarted("build", model.name))
    built = build(model.build, source.input_size, model.inputs)
    single = built.inputs
    info = load_checkpoint(built.module, source.weights) if source.weights else randomize(built.module, single)
    emit(StageFinished("build", f"{built.source_version}, {info.description}"))
    emit(StageStarted("fuse", model.name))
    module, reparameterized = fuse(built.module)
    inputs = with_batch(single, source.batch)
    # NaN in the weights would fail the fusion's check too, and there it would have the wrong name.
    reference_inputs = make_inputs(inputs)
    reference_outputs = make_outputs(module, reference_inputs)
    check = _check_fusion(built.module, module, single)
    counts = count(module, inputs)
    emit(StageFinished("fuse", f"{'re-parameterised' if reparameterized else 'nothing to fuse'}, {_said(check)}"))
    return PreparedModel(
        module=module,
        identity=ModelIdentity(
            name=model.name,
            family=model.family,
            source=model.build,
            source_version=built.source_version,
            reparameterized=reparameterized,
            params=counts.params,
            macs=counts.macs,
        ),
        weights=info,
        inputs=inputs,
        outputs=output_specs(reference_outputs[0]),
        fusion=check,
        reference_inputs=reference_inputs,
        reference_outputs=reference_outputs,
    )


def content_sha256(prepared: PreparedModel) -> str:
    """A hash of all that the network computes: its weights, and its graph with the constants in it.

    A change anywhere in a user's code that changes the computation changes it. Raises ConversionFailed where PyTorch
    cannot capture the graph.
    """
    import torch

    arguments = tuple(torch.from_numpy(array) for array in prepared.reference_inputs[0])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(prepared.module, arguments, strict=False)
    except Exception as error:
        # torch.export raises whatever a user's forward raises on symbolic tensors.
        raise ConversionFailed(
            f"PyTorch cannot capture the graph of the network: {first_line(error)}",
            hint="torch.export must accept it: no branches on the values of tensors",
        ) from error
    digest = hashlib.sha256(state_sha256(prepared.module).encode())
    digest.update(program.graph_module.code.encode())
    for name, constant in sorted(program.constants.items()):
        digest.update(name.encode())
        if isinstance(constant, torch.Tensor):
            digest.update(constant.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def with_batch(inputs: Sequence[TensorSpec], batch: int) -> tuple[TensorSpec, ...]:
    """``inputs`` with their first dimension replaced."""
    return tuple(replace(spec, shape=(batch, *spec.shape[1:])) for spec in inputs)


def _check_fusion(before: nn.Module, after: nn.Module, inputs: tuple[TensorSpec, ...]) -> ParityCheck:
    error = fusion_error(before, inputs)
    check = ParityCheck(
        step="fuse",
        against="the training form in float64",
        error_relative=error,
        tolerance_relative=FUSION_TOLERANCE,
        batches=FUSION_BATCHES,
        precision="fp64",
        passed=error <= FUSION_TOLERANCE,
    )
    if not check.passed:
        from edgebench.export.bisect import first_divergent_between

        module = first_divergent_between(before, after, make_inputs(inputs, 1)[0])
        where = f"first in module {module}" if module else "in no module that both forms share"
        raise ParityFailed(
            f"fusing changed what the network computes: {_said(check)}, {where}",
            hint="the fuse() or reparameterize() of that module is wrong; mend it, then export again",
            step="fuse",
            module=module,
        )
    return check


def _said(check: ParityCheck) -> str:
    return f"relative error {check.error_relative:.1e} (limit {check.tolerance_relative:.0e})"
