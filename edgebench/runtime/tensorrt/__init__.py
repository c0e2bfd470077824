"""TensorRT: engines are built, timed and profiled on the device, and what its programs print is read here."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from edgebench.errors import NotInstalled, PrecisionRefused
from edgebench.events import Emit
from edgebench.records import Artifact, LayersRow, ProfileRecord
from edgebench.records.plan import Option


class TensorRt:
    """NVIDIA's TensorRT by its own ``trtexec``, on boards and GPU machines at the other end of ssh."""

    name = "tensorrt"
    format = "onnx"
    not_profiled: str | None = None

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
        """fp32 and fp16, on every GPU. Raises PrecisionRefused."""
        del machine
        if precision not in ("fp32", "fp16"):
            raise PrecisionRefused(f"engines in {precision} are not built here", hint="use --precision fp32 or fp16")

    def options(self, precision: str, threads: int) -> dict[str, Option]:
        """What changes the meaning of a time: all at trtexec's own defaults but TF32, which is no fp32."""
        del threads
        return {
            "precision": precision,
            "tf32": False,
            "cuda_graph": False,
            "spin_wait": False,
            "streams": 1,
            "transfers": "apart",
        }

    def attribute(self, artifact: Artifact, folder: Path, layers: LayersRow) -> ProfileRecord:
        """See attribution.attribute."""
        from edgebench.runtime.tensorrt.attribution import attribute

        return attribute(artifact, folder, layers)

    @staticmethod
    def _refuse() -> NoReturn:
        raise NotInstalled(
            "TensorRT runs on a device that is reached by ssh, not beside edgebench",
            hint="name one: --target orin-nano, or --target linux-board --serial USER@HOST for a machine with an NVIDIA GPU",
        )
