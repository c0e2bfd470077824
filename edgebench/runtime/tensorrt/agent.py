"""TensorRT on a device: by ``trtexec``, which the harness runs between its canaries, else by its Python package."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from edgebench.agent.sessions import tensorrt_build
from edgebench.errors import DeviceRefused, NotInstalled
from edgebench.files import sha256_file
from edgebench.records import Command, LoadRow, Plan, ProgramRow, Schedule, Trace
from edgebench.runtime.python_agent import PythonAgent
from edgebench.runtime.remote_agent import Asked, RemoteAgent, Site, There
from edgebench.runtime.tensorrt.adapting import TRTEXEC, adapted, require_passed
from edgebench.runtime.tensorrt.engines import BUILD_S, EVERY_CORE, Engine, Engines
from edgebench.runtime.tensorrt.trtexec import Load, Trtexec, find_trtexec


class TensorRtAgent:
    """The first of the two that the device has. ``native`` is the harness, ``python`` the Python agent for ``tensorrt``."""

    builds = True

    def __init__(self, native: RemoteAgent, python: PythonAgent) -> None:
        self._trtexec = TrtexecAgent(native)
        self._python = PythonTensorRtAgent(python)
        self._choice: RemoteAgent | None = None

    def made(self) -> None:
        """See RemoteAgent: which of the two is needed only the device knows."""
        self._trtexec.made()
        self._python.made()

    def identity(self, device: Asked) -> str:
        """See RemoteAgent."""
        return self._chosen(device).identity(device)

    def ready(self, there: There, device: Asked) -> str:
        """See RemoteAgent. Raises NotInstalled where it has neither."""
        return self._chosen(device).ready(there, device)

    def version(self, device: Asked) -> str:
        """See RemoteAgent."""
        return self._chosen(device).version(device)

    def canary_library(self) -> Path | None:
        """See RemoteAgent."""
        return self._ready_one.canary_library()

    def planned(self, plan: Plan, site: Site) -> Plan:
        """See RemoteAgent."""
        return self._chosen(site.device).planned(plan, site)

    def adapted(self, trace: Trace, plan: Plan) -> Trace:
        """See RemoteAgent."""
        return self._ready_one.adapted(trace, plan)

    @property
    def _ready_one(self) -> RemoteAgent:
        if self._choice is None:
            raise RuntimeError("asked before it was ready")
        return self._choice

    def _chosen(self, device: Asked) -> RemoteAgent:
        if self._choice is None:
            self._choice = self._trtexec if self._has_trtexec(device) else self._python
        return self._choice

    def _has_trtexec(self, device: Asked) -> bool:
        """Raises NotInstalled with the mend where the device has neither trtexec nor TensorRT's Python."""
        try:
            self._trtexec.version(device)
        except NotInstalled as missing:
            try:
                self._python.version(device)
            except (NotInstalled, DeviceRefused):
                raise missing from None
            return False
        return True


class TrtexecAgent:
    """``native`` is the harness that runs it."""

    builds = True

    def __init__(self, native: RemoteAgent) -> None:
        self._native = native
        self._engines = Engines()
        self._trtexec: Trtexec | None = None
        # That of the launch under way: there is one at a time.
        self._engine: Engine | None = None

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
        resolved = dict(plan.options) | {"engine": engine.key, "api": TRTEXEC}
        computed = trtexec.computed(str(plan.options["precision"]), plan.options)
        made = adapted(trace, plan, version=trtexec.version_text, computed=computed, resolved=resolved)
        return self._native.adapted(made, plan)

    def _found(self, device: Asked) -> Trtexec:
        if self._trtexec is None:
            self._trtexec = find_trtexec(device)
        return self._trtexec

    def _engine_of(self, plan: Plan, site: Site) -> Engine:
        """Built by the very words that its key is of. Raises LaunchFailed with trtexec's own."""
        trtexec = self._found(site.device)
        onnx, precision = plan.artifacts[0].files["onnx"], str(plan.options["precision"])

        def build(new: str, cache: str) -> None:
            argv = trtexec.build(onnx, new, cache, precision, plan.options)
            output = f"{plan.work_dir}/build.txt"
            command = Command(name=TRTEXEC, argv=tuple(argv), output=output, files={"output": output})
            [ran] = site.launch(replace(_to_build(plan), commands=(command,))).of(ProgramRow)
            require_passed(ran, "build the engine")

        words = trtexec.build(onnx, "ENGINE", "CACHE", precision, plan.options)[2:]
        return self._engines.get(plan, site, trtexec.version_text, words, build)


class PythonTensorRtAgent:
    """``python`` is the Python agent that imports ``tensorrt``; it builds the engines, too."""

    builds = True

    def __init__(self, python: PythonAgent) -> None:
        self._python = python
        self._engines = Engines()

    def made(self) -> None:
        """See RemoteAgent."""
        self._python.made()

    def identity(self, device: Asked) -> str:
        """See RemoteAgent."""
        return self._python.identity(device)

    def ready(self, there: There, device: Asked) -> str:
        """See RemoteAgent."""
        return self._python.ready(there, device)

    def version(self, device: Asked) -> str:
        """See RemoteAgent. Another one than trtexec's of the same TensorRT: their launches must not be mixed."""
        return f"{self._python.version(device)}{_BY_PYTHON}"

    def canary_library(self) -> Path | None:
        """See RemoteAgent."""
        return self._python.canary_library()

    def planned(self, plan: Plan, site: Site) -> Plan:
        """See RemoteAgent: with the engine, built where it is not there."""
        [artifact] = plan.artifacts

        def build(new: str, cache: str) -> None:
            files = artifact.files | {"new_engine": new, "timing_cache": cache}
            empty = replace(artifact, files=files, batches=(), outputs=())
            site.launch(replace(_to_build(plan), artifacts=(empty,)))

        words = [_BUILDER_SHA256, *(f"{name}={value}" for name, value in sorted(plan.options.items()))]
        engine = self._engines.get(plan, site, self._python.version(site.device), words, build)
        loaded = replace(artifact, files=artifact.files | {"engine": engine.path})
        options = dict(plan.options) | {"engine": engine.key}
        return self._python.planned(replace(plan, artifacts=(loaded,), options=options), site)

    def adapted(self, trace: Trace, plan: Plan) -> Trace:
        """See RemoteAgent."""
        made = self._python.adapted(trace, plan)
        rows = (
            replace(row, runtime_version=f"{row.runtime_version}{_BY_PYTHON}") if isinstance(row, LoadRow) else row
            for row in made.rows
        )
        return Trace(rows=tuple(rows))


TENSORRT = "tensorrt"
"""The Python package."""
_BY_PYTHON = " by Python"
# How it builds is the agent's code.
_BUILDER_SHA256 = sha256_file(Path(tensorrt_build.__file__))


def _to_build(plan: Plan) -> Plan:
    """The plan of a launch that builds an engine and times nothing."""
    return replace(
        plan,
        plan_id=f"{plan.plan_id}-build",
        mode="verify",
        beside=(),
        cores=EVERY_CORE,
        schedule=Schedule(),
        deadline_s=BUILD_S,
        trace_path=f"{plan.work_dir}/build.jsonl",
    )


def _files(mode: str, base: str, *, tells_layers: bool) -> dict[str, str]:
    """What a launch in ``mode`` writes, by role."""
    roles = {
        "verify": {"outputs": f"{base}_outputs.json"},
        "measure": {"times": f"{base}_times.json"},
        "profile": {"times": f"{base}_times.json", "profile": f"{base}_profile.json"},
    }[mode]
    layers = {"layers": f"{base}_layers.json"} if mode == "profile" and tells_layers else {}
    return {"output": f"{base}.txt", **roles, **layers}
