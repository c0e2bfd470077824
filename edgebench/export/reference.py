"""Seeded inputs and the outputs that PyTorch computes for them: what every runtime is held against, without PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from edgebench.errors import ModelError
from edgebench.export.forward import forward
from edgebench.files import full_disk_is_said
from edgebench.records import TensorSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import nn

# A string, so that numpy is imported by those who compute alone.
Array: TypeAlias = "npt.NDArray[np.generic]"

BATCHES = 3
SEED = 20_260_101


def make_inputs(inputs: Sequence[TensorSpec], batches: int = BATCHES) -> list[list[Array]]:
    """Seeded inputs, ``batches`` sets in the order of ``inputs``: N(0, 1) for floats, 0 or 1 for integers and booleans.

    Zero and one are admissible indices almost everywhere. The same specs give the same values in every process.
    """
    import numpy as np

    sets = []
    for batch in range(batches):
        arrays = []
        for index, spec in enumerate(inputs):
            rng = np.random.default_rng([SEED, batch, index])
            dtype = np.dtype(spec.dtype)
            if dtype.kind == "f":
                arrays.append(rng.standard_normal(spec.shape, dtype=np.float32).astype(dtype))
            else:
                arrays.append(rng.integers(0, 2, size=spec.shape).astype(dtype))
        sets.append(arrays)
    return sets


def run_module(module: nn.Module, arrays: Sequence[Array]) -> list[Array]:
    """``forward`` for numpy: the outputs of one set of inputs. Raises ModelError as it does."""
    import torch

    outputs = forward(module, [torch.from_numpy(array) for array in arrays])
    return [output.contiguous().numpy() for output in outputs]


def make_outputs(module: nn.Module, batches: Sequence[Sequence[Array]]) -> list[list[Array]]:
    """What ``module`` computes for every set of inputs. Raises ModelError naming the module where NaN or inf begin."""
    import numpy as np

    results = []
    for arrays in batches:
        outputs = run_module(module, arrays)
        if not all(np.isfinite(output).all() for output in outputs):
            where = _first_not_finite(module, arrays)
            raise ModelError(
                f"the PyTorch model itself computes NaN or infinity, first in {where}",
                hint="check the weights; a model that is not finite in PyTorch has nothing to be compared with",
            )
        results.append(outputs)
    return results


def output_specs(outputs: Sequence[Array]) -> tuple[TensorSpec, ...]:
    """Names for the outputs: ``output`` for one, ``output_0`` … for several."""
    names = ["output"] if len(outputs) == 1 else [f"output_{index}" for index in range(len(outputs))]
    return tuple(
        TensorSpec(name=name, shape=tuple(array.shape), dtype=str(array.dtype))
        for name, array in zip(names, outputs, strict=True)
    )


def save_tensors(folder: Path, stem: str, batches: Sequence[Sequence[Array]]) -> tuple[tuple[str, ...], ...]:
    """Writes raw little-endian files ``<stem>_<batch>_<index>.bin`` and returns their names. Raises NoSpace."""
    names = []
    with full_disk_is_said(folder):
        for batch, arrays in enumerate(batches):
            row = []
            for index, array in enumerate(arrays):
                name = f"{stem}_{batch}_{index}.bin"
                little = array.astype(array.dtype.newbyteorder("<"), copy=False)
                (folder / name).write_bytes(little.tobytes())
                row.append(name)
            names.append(tuple(row))
    return tuple(names)


def read_tensor(path: Path, shape: Sequence[int], dtype: str) -> Array:
    """A raw little-endian tensor. Raises ModelError when its size is not that of ``shape``."""
    import numpy as np

    kind = np.dtype(dtype).newbyteorder("<")
    # Writable memory: PyTorch warns of any other.
    data = bytearray(path.read_bytes())
    expected = kind.itemsize * int(np.prod(shape, dtype=np.int64))
    if len(data) != expected:
        raise ModelError(
            f"{path.name} holds {len(data)} bytes where {expected} belong",
            hint="export the model again with --rebuild",
        )
    return np.frombuffer(data, dtype=kind).reshape(tuple(shape))


def first_line(error: BaseException) -> str:
    """The first line of an error that says something, at most 300 characters, for a message of one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


def _first_not_finite(module: nn.Module, arrays: Sequence[Array]) -> str:
    import torch

    found: list[str] = []

    def watch(path: str) -> Callable[[object, object, object], None]:
        def hook(_module: object, _inputs: object, output: object) -> None:
            if isinstance(output, torch.Tensor) and not bool(torch.isfinite(output).all()):
                found.append(path)

        return hook

    handles = [child.register_forward_hook(watch(path)) for path, child in module.named_modules() if path]
    try:
        run_module(module, arrays)
    finally:
        for handle in handles:
            handle.remove()
    return f"module {found[0]}" if found else "the outputs"
