"""ncnn on the CPU through the native harness: .param and .bin."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from edgebench.errors import NotInstalled, PrecisionRefused
from edgebench.events import Emit, ignore
from edgebench.records import Artifact, LayersRow, ProfileRecord
from edgebench.records.plan import Option
from edgebench.runtime.abis import host_abi
from edgebench.runtime.base import is_x86
from edgebench.runtime.harness_build import NCNN_VERSION, Harness, build_harness, find_harness

# Where ncnn's convolutions have fp16 kernels: 64-bit ARM with asimdhp (the agent reads back whether the core has it).
_FP16_MACHINES = ("aarch64", "arm64")


class Ncnn:
    """ncnn with the optimisations that its users get, and no precision but the one asked for."""

    name = "ncnn"
    format = "ncnn"
    not_profiled: str | None = None
    variants: tuple[str, ...] = ()
    variant = ""

    def require_installed(self, emit: Emit) -> None:
        """Builds the harness where it is not there yet. Raises NotInstalled with what that needs."""
        _harness(emit)

    def agent_command(self) -> list[str]:
        """The native harness."""
        return [str(_harness(ignore).path)]

    def version(self) -> str:
        """The version that the harness holds."""
        return NCNN_VERSION

    def check_precision(self, precision: str, machine: str) -> None:
        """fp32, and fp16 where the convolutions compute in it. Raises PrecisionRefused.

        Measured on an x86_64 with F16C and AVX512-FP16: ncnn 1.0.20261020 with fp16 storage and arithmetic errs by 5e-4, as
        rounded weights do, at fp32's speed (0.523 against 0.521 ms on a small network).
        """
        if precision == "fp32" or (precision == "fp16" and machine in _FP16_MACHINES):
            return
        if precision == "fp16" and is_x86(machine):
            reason = f"ncnn computes fp16 models in fp32 on {machine}; only the stored weights would be rounded"
        else:
            reason = f"what ncnn computes in {precision} on {machine} was never verified"
        raise PrecisionRefused(reason, hint="use --precision fp32")

    def int8_scheme(self, machine: str) -> None:
        """None: check_precision refuses int8."""

    def options(self, precision: str, threads: int) -> dict[str, Option]:
        """ncnn's own option names; all that choose a precision are set, as its defaults round to fp16."""
        del threads
        half = precision == "fp16"
        return {
            "lightmode": True,
            "use_vulkan_compute": False,
            "use_fp16_packed": half,
            "use_fp16_storage": half,
            "use_fp16_arithmetic": half,
            "use_bf16_packed": False,
            "use_bf16_storage": False,
            "use_int8_inference": False,
            "use_packing_layout": True,
            "use_sgemm_convolution": True,
            "use_winograd_convolution": True,
        }

    def unpaired(self, threads: int) -> None:
        """None: all networks of a process share one pool of threads."""

    def attribute(self, artifact: Artifact, folder: Path, layers: LayersRow) -> ProfileRecord:
        """See attribution.attribute."""
        from edgebench.runtime.ncnn.attribution import attribute

        return attribute(artifact, folder, layers)


@cache
def _harness(emit: Emit) -> Harness:
    """The harness of this machine. Raises NotInstalled."""
    abi = host_abi()
    if abi is None:
        raise NotInstalled("there is no harness for this processor", hint="leave ncnn out: --runtime onnxruntime")
    return find_harness(abi) or build_harness(abi, emit)
