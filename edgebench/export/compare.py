"""How far apart two sets of outputs are: the one measure that every parity step uses."""

from __future__ import annotations

from collections.abc import Sequence

from edgebench.export.reference import Array
from edgebench.records import TensorSpec


def relative_error(got: Array, expected: Array, *, batchless: bool = False) -> tuple[float, str]:
    """max|a-b| / max|b| in float64, and what makes it infinite ("" where nothing does).

    ``batchless`` lets leading dimensions of 1 differ, as a runtime without a batch dimension adds and drops them.
    """
    import numpy as np

    shapes = [_without_leading_ones(array.shape) if batchless else array.shape for array in (got, expected)]
    if shapes[0] != shapes[1]:
        return float("inf"), f"has shape {list(got.shape)} where PyTorch gives {list(expected.shape)}"
    a, b = got.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    if not np.isfinite(a).all():
        return float("inf"), f"holds {'NaN' if np.isnan(a).any() else 'infinity'}"
    if a.size == 0:
        return 0.0, ""
    difference, scale = float(np.abs(a - b).max()), float(np.abs(b).max())
    if scale == 0.0:
        return (0.0, "") if difference == 0.0 else (float("inf"), "is not zero where PyTorch gives zeros alone")
    return difference / scale, ""


def not_finite(arrays: Sequence[Array], specs: Sequence[TensorSpec]) -> str | None:
    """Says which output holds NaN or infinity, or None."""
    import numpy as np

    for spec, array in zip(specs, arrays, strict=True):
        if not np.isfinite(array).all():
            return f"the output {spec.name} holds {'NaN' if np.isnan(array).any() else 'infinity'}"
    return None


def _without_leading_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    while shape and shape[0] == 1:
        shape = shape[1:]
    return shape
