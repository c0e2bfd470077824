"""TensorRT: engines are built, timed and profiled on the device, and what its programs print is read here."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from edgebench.errors import NotInstalled, PrecisionRefused
from edgebench.events import Emit
from edgebench.records import Artifact, LayersRow, ProfileRecord
from edgebench.records.plan import Option


class TensorRt:
    """NVIDIA's TensorRT by its own ``trtexec`` or its Python package, on boards and GPU machines at the other end of ssh.

    ``build`` tells engines of the same file apart: the builder chooses kernels by timing them, and no two need be alike.
    ``dla`` is the number of a Jetson's deep learning accelerator that computes what it can, *off* for the GPU alone.
    """

    name = "tensorrt"
    format = "onnx"
    not_profiled: str | None = None
    variants: tuple[str, ...] = ("build", "dla")

    def __init__(self, build: Option = 1, dla: Option = "off") -> None:
        self._build = build
        self._dla = dla
        self.variant = ("" if dla == "off" else f"-dla{dla}") + ("" if build == 1 else f"-b{build}")

    def require_installed(self, emit: Emit) -> None:
        """There is none beside Python here. Raises NotInstalled."""
        del emit
        self._refuse()

    def agent_command(self) -> list[str]:
        """Raises NotInstalled."""
        self._refuse()

    def version(self) -> str:
        """Raises NotInstalled: only the device knows."""
        self._refuse()

    def check_precision(self, precision: str, machine: str) -> None:
        """fp32, fp16, and int8 by the file's own Q/DQ, on every GPU. Raises PrecisionRefused."""
        del machine
        if self._dla != "off" and precision != "fp16":
            why = "takes no Q/DQ" if precision == "int8" else "computes in fp16"
            raise PrecisionRefused(
                f"a DLA {why}: {precision} would be the GPU's", hint="use --precision fp16 with --dla"
            )
        if precision not in ("fp32", "fp16", "int8"):
            raise PrecisionRefused(
                f"engines in {precision} are not built here", hint="use --precision fp32, fp16 or int8"
            )

    def int8_scheme(self, machine: str) -> str | None:
        """Q/DQ before the products, symmetric."""
        del machine
        return "tensorrt"

    def options(self, precision: str, threads: int) -> dict[str, Option]:
        """What changes the meaning of a time: all as trtexec has it by default but TF32, which is no fp32."""
        del threads
        return {
            "precision": precision,
            "build": self._build,
            "dla": self._dla,
            "tf32": False,
            "cuda_graph": False,
            "spin_wait": False,
            "streams": 1,
            "transfers": "apart",
        }

    def unpaired(self, threads: int) -> str:
        """One engine a process, as trtexec has it."""
        del threads
        return "TensorRT times one engine a process"

    def attribute(self, artifact: Artifact, folder: Path, layers: LayersRow) -> ProfileRecord:
        """See attribution.attribute."""
        from edgebench.runtime.tensorrt.attribution import attribute

        return attribute(artifact, folder, layers)

    @staticmethod
    def _refuse() -> NoReturn:
        raise NotInstalled(
            "TensorRT runs on a device of its own, also where that is this machine's GPU",
            hint="name it: --target orin-nano for a Jetson, --target local-gpu for this machine's GPU",
        )
