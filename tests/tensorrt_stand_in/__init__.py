"""Stand-ins for NVIDIA's Python package ``tensorrt`` and for ``libcudart``: no GPU, no engine, and no time that is a GPU's.

lay_out(folder)                 # compiles the library
environment(folder)             # the variables with which a Python finds both
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_HERE = Path(__file__).parent


def lay_out(folder: Path) -> None:
    """Compiles the CUDA runtime's stand-in into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(folder / "libcudart.so")]
    subprocess.run([*words, str(_HERE / "cudart.c")], check=True, timeout=60)


def environment(folder: Path) -> dict[str, str]:
    """With these a Python finds the package and the library before any others."""
    before = os.environ.get("PYTHONPATH")
    return {
        "PYTHONPATH": os.pathsep.join([str(_HERE), *([before] if before else [])]),
        "LD_LIBRARY_PATH": str(folder),
    }
