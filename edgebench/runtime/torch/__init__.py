"""PyTorch eager on the CPU: the reference row, what deploying nothing at all would cost."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from edgebench.errors import PrecisionRefused, UsageError
from edgebench.events import Emit
from edgebench.records import Artifact, LayersRow, ProfileRecord
from edgebench.records.plan import Option
from edgebench.runtime.base import PYTHON_AGENT, require_package


class Torch:
    """The fused module itself, pickled, under inference mode."""

    name = "torch"
    format = "torch"
    not_profiled: str | None = "torch eager is the reference row; layers are profiled on onnxruntime"
    variants: tuple[str, ...] = ()
    variant = ""

    def require_installed(self, emit: Emit) -> None:
        """Raises NotInstalled."""
        del emit
        require_package("torch", "pip install 'edgebench[export]'")

    def agent_command(self) -> list[str]:
        """The Python agent."""
        return PYTHON_AGENT

    def version(self) -> str:
        """The installed distribution's version."""
        return metadata.version("torch")

    def check_precision(self, precision: str, machine: str) -> None:
        """Only fp32. Raises PrecisionRefused."""
        if precision != "fp32":
            raise PrecisionRefused(
                f"torch eager is the fp32 reference row; on a CPU ({machine}) its {precision} kernels are not what deploys",
                hint="use --precision fp32, or another --runtime",
            )

    def int8_scheme(self, machine: str) -> None:
        """None: check_precision refuses int8."""

    def options(self, precision: str, threads: int) -> dict[str, Option]:
        """None to set: threads are the plan's, and the agent reads back the rest."""
        del precision, threads
        return {}

    def unpaired(self, threads: int) -> str:
        """A reference row: nobody chooses between two networks by it."""
        del threads
        return "PyTorch is a reference, and times one network a process"

    def attribute(self, artifact: Artifact, folder: Path, layers: LayersRow) -> ProfileRecord:
        """Raises UsageError with ``not_profiled``."""
        del artifact, folder, layers
        raise UsageError(str(self.not_profiled), hint="profile with --runtime onnxruntime")
