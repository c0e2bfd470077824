"""The weights of a network: a checkpoint loaded strictly, or seeded random values that still behave like a network."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from edgebench.errors import CheckpointMismatch, ModelError
from edgebench.export.build import seeded
from edgebench.export.fuse import evaluating, fuse
from edgebench.export.reference import first_line, make_inputs, run_module
from edgebench.files import sha256_file
from edgebench.records import TensorSpec, WeightsInfo

if TYPE_CHECKING:
    import torch
    from torch import nn

CALIBRATION_BATCHES = 4
CALIBRATION_BATCH = 4
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.")
_LISTED = 10


def load_checkpoint(module: nn.Module, path: Path) -> WeightsInfo:
    """Loads a .safetensors file, or a state dict saved by torch.save, into ``module`` (in its training form), strictly.

    Wrappers (``state_dict``, ``model_state_dict``, ``model``) and the prefixes of DataParallel and torch.compile are taken off.
    Only the batch counters of BatchNorm may be missing: evaluation does not use them. ``sha256`` is the file's.
    ``module`` is untouched where anything does not fit.

    Raises ModelError for a file that is absent or no checkpoint, CheckpointMismatch with the keys that do not fit.
    """
    given = _state_of(_read(path), path)
    own = module.state_dict()
    _check_fit(module, own, given, path)
    module.load_state_dict({name: given.get(name, value) for name, value in own.items()}, strict=True)
    return WeightsInfo(kind="checkpoint", description=f"checkpoint {path.name}", sha256=sha256_file(path))


def randomize(module: nn.Module, inputs: tuple[TensorSpec, ...], seed: int = 0) -> WeightsInfo:
    """Keeps the weights of construction, makes constant ones vary, and gives BatchNorm real statistics.

    Networks are often constructed with whole branches scaled by zero and every bias zero: a conversion that lost them would
    pass a comparison. Such constants become seeded values around their role (scales 0.5 to 1.5, biases of deviation
    0.1). BatchNorm's statistics are then the average over a few batches of normal noise, so that activations
    stay of order one through any depth. The same construction and seed give the same bytes on the same kind of CPU.
    """
    with seeded(seed):
        _vary_constants(module)
    calibrate(module, inputs)
    return WeightsInfo(kind="random", description=f"random weights, seed {seed}", sha256=state_sha256(module))


def trained_like(module: nn.Module, inputs: tuple[TensorSpec, ...], seed: int = 0) -> WeightsInfo:
    """Overwrites the weights with values distributed as training with weight decay leaves them.

    Convolution and linear weights: heavy-tailed (Laplace), the scale of each output channel log-normal (sigma 0.5), one channel
    in fifty nearly dead (scale 1e-3), the smallest tenth of each tensor exactly zero. BatchNorm shifts are mostly negative,
    so that about two thirds of the values after a ReLU are zero. No value is denormal. To see whether random weights
    time alike.
    """
    import torch
    from torch import nn

    with seeded(seed), torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.modules.conv._ConvNd | nn.Linear):
                _train_like(part.weight)
            if _is_batch_norm(part) and part.affine:
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.normal_(part.bias, -0.4, 0.3)
    calibrate(module, inputs)
    description = f"random weights distributed like trained ones, seed {seed}"
    return WeightsInfo(kind="random", description=description, sha256=state_sha256(module))


def calibrate(module: nn.Module, inputs: tuple[TensorSpec, ...]) -> None:
    """Sets every BatchNorm's statistics to their average over a few seeded batches of normal noise; nothing else changes.

    Batches of four, as the statistics of one value have no variance. One thread, as the order of summation changes the bytes.
    Raises ModelError where the network does not run on ``inputs``.
    """
    evaluating(module)
    norms = [part for part in module.modules() if _is_batch_norm(part)]
    if not norms:
        run_module(module, make_inputs(inputs, 1)[0])
        return
    wide = [TensorSpec(name=spec.name, shape=(CALIBRATION_BATCH, *spec.shape[1:]), dtype=spec.dtype) for spec in inputs]
    try:
        with _one_thread(), _collecting(norms):
            for arrays in make_inputs(wide, CALIBRATION_BATCHES):
                run_module(module, arrays)
    except ModelError as error:
        hint = f"BatchNorm's random weights need batches of {CALIBRATION_BATCH}: let the batch vary, or give --weights"
        raise ModelError(error.message, hint=f"{error.hint}; {hint}") from error


def state_sha256(module: nn.Module) -> str:
    """Hex SHA-256 over the state dict: names in order, element types, shapes and bytes."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items(), key=lambda item: item[0]):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _read(path: Path) -> object:
    """What is in the file, without running code from it."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ModelError(f"there is no checkpoint {path}", hint="check the path after --weights")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, EOFError, RuntimeError, KeyError, ValueError, pickle.UnpicklingError) as error:
        hint = "save the tensors alone: torch.save(model.state_dict(), 'weights.pth'), or .safetensors"
        raise ModelError(f"{path} cannot be read as weights: {first_line(error)}", hint=hint) from error


def _state_of(value: object, path: Path) -> dict[str, torch.Tensor]:
    """The state dict inside its wrappers, keys without the prefixes that all of them share."""
    import torch

    while isinstance(value, Mapping):
        inner = next((value[key] for key in _WRAPPERS if isinstance(value.get(key), Mapping)), None)
        if inner is None:
            break
        value = inner
    if not isinstance(value, Mapping) or not value or not all(isinstance(v, torch.Tensor) for v in value.values()):
        hint = f"it may be wrapped under one of: {', '.join(_WRAPPERS)}"
        raise ModelError(f"{path} holds no state dict (names mapped to tensors)", hint=hint)
    state = dict(value)
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _check_fit(
    module: nn.Module, own: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor], path: Path
) -> None:
    """Raises CheckpointMismatch unless every tensor of ``own`` is given in its shape, and nothing else is."""
    missing = [name for name in own if name not in given and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in given if name not in own]
    misshapen = [
        f"{name} (model {_shape(own[name])}, file {_shape(given[name])})"
        for name in own
        if name in given and own[name].shape != given[name].shape
    ]
    parts = [("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen)]
    problems = [f"{len(names)} {what}: {_first(names)}" for what, names in parts if names]
    if not problems:
        return
    hint = "give the checkpoint of this very variant, with the same number of classes"
    if set(unexpected) & (set(fuse(module)[0].state_dict()) - set(own)):
        hint = "the file is in the fused (deploy) form; give the checkpoint in the training form, edgebench fuses it itself"
    raise CheckpointMismatch(f"{path} does not fit the model; {'; '.join(problems)}", hint=hint)


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape) or "scalar"


def _first(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")


def _is_batch_norm(part: nn.Module) -> TypeGuard[nn.BatchNorm2d]:
    from torch import nn

    # SyncBatchNorm refuses to collect statistics without a process group.
    return isinstance(part, nn.modules.batchnorm._BatchNorm) and not isinstance(part, nn.SyncBatchNorm)


def _is_norm(part: nn.Module) -> bool:
    from torch import nn

    return isinstance(part, nn.modules.batchnorm._NormBase | nn.LayerNorm | nn.GroupNorm | nn.RMSNorm)


def _vary_constants(module: nn.Module) -> None:
    """Replaces parameters whose elements are all equal by seeded values; scalars keep theirs (they are temperatures)."""
    import torch

    with torch.no_grad():
        for part in module.modules():
            for name, parameter in part.named_parameters(recurse=False):
                if parameter.numel() < 2 or bool((parameter != parameter.flatten()[0]).any()):
                    continue
                value = float(parameter.flatten()[0])
                if value == 0 and not (_is_norm(part) and name == "weight"):
                    parameter.normal_(0, 0.1)
                else:
                    scale = max(abs(value), 0.1) if value else 1.0
                    parameter.uniform_(0.5, 1.5).mul_(scale if value >= 0 else -scale)


def _train_like(weight: torch.Tensor) -> None:
    import torch

    channels, fan_in = weight.shape[0], weight[0].numel()
    laplace = torch.distributions.Laplace(0.0, (1 / fan_in) ** 0.5).sample(weight.shape)
    scale = torch.randn(channels).mul(0.5).exp()
    scale[torch.rand(channels) < 0.02] = 1e-3
    laplace *= scale.view(-1, *[1] * (weight.dim() - 1))
    laplace[laplace.abs() < laplace.abs().flatten().kthvalue(max(1, laplace.numel() // 10)).values] = 0.0
    weight.copy_(laplace)


@contextmanager
def _collecting(norms: list[Any]) -> Iterator[None]:
    """BatchNorms that take a plain average of what passes through them, and nothing else in training mode."""
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
