"""A network that takes no time, for recordings of everything but time."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def tiny_network(folder: Path) -> Path:
    """One convolution over 3x32x32 as an ncnn FILE.param."""
    lines = ["Input in0 0 1 in0 0=32 1=32 2=3", "Convolution conv 1 1 in0 out0 0=8 1=3 11=3 5=1 6=216 9=1"]
    path = folder / "tiny.param"
    path.write_text("\n".join(["7767517", "2 2", *lines]) + "\n", encoding="ascii")
    weights = np.random.default_rng(0).standard_normal(216).astype("<f4")
    # A zero first: what follows is plain float32.
    path.with_suffix(".bin").write_bytes(struct.pack("<I", 0) + weights.tobytes() + bytes(4 * 8))
    return path
