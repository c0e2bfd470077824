"""The reference row: the fused module itself, pickled, run by PyTorch in eager mode."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

from edgebench.errors import ConversionFailed
from edgebench.export.reference import first_line
from edgebench.files import full_disk_is_said

if TYPE_CHECKING:
    import torch

FILE = "model.pt"


def export_torch(module: torch.nn.Module, folder: Path) -> dict[str, str]:
    """Pickles ``module`` into ``folder``; returns role -> file name. Raises ConversionFailed, NoSpace."""
    import torch

    buffer = io.BytesIO()
    try:
        torch.save(module, buffer)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ConversionFailed(
            f"the module cannot be pickled for the torch runtime: {first_line(error)}",
            hint="define its classes at the top level of an importable module, or leave the torch runtime out",
        ) from error
    with full_disk_is_said(folder):
        (folder / FILE).write_bytes(buffer.getvalue())
    return {"torch": FILE}
