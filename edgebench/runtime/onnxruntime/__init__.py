"""ONNX Runtime: .onnx files, on the CPU with layers from its own profiler, or on an NVIDIA GPU."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from edgebench.errors import PrecisionRefused
from edgebench.events import Emit
from edgebench.records import Artifact, LayersRow, ProfileRecord
from edgebench.records.plan import Option
from edgebench.runtime.base import PYTHON_AGENT, is_x86, require_package

CPU = "CPUExecutionProvider"
PROVIDERS = {"cpu": CPU, "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
"""By the names that people use."""


class OnnxRuntime:
    """One execution provider with every graph optimisation, as its users get it."""

    name = "onnxruntime"
    format = "onnx"
    variants: tuple[str, ...] = ("provider",)

    def __init__(self, provider: Option = CPU) -> None:
        self._provider = str(provider)
        self._on_cpu = provider == CPU
        self.variant = "" if self._on_cpu else f"-{next(name for name, own in PROVIDERS.items() if own == provider)}"
        self.not_profiled: str | None = (
            None if self._on_cpu else "ONNX Runtime's profiler sees only how a GPU's kernels are started"
        )

    def require_installed(self, emit: Emit) -> None:
        """Raises NotInstalled."""
        del emit
        require_package("onnxruntime", "pip install onnxruntime")

    def agent_command(self) -> list[str]:
        """The Python agent."""
        return PYTHON_AGENT

    def version(self) -> str:
        """The installed distribution's version."""
        return metadata.version("onnxruntime")

    def check_precision(self, precision: str, machine: str) -> None:
        """fp32, int8 by the file's own Q/DQ, and fp16 on a GPU. Raises PrecisionRefused with what it would do."""
        if precision in ("fp32", "int8") or (precision == "fp16" and not self._on_cpu):
            return
        if precision == "fp16" and is_x86(machine):
            reason = f"ONNX Runtime computes fp16 models in fp32 on {machine}: the row would be fp32 by another name"
        else:
            reason = f"which kernels ONNX Runtime computes in {precision} on {machine} cannot be read back from it"
        raise PrecisionRefused(reason, hint="use --precision fp32, or another --runtime")

    def int8_scheme(self, machine: str) -> str | None:
        """Only on a CPU: on CUDA it has no int8 convolution, and what its TensorRT takes was never run here."""
        if not self._on_cpu:
            return None
        return "onnxruntime-x86" if is_x86(machine) else "onnxruntime-arm"

    def options(self, precision: str, threads: int) -> dict[str, Option]:
        """Names of the agent's own (agent/sessions/onnxruntime.py); the thread count is the plan's."""
        del threads
        return {
            "provider": self._provider,
            "precision": precision,
            # An inference takes and gives arrays of the agent's process: what is timed on a GPU is with the copies.
            **({} if self._on_cpu else {"tf32": False, "transfers": "included"}),
            "inter_op_threads": 1,
            "execution_mode": "sequential",
            "graph_optimization": "all",
        }

    def unpaired(self, threads: int) -> str | None:
        """On several threads two sessions spin against each other: 7.8 to 11 ms instead of 3.9 to 6 where it was tried."""
        if not self._on_cpu:
            return "ONNX Runtime's sessions on a GPU were never timed in turns"
        return "ONNX Runtime's threads of two sessions spin against each other" if threads > 1 else None

    def attribute(self, artifact: Artifact, folder: Path, layers: LayersRow) -> ProfileRecord:
        """See attribution.attribute."""
        from edgebench.runtime.onnxruntime.attribution import attribute

        return attribute(artifact, folder, layers)
