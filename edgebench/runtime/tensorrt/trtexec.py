"""``trtexec`` on a device: where it is, what it can do, and the words that build, time, profile and verify with it."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from edgebench.errors import DeviceRefused, NotInstalled
from edgebench.records import Schedule, TensorFile
from edgebench.records.plan import Option
from edgebench.runtime.tensorrt.trtexec_output import parse_console

if TYPE_CHECKING:
    from edgebench.runtime.remote_agent import Asked

# On the PATH, where JetPack's and Debian's packages put it, and where NVIDIA's archives are unpacked.
_PLACES = ("/usr/src/tensorrt/bin/trtexec", "/opt/tensorrt/bin/trtexec", "/usr/local/tensorrt/bin/trtexec")
_FLAG = re.compile(r"^\s*(--[A-Za-z0-9]+)", re.MULTILINE)
# Older ones give the builder 16 MB unless told otherwise, with which it cannot use its better kernels.
_WORKSPACE_MIB = 1024
_WARMUP_MS = 500
# Loading its libraries takes a Jetson some seconds.
_FIND_S = 60.0
_INSTALL = (
    "on a Jetson: sudo apt-get install tensorrt; elsewhere put trtexec on the PATH of the user that logs in, or install the "
    "Python package: python3 -m pip install tensorrt"
)


@dataclass(frozen=True)
class Load:
    """What an inference is of: the engine, its inputs, and the options of the runtime."""

    engine: str
    batch: tuple[TensorFile, ...]
    options: Mapping[str, Option]


@dataclass(frozen=True)
class Trtexec:
    """The program at ``path``, with the options that its own help lists."""

    path: str
    version: tuple[int, int, int]
    flags: frozenset[str]

    @property
    def version_text(self) -> str:
        """As 10.3.0."""
        return ".".join(map(str, self.version))

    def build(
        self, onnx: str, engine: str, timing_cache: str, precision: str, options: Mapping[str, Option]
    ) -> list[str]:
        """Builds and saves an engine, and runs nothing. Raises DeviceRefused for a DLA that this one does not know."""
        words = [self.path, f"--onnx={onnx}", f"--saveEngine={engine}", *self._precision(precision, options)]
        if not options["tf32"] and self._has("--noTF32"):
            words.append("--noTF32")
        if self._has("--timingCacheFile"):
            words.append(f"--timingCacheFile={timing_cache}")
        if not self._has("--memPoolSize") and self._has("--workspace"):
            words.append(f"--workspace={_WORKSPACE_MIB}")
        # Layers are named in full only in an engine that was built for it; it changes no kernel.
        if self._has("--profilingVerbosity"):
            words.append("--profilingVerbosity=detailed")
        elif self._has("--nvtxMode"):
            words.append("--nvtxMode=verbose")
        words += self._unit(options)
        words += [flag for flag in ("--skipInference", "--buildOnly") if self._has(flag)][:1]
        return words

    def _precision(self, precision: str, options: Mapping[str, Option]) -> list[str]:
        """fp16 and int8 are in the artifact itself. Newer versions take the types from it, older ones need leave for each."""
        if self._strongly_typed(options):
            return ["--stronglyTyped"]
        return [] if precision == "fp32" else [f"--{precision}"]

    def computed(self, precision: str, options: Mapping[str, Option]) -> str:
        """What is computed in: without strong types the builder may fall back to fp32, layer by layer."""
        if precision == "int8":
            return "int8 (where the file is quantised)"
        weak = precision == "fp16" and not self._strongly_typed(options)
        return "fp16 (fp32 where faster)" if weak else precision

    def _strongly_typed(self, options: Mapping[str, Option]) -> bool:
        # NVIDIA's own examples of a DLA ask for fp16 by its flag; that it takes a strongly typed network is written nowhere.
        return self._has("--stronglyTyped") and options["dla"] == "off"

    def time(self, load: Load, schedule: Schedule, times: str) -> list[str]:
        """Times inferences with CUDA events, transfers apart."""
        return [
            *self._run(load),
            f"--warmUp={_WARMUP_MS}",
            f"--duration={max(math.ceil(schedule.measure_ms / 1000), 1)}",
            f"--iterations={schedule.iterations_min}",
            f"--exportTimes={times}",
        ]

    def profile(self, load: Load, schedule: Schedule, files: dict[str, str]) -> list[str]:
        """Times layers: a launch of its own, as the profiler slows down what it looks at."""
        words = [*self.time(load, schedule, files["times"]), f"--exportProfile={files['profile']}"]
        if "layers" in files:
            words.append(f"--exportLayerInfo={files['layers']}")
            if self._has("--profilingVerbosity"):
                words.append("--profilingVerbosity=detailed")
        return words

    @property
    def tells_layers(self) -> bool:
        """Whether it can write what its layers are, beside what they take."""
        return self._has("--exportLayerInfo")

    def verify(self, load: Load, output: str) -> list[str]:
        """Runs one batch and writes the outputs."""
        return [
            *self._run(load),
            "--warmUp=0",
            "--duration=0",
            "--iterations=1",
            f"--exportOutput={output}",
        ]

    def _run(self, load: Load) -> list[str]:
        # No quotes: 8.0 takes them for a part of the name, finds no such input and fills in random numbers. A name may hold
        # colons without them, as all versions split at the last.
        inputs = ",".join(f"{tensor.name}:{tensor.path}" for tensor in load.batch)
        return [self.path, f"--loadEngine={load.engine}", f"--loadInputs={inputs}", *self._unit(load.options)]

    def _unit(self, options: Mapping[str, Option]) -> list[str]:
        """The DLA where one is asked for; what it cannot compute the GPU does."""
        if options["dla"] == "off":
            return []
        if not self._has("--useDLACore"):
            raise DeviceRefused(
                f"trtexec {self.version_text} on the device knows no --useDLACore: it has no DLA",
                hint="leave --dla out; a Jetson Xavier, Orin NX or AGX Orin has one, with a TensorRT that supports it",
            )
        return [f"--useDLACore={options['dla']}", "--allowGPUFallback"]

    def _has(self, flag: str) -> bool:
        return flag in self.flags


def find_trtexec(device: Asked) -> Trtexec:
    """The one that the device has. Raises NotInstalled with the mend."""
    ran = device.run_script(_find_script(), timeout_s=_FIND_S)
    return found(ran.status, ran.output)


def _find_script() -> str:
    """Prints where it is and its help; fails where it is nowhere."""
    places = " ".join(map(shlex.quote, _PLACES))
    return (
        f'for each in "$(command -v trtexec)" {places}; do\n'
        '  if [ -x "$each" ]; then echo "path $each"; "$each" --help 2>&1; exit 0; fi\n'
        "done\nexit 1"
    )


def found(status: int, output: str) -> Trtexec:
    """What ``find_trtexec`` was told. Raises NotInstalled where it is not there, or does not run."""
    path, _, rest = output.partition("\n")
    if status != 0 or not path.startswith("path /"):
        nowhere = f"not on the PATH, nor in {PurePosixPath(_PLACES[0]).parent}"
        raise NotInstalled(f"the device has no trtexec: {nowhere}", hint=_INSTALL)
    version = parse_console(rest).version
    flags = frozenset(_FLAG.findall(rest))
    if version is None or "--loadEngine" not in flags:
        said = rest.strip().splitlines()[-1:] or ["nothing"]
        raise NotInstalled(
            f"{path[5:]} on the device does not tell its version and options: {said[0]}",
            hint="run it there by hand with --help; it needs the libraries of the TensorRT that it belongs to",
        )
    return Trtexec(path[5:].strip(), version, flags)
