"""What a launch does, by the plan's mode. Every function writes its rows and returns how many iterations counted."""

from __future__ import annotations

import os
import time
from typing import Callable, ContextManager, Dict, List, NamedTuple, Optional, Tuple

from . import host, sessions, tensors
from .beside import beside
from .canary import Canaries
from .counters import Counters, between
from .timing import Progress, quiet_interpreter, timed_block, timed_turns, warm_up
from .wire import AgentError, Json, TraceWriter

# The profiler stores every kernel of every run: enough for a median, little enough to stay quick to write.
PROFILE_ITERATIONS_MIN = 30
PROFILE_ITERATIONS_MAX = 200
# Of a launch of a pair, to time each alone.
SOLO_PART = 8
# Two times A B B A of each.
TURNS_MIN = 4
# A block's room is made before anything is timed: a plan without a bound to speak of must not fill the memory.
BLOCK_MAX = 65536


class Launch:
    """One plan under way: the trace, the canaries and how to look at the device."""

    def __init__(self, plan: Json, trace: TraceWriter, canaries: Optional[Canaries], other_cores: List[int]) -> None:
        self.plan = plan
        self._other_cores = other_cores
        self.trace = trace
        self._canaries = canaries
        self.schedule: Json = plan["schedule"]
        # Before a runtime starts threads of its own: these are counted, too.
        self.counters = Counters()

    @property
    def canaries(self) -> Canaries:
        """The canaries of a mode that has them."""
        if self._canaries is None:
            raise AgentError("internal", "mode {} has no canaries".format(self.plan["mode"]))
        return self._canaries

    def beside(self) -> ContextManager[None]:
        """The plan's programs, while something is timed."""
        return beside(self.plan.get("beside", ()), self._other_cores, self.trace)

    def write_telemetry(self) -> None:
        """A telemetry row."""
        self.trace.row("telemetry", **host.telemetry(self.plan["cores"], self.plan["thermal_zones"]))

    def write_canaries(self, when: str) -> None:
        """A canaries row; before anything is timed the clock settles first."""
        settle_ns = self.canaries.settle(self.schedule["settle_max_ms"]) if when == "before" else 0
        self.trace.row("canaries", **self.canaries.read(when, settle_ns))

    def load(self, index: int, profile_into: Optional[str] = None) -> sessions.Session:
        """Loads an artifact and writes its load row, with the cores that its threads were really given."""
        artifact = self.plan["artifacts"][index]
        start = time.monotonic_ns()
        runtime = sessions.import_runtime(self.plan["runtime"])
        imported = time.monotonic_ns()
        request = sessions.Request(
            artifact["files"], self.plan["options"], self.plan["threads"], self.plan["work_dir"], profile_into
        )
        session = runtime.load(request)
        loaded = time.monotonic_ns()
        self.trace.row(
            "load",
            artifact=index,
            t_ns=start,
            import_ns=imported - start,
            load_ns=loaded - imported,
            runtime_version=session.version,
            precision_computed=session.precision_computed,
            computed_on=session.computed_on,
            resolved=dict(session.resolved, cores=",".join(map(str, host.allowed_cores()))),
        )
        return session

    def ready(self, index: int) -> Ready:
        """An artifact, loaded, with its first batch bound."""
        session = self.load(index)
        return Ready(index, session, session.prepare(tensors.read_batch(self.plan["artifacts"][index]["batches"][0])))

    def begin(self) -> None:
        """How the device is before anything is timed."""
        self.write_telemetry()
        self.write_canaries("before")

    def finish(self) -> None:
        """And afterwards."""
        self.write_canaries("after")
        self.write_telemetry()

    def warm_up(self, run: Callable[[], object], index: int = 0) -> None:
        """A warmup row."""
        s = self.schedule
        start = time.monotonic_ns()
        durations, settled = warm_up(run, s["warmup_window"], s["warmup_tolerance"], s["warmup_max_ms"])
        self.trace.row("warmup", artifact=index, t_ns=start, iterations_ns=durations, settled=settled)


class Ready(NamedTuple):
    """An artifact by its place in the plan, what it was loaded into, and one inference of it."""

    place: int
    session: sessions.Session
    run: Callable[[], object]


def measure(launch: Launch) -> int:
    """Times one artifact between canaries."""
    one = launch.ready(0)
    with launch.beside(), quiet_interpreter():
        launch.begin()
        launch.warm_up(one.run)
        kept = time_alone(launch, one, launch.schedule)
        launch.finish()
    return kept


def pair(launch: Launch) -> int:
    """Two artifacts in one process: each alone, to see whether they disturb each other, then in turns for the ratio.

    Together as long as one launch of one artifact: an eighth alone, for each, and what is left in turns.
    """
    both = (launch.ready(0), launch.ready(1))
    schedule = launch.schedule
    solo_ms = max(1, min(schedule["measure_ms"] // SOLO_PART, schedule["canary_every_ms"]))
    # One block alone, however slow; in turns as few as two whole ones: a launch has a minute, also for slow networks.
    solo = dict(schedule, measure_ms=solo_ms, iterations_min=1)
    turns_ms = max(1, schedule["measure_ms"] - 2 * solo_ms)
    turns = dict(
        schedule,
        measure_ms=turns_ms,
        iterations_min=min(schedule["iterations_min"], TURNS_MIN),
        # Under a second: the canaries before and after see what a third in between would.
        canary_every_ms=max(schedule["canary_every_ms"], turns_ms),
    )
    kept = 0
    with launch.beside(), quiet_interpreter():
        launch.begin()
        for one in both:
            launch.warm_up(one.run, one.place)
            kept += time_alone(launch, one, solo)
        time_in_turns(launch, both, turns)
        launch.finish()
    return kept


def time_alone(launch: Launch, one: Ready, schedule: Json) -> int:
    """Blocks of one artifact, a canary between two; how many iterations counted."""
    core = host.core_reader()
    progress = Progress(schedule)
    while True:
        most, least, limit_ns = progress.limits()
        dropped = progress.drop
        before = launch.counters.read()
        start = time.monotonic_ns()
        durations, cores = timed_block(one.run, core, min(most, max(BLOCK_MAX, least)), least, limit_ns)
        elapsed_ns = time.monotonic_ns() - start
        counted = between(before, launch.counters.read())
        own = one.session.own_times(len(durations))
        launch.trace.row(
            "iterations",
            artifact=one.place,
            t_ns=start,
            stages={"net": progress.take(own.net if own else durations, elapsed_ns)},
            cores=cores[dropped:],
            dropped=dropped,
            transfers={name: values[dropped:] for name, values in own.transfers.items()} if own else {},
            cycles=counted.cycles,
            instructions=counted.instructions,
        )
        launch.write_telemetry()
        if progress.done:
            return progress.kept
        launch.write_canaries("between")


def time_in_turns(launch: Launch, both: Tuple[Ready, Ready], schedule: Json) -> None:
    """Blocks in which the two alternate, a canary between two, of which only ratios are taken."""
    core = host.core_reader()
    progress = Progress(schedule)
    while True:
        most, least, limit_ns = progress.limits()
        dropped = progress.drop
        start = time.monotonic_ns()
        room = min(most, max(BLOCK_MAX, least))
        timed = timed_turns((both[0].run, both[1].run), core, room, least, limit_ns)
        progress.take(timed[0][0], time.monotonic_ns() - start)
        for one, (durations, cores) in zip(both, timed):
            launch.trace.row(
                "iterations",
                artifact=one.place,
                t_ns=start,
                stages={"net": durations[dropped:]},
                cores=cores[dropped:],
                dropped=dropped,
                interleaved=True,
            )
        launch.write_telemetry()
        if progress.done:
            return
        launch.write_canaries("between")


def profile(launch: Launch) -> int:
    """Times the layers of one artifact; the canaries tell how disturbed that was."""
    session = launch.load(0, profile_into=launch.plan["work_dir"])
    run = session.prepare(tensors.read_batch(launch.plan["artifacts"][0]["batches"][0]))
    least = max(PROFILE_ITERATIONS_MIN, launch.schedule["iterations_min"])
    with quiet_interpreter():
        launch.write_telemetry()
        launch.write_canaries("before")
        launch.warm_up(run)
        limit_ns = launch.schedule["measure_ms"] * 1000000
        start = time.monotonic_ns()
        durations, _ = timed_block(run, lambda: -1, max(PROFILE_ITERATIONS_MAX, least), least, limit_ns)
        own = session.own_times(len(durations))
        launch.write_canaries("after")
        launch.write_telemetry()
    layers = session.layers(len(durations))
    total_ns = own.net if own else durations
    launch.trace.row("layers", artifact=0, t_ns=start, total_ns=total_ns, layers=layers, graph=session.optimized_graph)
    return len(durations)


def verify(launch: Launch) -> int:
    """Runs every batch of every artifact once and writes the outputs as raw files."""
    runs = 0
    for index, artifact in enumerate(launch.plan["artifacts"]):
        session = launch.load(index)
        for number, batch in enumerate(artifact["batches"]):
            outputs = session.run(tensors.read_batch(batch), artifact["outputs"])
            if len(outputs) != len(artifact["outputs"]):
                text = "{} outputs where the plan names {}".format(len(outputs), len(artifact["outputs"]))
                raise AgentError("bad_plan", text)
            for place, (name, array) in enumerate(zip(artifact["outputs"], outputs)):
                file = "artifact{}_batch{}_output{}.raw".format(index, number, place)
                path = os.path.join(launch.plan["work_dir"], file)
                row = tensors.write(array, path)
                launch.trace.row("output", artifact=index, batch=number, name=name, path=path, **row)
            runs += 1
    return runs


def canary(launch: Launch) -> int:
    """The canaries alone, once."""
    launch.write_telemetry()
    launch.write_canaries("before")
    launch.write_telemetry()
    return 0


def by_name(mode: str) -> Callable[[Launch], int]:
    """The function of a mode that ``wire.check_plan`` let through."""
    modes: Dict[str, Callable[[Launch], int]] = {
        "measure": measure,
        "pair": pair,
        "profile": profile,
        "verify": verify,
        "canary": canary,
    }
    return modes[mode]
