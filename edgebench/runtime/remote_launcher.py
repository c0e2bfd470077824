"""One launch on a device at the other end of a channel: the harness and the model are pushed, the trace is pulled."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from edgebench.errors import (
    CommandTimedOut,
    DeviceError,
    DeviceLost,
    DeviceRefused,
    LaunchFailed,
    TransferFailed,
    UsageError,
)
from edgebench.events import Emit, Note, Progressed, StageFinished, StageStarted
from edgebench.files import sha256_file, write_atomic
from edgebench.records import LayersRow, OutputRow, Plan, PlannedArtifact, ProgramRow, TensorFile, Trace
from edgebench.records.codec import encode, encode_trace
from edgebench.runtime.base import Runtime
from edgebench.runtime.ending import Ending, finished_trace
from edgebench.runtime.heartbeat import MAX_AGE_S, heartbeat
from edgebench.runtime.launch_scripts import clean_up, require_noted, start_script
from edgebench.runtime.remote_agent import RemoteAgent, Site
from edgebench.transport.patience import Patience
from edgebench.transport.remote import Remote

# As on this machine: the harness ends itself at its deadline, the kernel 2 s later.
GRACE_S = 10.0
# A launch that measures for longer is kept alive by a heartbeat; a shorter one is bounded by its deadline well enough.
LONG_S = 120.0
_MEGABYTE = 1_000_000
# The last words of the harness; its trace says everything else.
_SAID_CHARACTERS = 4000

T = TypeVar("T")
# Launches that may be repeated after a loss, and how often before it is told.
_REPEATABLE = ("verify", "canary")
_REPEATS = 2
# The runtime of a plan that loads nothing.
CANARIES_ALONE = "none"


class _LaunchLost(LaunchFailed):
    """The device was lost during the launch, and is back."""


@dataclass(frozen=True)
class Place:
    """Where edgebench keeps its files on a device: all of them below ``folder``."""

    folder: str

    @property
    def store(self) -> str:
        """Files by their hash: harness, networks, inputs. They stay, so that they are sent once."""
        return f"{self.folder}/store"

    @property
    def launches(self) -> str:
        """A folder for each launch under way."""
        return f"{self.folder}/launches"


class RemoteLauncher:
    """Launches agents on the device behind ``remote``: ``agents`` are those that it can have, by runtime."""

    def __init__(
        self,
        remote: Remote,
        patience: Patience,
        place: Place,
        agents: Mapping[str, RemoteAgent],
        emit: Emit,
        *,
        verify_files: bool = False,
        keep: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._remote = remote
        self._patience = patience
        self._place = place
        self._agents = agents
        self._emit = emit
        self._verify_files = verify_files
        self._keep = keep
        self._pushed: dict[Path, str] = {}
        self._started: dict[RemoteAgent, str] = {}

    def prepare(self, runtime: Runtime, emit: Emit) -> None:
        """Brings the runtime's agent there and tries it. Raises UsageError for a runtime that cannot run there."""
        self._started_by(runtime.name, emit)

    def agent(self, runtime: Runtime) -> str:
        """The content of its agent, and the version of what that loads."""
        return self._agent(runtime.name).identity(self._remote)

    def version(self, runtime: Runtime) -> str:
        """That of the device."""
        return self._agent(runtime.name).version(self._remote)

    def build(self, plan: Plan) -> None:
        """See Launcher.build. Raises as ``launch`` does; repeated as one that proves is."""
        if self._agent(plan.runtime).builds:
            self._repeatedly(lambda: self._attempt(plan, self._planned))

    def launch(self, plan: Plan) -> Trace:
        """One fresh process on the device, its trace and outputs brought here, to where ``plan`` wants them.

        Raises what HostLauncher.launch raises, DeviceLost where the device does not come back, and TransferFailed where files
        arrive damaged again and again. Where it comes back, a launch that measures has failed; one that proves or probes is
        repeated, as nothing of it depends on when it runs.
        """
        if plan.mode in _REPEATABLE:
            return self._repeatedly(lambda: self._attempt(plan, self._launch))
        return self._attempt(plan, self._launch)

    @staticmethod
    def _repeatedly(attempt: Callable[[], T]) -> T:
        for _ in range(_REPEATS):
            with suppress(_LaunchLost):
                return attempt()
        return attempt()

    def _attempt(self, plan: Plan, do: Callable[[Plan, str], T]) -> T:
        """``do`` with a folder of its own on the device, which is gone afterwards."""
        folder = f"{self._place.launches}/{secrets.token_hex(8)}"
        # A probe uses its folder again: the last launch's trace must not pass for this one's.
        Path(plan.trace_path).unlink(missing_ok=True)
        try:
            done = do(plan, folder)
        except BaseException as error:
            # What went wrong must not be forgotten over a cable that is out, too, a Ctrl-C above all. What stays on the device
            # ends by its own deadline, and the next run removes it.
            try:
                stays = clean_up(self._remote, folder, timeout_s=GRACE_S)
            except DeviceError as trouble:
                stays = f"the launch's folder stays on the device: {trouble.message}"
            if stays:
                error.add_note(stays)
            if not isinstance(error, DeviceLost | CommandTimedOut):
                raise
            self._return_and_clean_up(folder, error)
            raise _LaunchLost(f"the device was lost during the launch: {error.message}", hint=error.hint) from error
        try:
            self._tell(clean_up(self._remote, folder, timeout_s=GRACE_S))
        except (DeviceLost, CommandTimedOut) as error:
            # What it was for is here: nothing is lost but time.
            self._return_and_clean_up(folder, error)
        return done

    def _tell(self, stays: str) -> None:
        if stays:
            self._emit(Note(stays))

    def _return_and_clean_up(self, folder: str, error: DeviceLost | CommandTimedOut) -> None:
        """Waits for the device, which may have been restarted: nothing is taken for granted. Raises DeviceLost."""
        # A way that is stuck (a network out of reach) looks like a command that does not end.
        lost = error if isinstance(error, DeviceLost) else DeviceLost(error.message, hint=error.hint)
        self._patience.await_return(lost)
        self._pushed.clear()
        self._started.clear()
        self._tell(self._patience.ask(lambda: clean_up(self._remote, folder, timeout_s=GRACE_S)))

    def _launch(self, plan: Plan, folder: str) -> Trace:
        there = self._planned(plan, folder)
        started = self._started_by(plan.runtime, self._emit)
        if plan.deadline_s <= LONG_S:
            raw = self._run(there, plan, started)
        else:
            self._keep(plan.deadline_s + GRACE_S)
            raw = self._run_long(there, plan, started)
            # What was measured is here. Whether the device is still ours is asked, and told, before the next launch.
            with suppress(DeviceError):
                self._keep(0.0)
        trace = self._agent(plan.runtime).adapted(raw, plan)
        if trace is not raw:
            write_atomic(Path(plan.trace_path), encode_trace(trace))
        return trace

    def _planned(self, plan: Plan, folder: str) -> Plan:
        """``plan`` as the device reads it, everything in it there."""
        started = self._started_by(plan.runtime, self._emit)

        def launch(build: Plan) -> Trace:
            self._keep(build.deadline_s + GRACE_S)
            local = Path(plan.work_dir) / Path(build.trace_path).name
            trace = self._run(build, replace(build, work_dir=plan.work_dir, trace_path=str(local)), started)
            self._keep(0.0)
            return trace

        site = Site(self._place.folder, self._remote, self._emit, launch)
        return self._agent(plan.runtime).planned(self._moved(plan, folder), site)

    def _run_long(self, there: Plan, plan: Plan, started: str) -> Trace:
        """As ``_run``, what runs there ending itself once this program or the way to it is gone."""
        beside = self._remote.beside()
        if beside is None:
            self._emit(
                Note(
                    "this connection carries one command at a time: a launch that loses it goes on there until its own "
                    f"deadline, {there.deadline_s:.0f} s; adb, where it is installed, ends it within seconds"
                )
            )
            return self._run(there, plan, started)
        path = f"{there.work_dir}/heartbeat"
        try:
            with heartbeat(beside, path):
                return self._run(replace(there, heartbeat_path=path, heartbeat_max_age_s=MAX_AGE_S), plan, started)
        finally:
            beside.close()

    def _run(self, there: Plan, plan: Plan, started: str) -> Trace:
        """The harness's own trace: ``there`` is the plan as the device reads it, ``plan`` as of here."""
        folder = there.work_dir
        here = Path(plan.work_dir)
        said_path, trace_path = here / "agent.stderr", Path(plan.trace_path)
        write_atomic(here / "plan.json", encode(there))
        self._moving(lambda: self._remote.put(encode(there), f"{folder}/plan.json"))
        bound_s = plan.deadline_s + GRACE_S
        script = start_script(started, folder, plan.threads)
        try:
            ran = self._remote.run_script(script, timeout_s=bound_s)
        except CommandTimedOut as late:
            # What is there of its trace says how far it came.
            with suppress(DeviceRefused, TransferFailed):
                self._remote.pull(there.trace_path, trace_path)
            said_path.write_text(late.output[-_SAID_CHARACTERS:], encoding="utf-8")
            return finished_trace(plan, trace_path, Ending(0, True, bound_s, late.output.strip(), said_path))
        said_path.write_text(ran.output[-_SAID_CHARACTERS:], encoding="utf-8")
        require_noted(ran, folder)
        # A harness that could not start wrote none; what it said is told then.
        with suppress(DeviceRefused):
            self._moving(lambda: self._remote.pull(there.trace_path, trace_path))
        status = ran.status if ran.status <= 128 else 128 - ran.status
        trace = finished_trace(plan, trace_path, Ending(status, False, bound_s, ran.output.strip(), said_path))
        return self._with_files(trace, here)

    def _with_files(self, trace: Trace, here: Path) -> Trace:
        """The same trace with every file that it names here: outputs, and the graph that a profile's layers are of."""

        def brought(there: str) -> str:
            local = here / Path(there).name
            self._moving(partial(self._remote.pull, there, local))
            return str(local)

        rows = []
        for row in trace.rows:
            if isinstance(row, OutputRow):
                row = replace(row, path=brought(row.path))
            elif isinstance(row, LayersRow) and row.graph is not None:
                row = replace(row, graph=brought(row.graph))
            elif isinstance(row, ProgramRow):
                row = replace(row, files=self._with_said(row.files, brought))
            rows.append(row)
        return Trace(rows=tuple(rows))

    @staticmethod
    def _with_said(files: Mapping[str, str], brought: Callable[[str], str]) -> dict[str, str]:
        """A program's files, brought here; one that it never wrote is left out, as it may have failed before."""
        here = {}
        for role, path in files.items():
            with suppress(DeviceRefused):
                here[role] = brought(path)
        return here

    def _moved(self, plan: Plan, folder: str) -> Plan:
        """``plan`` with every path as it is on the device, and every file there."""
        library = self._agent(plan.runtime).canary_library()
        return replace(
            plan,
            artifacts=tuple(self._moved_artifact(artifact) for artifact in plan.artifacts),
            canary_library=None if library is None else self._there(library),
            work_dir=folder,
            trace_path=f"{folder}/trace.jsonl",
        )

    def _moved_artifact(self, artifact: PlannedArtifact) -> PlannedArtifact:
        def moved(tensor: TensorFile) -> TensorFile:
            return replace(tensor, path=self._there(Path(tensor.path)))

        return replace(
            artifact,
            files={role: self._there(Path(path)) for role, path in artifact.files.items()},
            batches=tuple(tuple(moved(tensor) for tensor in batch) for batch in artifact.batches),
        )

    def _there(self, local: Path, *, executable: bool = False) -> str:
        """The device's path of a file of this machine, sent where it is not there yet."""
        if local not in self._pushed:
            self._pushed[local] = self._push(local, self._emit, executable=executable)
        return self._pushed[local]

    def _push(self, local: Path, emit: Emit, *, executable: bool = False) -> str:
        total = local.stat().st_size // _MEGABYTE
        sha256 = sha256_file(local)
        was_sent = False

        def told(sent: int) -> None:
            nonlocal was_sent
            was_sent = True
            # A small file is there before anyone could read that it is on its way.
            if total > 1:
                emit(Progressed(f"push {local.name}", sent // _MEGABYTE, total, "MB"))

        def push(*, verify: bool) -> str:
            return self._remote.push(
                local, self._place.store, sha256=sha256, executable=executable, on_progress=told, verify=verify
            )

        there = self._moving(lambda: push(verify=self._verify_files))
        # A bit that flipped on the way would stay in the store under the right name: what was sent is hashed there once.
        if was_sent and not self._verify_files:
            there = self._moving(lambda: push(verify=True))
        return there

    def _moving(self, move: Callable[[], T]) -> T:
        """A transfer, which may be done twice: again once a lost device is back, and once where what arrived is not whole."""
        try:
            return self._patience.ask(move)
        except TransferFailed:
            return self._patience.ask(move)

    def _agent(self, runtime: str) -> RemoteAgent:
        """Raises UsageError."""
        if runtime not in self._agents:
            able = ", ".join(name for name in self._agents if name != CANARIES_ALONE)
            raise UsageError(f"{runtime} does not run on this device: {able} does", hint=f"use --runtime {able}")
        return self._agents[runtime]

    def _started_by(self, runtime: str, emit: Emit) -> str:
        """The words that start the agent of a runtime, which is there then."""
        agent = self._agent(runtime)
        if agent not in self._started:
            what = "for the canaries" if runtime == CANARIES_ALONE else f"for {runtime}"
            emit(StageStarted("agent", f"{what} to the device"))
            self._started[agent] = agent.ready(
                lambda local, executable: self._there(local, executable=executable), self._remote
            )
            emit(StageFinished("agent", agent.identity(self._remote).partition(" ")[0]))
        return self._started[agent]
