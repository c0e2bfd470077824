"""One launch on this machine: a fresh agent process from a plan to a trace."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Protocol

from edgebench.agent.host import CONTROLLER_VARIABLE
from edgebench.events import Emit
from edgebench.files import write_atomic
from edgebench.records import Artifact, Plan, PlannedArtifact, TensorFile, Trace
from edgebench.records.codec import encode
from edgebench.runtime import get_runtime
from edgebench.runtime.base import PYTHON_AGENT, Runtime
from edgebench.runtime.ending import Ending, finished_trace
from edgebench.transport.local import Completed

# The agent ends itself at its deadline, the kernel ends it 2 s later: past this it is stuck beyond both.
GRACE_S = 10.0
# Nothing else of the controller's environment reaches the agent: OMP_*, KMP_*, MKL_*, ORT_* or PYTHON* variables would
# change what is timed, and no identity card would say so.
_KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "LD_PRELOAD", "USER")
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


class Transport(Protocol):
    """Runs a program to its end; transport.local.LocalTransport in earnest."""

    def run(
        self, argv: list[str], *, timeout_s: float, cwd: Path, env: dict[str, str], stdout: Path, stderr: Path
    ) -> Completed:
        """See LocalTransport.run."""


class HostLauncher:
    """Starts a runtime's agent beside the model on this machine."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def prepare(self, runtime: Runtime, emit: Emit) -> None:
        """See Launcher.prepare."""
        runtime.require_installed(emit)

    def agent(self, runtime: Runtime) -> str:
        """The command, whose path names the harness's content."""
        return " ".join(runtime.agent_command())

    def version(self, runtime: Runtime) -> str:
        """The one that is installed here."""
        return runtime.version()

    def build(self, plan: Plan) -> None:
        """See Launcher.build: what runs here loads what was exported."""

    def launch(self, plan: Plan) -> Trace:
        """One fresh process; its trace, complete to the end row.

        Raises LaunchFailed with the agent's own words, its exit status or its bound; UnsupportedOperator, NotInstalled and
        NoSpace where that was the reason. The trace file stays where it is in every case.
        """
        folder = Path(plan.work_dir)
        trace_path = Path(plan.trace_path)
        plan_path, stderr = folder / "plan.json", folder / "agent.stderr"
        write_atomic(plan_path, encode(plan))
        # A probe uses its folder again: the last launch's trace must not pass for this one's.
        trace_path.unlink(missing_ok=True)
        completed = self._transport.run(
            [*_agent_command(plan), str(plan_path)],
            timeout_s=plan.deadline_s + GRACE_S,
            cwd=folder,
            env=agent_environment(plan.threads) | {CONTROLLER_VARIABLE: str(os.getpid())},
            stdout=folder / "agent.stdout",
            stderr=stderr,
        )
        bound_s = plan.deadline_s + GRACE_S
        ending = Ending(completed.status, completed.timed_out, bound_s, completed.stderr_tail, stderr, here=True)
        return finished_trace(plan, trace_path, ending)


def plan_artifact(artifact: Artifact, folder: Path) -> PlannedArtifact:
    """``artifact`` as it lies in ``folder``: absolute paths, one batch for each set of reference inputs."""
    folder = folder.resolve()
    batches = tuple(
        tuple(
            TensorFile(name=spec.name, shape=spec.shape, dtype=spec.dtype, path=str(folder / file))
            for spec, file in zip(artifact.inputs, files, strict=True)
        )
        for files in artifact.reference_inputs
    )
    return PlannedArtifact(
        key=artifact.key,
        files={file.role: str(folder / file.path) for file in artifact.files},
        batches=batches,
        outputs=tuple(spec.name for spec in artifact.outputs),
    )


def agent_environment(threads: int) -> dict[str, str]:
    """The whole environment of an agent on this machine.

    It finds the modules that this process finds: a pickled module's classes may live anywhere on its path.
    """
    paths = [path for path in (*sys.path, str(_PACKAGE_ROOT)) if Path(path).is_dir()]
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    count = str(threads)
    return kept | {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(str(Path(path).resolve()) for path in paths)),
        "PYTHONSAFEPATH": "1",
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
    }


def _agent_command(plan: Plan) -> list[str]:
    """The canaries alone need no runtime: the Python agent runs them."""
    return PYTHON_AGENT if plan.mode == "canary" else get_runtime(plan.runtime).agent_command()
