"""TensorRT engines on a device: each is built there once, by whatever builds it, and kept."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import msgspec

from edgebench.errors import DeviceError
from edgebench.events import StageFinished, StageStarted
from edgebench.files import sha256_bytes
from edgebench.records import Plan
from edgebench.runtime.remote_agent import Asked, Site
from edgebench.transport.base import device_said_no

# A large network on a Jetson Nano; with a timing cache the next is quicker.
BUILD_S = 3000.0
# A build may use all of the processor: the kernel leaves out those that are not there.
EVERY_CORE = tuple(range(64))
_ASK_S = 30.0
_GPU = (
    "nvidia-smi --query-gpu=name,compute_cap,driver_version --format=csv,noheader 2>/dev/null || "
    "cat /proc/device-tree/model /etc/nv_tegra_release 2>/dev/null || echo unknown"
)


@dataclass(frozen=True)
class Engine:
    """Where an engine lies on the device, and the key that it was built by."""

    path: str
    key: str


class Engines:
    """Those of one device. A key is of all that decides an engine: network, precision, GPU, TensorRT, and the words that
    build it."""

    def __init__(self) -> None:
        self._gpu: str | None = None

    def get(
        self, plan: Plan, site: Site, version: str, words: Sequence[str], build: Callable[[str, str], None]
    ) -> Engine:
        """The engine of the plan's artifact. Where it is not there ``build`` writes it to the first path, and may read and
        write a cache of kernels' times at the second. Raises what ``build`` raises, DeviceError."""
        if self._gpu is None:
            self._gpu = site.device.run_script(_GPU, timeout_s=_ASK_S).output
        facts = {
            "onnx": PurePosixPath(plan.artifacts[0].files["onnx"]).name,
            "gpu": self._gpu,
            "version": version,
            "precision": plan.options["precision"],
            "words": words,
            "build": plan.options["build"],
        }
        key = sha256_bytes(msgspec.json.encode(facts, order="deterministic"))[:32]
        folder = f"{site.folder}/engines"
        engine = Engine(f"{folder}/{key}.engine", key)
        if site.device.run_script(f"test -s {shlex.quote(engine.path)}", timeout_s=_ASK_S).status == 0:
            return engine
        site.emit(
            StageStarted("engine", f"TensorRT {version} builds it there, {plan.options['precision']} (minutes, once)")
        )
        began = time.monotonic()
        _require(site.device, f"mkdir -p {shlex.quote(folder)}", f"make {folder}")
        new = f"{plan.work_dir}/new.engine"
        # Kernels that were timed once are chosen again: a build of its own must time its own.
        of = sha256_bytes(f"{self._gpu} {version}".encode())[:16]
        build(new, f"{folder}/timing-{of}-{plan.options['build']}.cache")
        # The same file system: it is there whole or not at all.
        _require(site.device, f"mv -f {shlex.quote(new)} {shlex.quote(engine.path)}", f"keep the engine in {folder}")
        site.emit(StageFinished("engine", f"{engine.key[:12]}, in {time.monotonic() - began:.0f} s"))
        return engine


def _require(device: Asked, script: str, what: str) -> None:
    ran = device.run_script(script, timeout_s=_ASK_S)
    if ran.status != 0:
        error: DeviceError = device_said_no(what, ran.output)
        raise error
