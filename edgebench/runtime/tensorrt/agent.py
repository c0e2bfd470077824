"""TensorRT on a device: the harness runs ``trtexec`` between its canaries, on an engine that is built there once."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec
from msgspec.structs import replace

from edgebench.errors import DeviceError
from edgebench.events import StageFinished, StageStarted
from edgebench.files import sha256_bytes
from edgebench.records import Command, Plan, ProgramRow, Schedule, Trace
from edgebench.runtime.remote_agents import Asked, RemoteAgent, Site, There
from edgebench.runtime.tensorrt.adapting import TRTEXEC, adapted, require_passed
from edgebench.runtime.tensorrt.trtexec import Load, Trtexec, find_trtexec
from edgebench.transport.base import device_said_no

_ASK_S = 30.0
# A large network on a Jetson Nano; with a timing cache the next is quicker.
BUILD_S = 3000.0
# A build may use all of the processor: the kernel leaves out those that are not there.
_EVERY_CORE = tuple(range(64))
_GPU = (
    "nvidia-smi --query-gpu=name,compute_cap,driver_version --format=csv,noheader 2>/dev/null || "
    "cat /proc/device-tree/model /etc/nv_tegra_release 2>/dev/null || echo unknown"
)


@dataclass(frozen=True)
class _Engine:
    """Where an engine lies on the device, and the key that it was built by."""

    path: str
    key: str


class TensorRtAgent:
    """``native`` is the harness that runs it."""

    def __init__(self, native: RemoteAgent) -> None:
        self._native = native
        self._trtexec: Trtexec | None = None
        self._gpu = ""
        # That of the launch under way: there is one at a time.
        self._engine: _Engine | None = None

    def made(self) -> None:
        """See RemoteAgent."""
        self._native.made()

    def identity(self, device: Asked) -> str:
        """See RemoteAgent."""
        return f"{self._native.identity(device)}, trtexec {self._found(device).version_text}"

    def ready(self, there: There, device: Asked) -> str:
        """See RemoteAgent. Raises NotInstalled where there is no trtexec."""
        self._found(device)
        return self._native.ready(there, device)

    def version(self, device: Asked) -> str:
        """See RemoteAgent."""
        return self._found(device).version_text

    def canary_library(self) -> Path | None:
        """See RemoteAgent."""
        return self._native.canary_library()

    def planned(self, plan: Plan, site: Site) -> Plan:
        """See RemoteAgent: the engine, built where it is not there, and what runs it."""
        trtexec, engine = self._found(site.device), self._engine_of(plan, site)
        [artifact] = plan.artifacts
        self._engine = engine
        commands = []
        for number, batch in enumerate(artifact.batches if plan.mode == "verify" else artifact.batches[:1]):
            base = f"{plan.work_dir}/trtexec{number}"
            files = _files(plan.mode, base, tells_layers=trtexec.tells_layers)
            load = Load(engine.path, batch, plan.options)
            if plan.mode == "verify":
                argv = trtexec.verify(load, files["outputs"])
            elif plan.mode == "profile":
                argv = trtexec.profile(load, plan.schedule, files)
            else:
                argv = trtexec.time(load, plan.schedule, files["times"])
            commands.append(Command(name=TRTEXEC, argv=tuple(argv), output=files["output"], files=files))
        return self._native.planned(replace(plan, commands=tuple(commands)), site)

    def adapted(self, trace: Trace, plan: Plan) -> Trace:
        """See RemoteAgent."""
        trtexec, engine = self._trtexec, self._engine
        if trtexec is None or engine is None:
            raise RuntimeError("adapted before it was planned")
        resolved = dict(plan.options) | {"engine": engine.key}
        computed = trtexec.computed(str(plan.options["precision"]))
        made = adapted(trace, plan, version=trtexec.version_text, computed=computed, resolved=resolved)
        return self._native.adapted(made, plan)

    def _found(self, device: Asked) -> Trtexec:
        if self._trtexec is None:
            self._trtexec = find_trtexec(device)
            self._gpu = device.run_script(_GPU, timeout_s=_ASK_S).output
        return self._trtexec

    def _engine_of(self, plan: Plan, site: Site) -> _Engine:
        """Built by the very words that its key is of. Raises LaunchFailed with trtexec's own."""
        trtexec = self._found(site.device)
        onnx = plan.artifacts[0].files["onnx"]
        folder = f"{site.folder}/engines"
        precision = str(plan.options["precision"])
        words = trtexec.build(onnx, "ENGINE", "CACHE", precision, plan.options)
        facts = {
            "onnx": PurePosixPath(onnx).name,
            "gpu": self._gpu,
            "version": trtexec.version,
            "words": words[2:],
            "build": plan.options["build"],
        }
        key = sha256_bytes(msgspec.json.encode(facts, order="deterministic"))[:32]
        engine = _Engine(f"{folder}/{key}.engine", key)
        if site.device.run_script(f"test -s {shlex.quote(engine.path)}", timeout_s=_ASK_S).status != 0:
            self._build(trtexec, engine, plan, site)
        return engine

    def _build(self, trtexec: Trtexec, engine: _Engine, plan: Plan, site: Site) -> None:
        precision = str(plan.options["precision"])
        site.emit(
            StageStarted("engine", f"TensorRT {trtexec.version_text} builds it there, {precision} (minutes, once)")
        )
        folder = str(PurePosixPath(engine.path).parent)
        new = f"{plan.work_dir}/new.engine"
        # Kernels that were timed once are chosen again: a build of its own must time its own.
        cache = f"{folder}/timing-{trtexec.version_text}-{plan.options['build']}.cache"
        argv = trtexec.build(plan.artifacts[0].files["onnx"], new, cache, precision, plan.options)
        output = f"{plan.work_dir}/build.txt"
        _require(site.device, f"mkdir -p {shlex.quote(folder)}", f"make {folder}")
        build = replace(
            plan,
            plan_id=f"{plan.plan_id}-build",
            mode="verify",
            commands=(Command(name=TRTEXEC, argv=tuple(argv), output=output, files={"output": output}),),
            beside=(),
            cores=_EVERY_CORE,
            schedule=Schedule(),
            deadline_s=BUILD_S,
            trace_path=f"{plan.work_dir}/build.jsonl",
        )
        [ran] = site.launch(build).of(ProgramRow)
        require_passed(ran, "build the engine")
        # The same file system: it is there whole or not at all.
        _require(site.device, f"mv -f {shlex.quote(new)} {shlex.quote(engine.path)}", f"keep the engine in {folder}")
        site.emit(StageFinished("engine", f"{engine.key[:12]}, in {(ran.end_ns - ran.t_ns) / 1e9:.0f} s"))


def _files(mode: str, base: str, *, tells_layers: bool) -> dict[str, str]:
    """What a launch in ``mode`` writes, by role."""
    roles = {
        "verify": {"outputs": f"{base}_outputs.json"},
        "measure": {"times": f"{base}_times.json"},
        "profile": {"times": f"{base}_times.json", "profile": f"{base}_profile.json"},
    }[mode]
    layers = {"layers": f"{base}_layers.json"} if mode == "profile" and tells_layers else {}
    return {"output": f"{base}.txt", **roles, **layers}


def _require(device: Asked, script: str, what: str) -> None:
    ran = device.run_script(script, timeout_s=_ASK_S)
    if ran.status != 0:
        error: DeviceError = device_said_no(what, ran.output)
        raise error
