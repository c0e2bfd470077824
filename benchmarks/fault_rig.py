"""One simulated device and one edgebench that knows nothing else: a fault is injected into a run, what is left is looked at.

What the checks (a) to (e) are stands in ``fault_recording``.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from benchmarks.fault_kinds import HARNESS, Case
from benchmarks.raw_rows import placeless
from benchmarks.tiny_network import tiny_network
from edgebench.files import cache_root
from edgebench.records import RunRecord
from edgebench.records.codec import decode
from edgebench.runtime.abis import host_abi
from edgebench.runtime.harness_build import find_harness
from tests.virtual_phone import host
from tests.virtual_phone.faults import Faults

CHECKOUT = Path(__file__).resolve().parents[1]
# As the device's own bounds have it: a launch ends at its deadline and the guard restores when its lease is over (145 s,
# in ticks of 5 s that a busy machine makes longer); each leaves a moment later.
GUARD_BOUND_S = 175.0
# A killed guard, or one whose journal is gone, ends at its next tick.
LEAVE_BOUND_S = 15.0
# So many looks in a row must find nothing.
LOOKS, LOOK_S = 5, 0.3
# A run is over in less once it has printed its results.
LATE_S = 0.5
RUN_BOUND_S = 400.0
DOCUMENTED = (0, 1, 5, 6, 130)
_TOLD = re.compile(r"^\S+: \d+ of \d+, [\d.]+ ms", re.MULTILINE)


@dataclass
class Row:
    """What one fault did, as it is recorded. A row counts where the fault struck."""

    number: int
    kind: str
    case: dict[str, Any]
    device: str = "simulated device"
    struck: bool = False
    at_s: float = 0.0
    exit_status: int = 0
    run_s: float = 0.0
    said: str = ""
    launches_told: int = 0
    launches_read: int = 0
    gone_s: float | None = None
    restored_by: str = ""
    next_status: int = 0
    failures: list[str] = field(default_factory=list)


class Simulated(Protocol):
    """A simulated device, as a fault's bookkeeping needs it."""

    flags: Sequence[str]
    """By which edgebench finds it and changes its settings."""
    env: Mapping[str, str]
    """All that edgebench knows of this machine."""
    own: Path
    """edgebench's folder there."""

    def before(self, case: Case) -> None:
        """As the user has it before the run."""

    def inject(self, case: Case) -> None:
        """From now on."""

    def heal(self) -> None:
        """All well again."""

    def struck(self, case: Case, since_ns: int) -> bool:
        """Whether what was noted since then shows that it did."""

    def answers(self) -> bool:
        """Whether it can be reached."""

    def settings(self) -> object:
        """Those that edgebench changes, as they are."""

    def user_settings(self, case: Case) -> object:
        """The same as the user had them."""

    def running(self) -> Sequence[str]:
        """The command lines of what somebody started there and left running."""


class Rig:
    """One simulated device, and the folders of an edgebench that knows nothing but it."""

    def __init__(self, device: Simulated, folder: Path) -> None:
        self.device = device
        self.model = tiny_network(folder)
        self._runs = folder / "runs"
        own = {
            "XDG_STATE_HOME": str(folder / "state"),
            "EDGEBENCH_CACHE": str(cache_root()),
            "TMPDIR": str(folder),
            "OMP_NUM_THREADS": "1",
            "NO_COLOR": "1",
        }
        self._env = {**device.env, **own}
        self.undisturbed_s = 0.0

    def warm_up(self) -> None:
        """Builds what is missing, and learns how long a run takes. Raises RuntimeError where a sound phone fails."""
        for index in range(3):
            begin_s = time.monotonic()
            status, said = self.finish(self.start(Case(kind="none", at=0.0), self._runs / "sound"))
            took_s = time.monotonic() - begin_s
            self.undisturbed_s = min(took_s, self.undisturbed_s) if index else took_s
            if status not in (0, 6):
                raise RuntimeError(f"a run that nothing disturbs ended with {status}: {said[-2000:]}")

    def start(self, case: Case, runs: Path, *more: str) -> subprocess.Popen[str]:
        """``edgebench run`` in a session of its own; its stderr is a pipe."""
        where = [*self.device.flags, "--runs-dir", str(runs), "--no-profile"]
        effort = ["--gate", "--max-time", "25s"] if case.gated else ["--no-gate"]
        checked = ["--verify-files"] if case.verified else []
        words = ["run", str(self.model), *where, *effort, *checked, *(more or ["--launches", "2"])]
        return subprocess.Popen(
            [sys.executable, "-m", "edgebench", *words],
            env=self._env,
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self, process: subprocess.Popen[str], bound_s: float = RUN_BOUND_S) -> tuple[int | None, str]:
        """Its exit status, None where it had to be killed, and what it said."""
        try:
            said = process.communicate(timeout=bound_s)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            return None, process.communicate()[1]
        return process.returncode, said

    def play(self, number: int, case: Case) -> Row:
        """Injects one fault into one run, and looks at what is left."""
        row = Row(number, case.kind, described(case))
        self.device.before(case)
        if case.fresh_store:
            self.empty_store()
        runs = self._runs / f"{number:04d}"
        begin_s = time.monotonic()
        process = self.start(case, runs, "--launches", "2", "--no-wait")
        row.at_s = case.at * self.undisturbed_s
        since_ns, in_time = self._inject(case, process, row.at_s)
        injected_s = time.monotonic()
        status, said = self.finish(process)
        ended_s = time.monotonic()
        row.run_s = ended_s - begin_s
        self.device.heal()
        row.struck = in_time and self.device.struck(case, since_ns)
        row.exit_status, row.said = status if status is not None else -99, placeless(said[-1500:])
        if case.signals and status in (0, 6):
            # All was put away already when the signal came, or it was ignored.
            row.struck = ended_s - injected_s > LATE_S
            if row.struck:
                row.failures.append(
                    f"(d) it went on for {ended_s - injected_s:.1f} s after the signal, to status {status}"
                )
        self._check_ending(row, case, status, said)
        self._check_launches(row, runs, said)
        back_s = host.PATIENCE_S + case.away_s
        host.patiently(self.device.answers, "the device does not come back", patience_s=back_s)
        self._check_device(row, case)
        return row

    def empty_store(self) -> None:
        """The device as it was before the first run."""
        for file in (self.device.own / "store").glob("*"):
            file.unlink()

    def _inject(self, case: Case, process: subprocess.Popen[str], at_s: float) -> tuple[int, bool]:
        """When it was, on the monotonic clock, and whether the run was still under way."""
        try:
            process.wait(at_s)
        except subprocess.TimeoutExpired:
            in_time = True
        else:
            return time.monotonic_ns(), False
        since_ns = time.monotonic_ns()
        self.device.inject(case)
        for number in case.signals:
            time.sleep(case.gap_s)
            process.send_signal(number)
        if case.for_s is not None:
            heal = threading.Timer(case.for_s, self.device.heal)
            heal.start()
            # communicate() comes later: the pipe holds what a run says meanwhile.
            wait_at_most(process, case.for_s)
            heal.join()
        return since_ns, in_time

    def _check_ending(self, row: Row, case: Case, status: int | None, said: str) -> None:
        wanted = (*DOCUMENTED, -9) if case.kind == "SIGKILL" else DOCUMENTED
        if status not in wanted:
            row.failures.append(f"(d) exit status {status}")
        if "Traceback" in said or "internal error" in said:
            row.failures.append("(d) a traceback or an internal error")
        if status in (1, 5, 6, 130) and not (said_of(said, "error") and said_of(said, "hint")):
            row.failures.append(f"(d) status {status} without an error and a hint")

    def _check_launches(self, row: Row, runs: Path, said: str) -> None:
        row.launches_told = len(_TOLD.findall(said))
        for folder in sorted(path.parent for path in runs.glob("*/run.json")):
            shown = subprocess.run(
                [sys.executable, "-m", "edgebench", "show", str(folder), "--launches", "--json"],
                env=self._env,
                cwd=CHECKOUT,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            if shown.returncode not in (0, 6) or "results" not in json.loads(shown.stdout or "{}"):
                row.failures.append(f"(d) edgebench show ends with {shown.returncode}: {shown.stderr[-300:]}")
                continue
            record = decode(RunRecord, (folder / "run.json").read_bytes(), path=str(folder))
            finished = [it for series in record.series for it in series.launches if it.validity != "FAILED"]
            missing = [it.index for it in finished if it.trace is None or not (folder / it.trace).is_file()]
            if missing:
                row.failures.append(f"(d) launches {missing} have no trace")
            row.launches_read += len(finished) - len(missing)
        if row.launches_read < row.launches_told:
            row.failures.append(f"(d) {row.launches_told} launches were told, {row.launches_read} can be read")

    def _check_device(self, row: Row, case: Case) -> None:
        end_s = time.monotonic()

        def sound() -> bool:
            return self.device.settings() == self.device.user_settings(case)

        if sound():
            row.restored_by = "the run"
        if case.guarded and not case.reboots:
            _until(lambda: sound() and not self.device.running(), GUARD_BOUND_S)
            row.restored_by = row.restored_by or ("its guard" if sound() else "")
            if not sound():
                row.failures.append(f"(c) settings are {self.device.settings()} after the guard's time")
            if not self._note_gone(row, end_s):
                row.failures.append(f"(a) still running: {self._running()}")
        following = self.start(Case(kind="none", at=0.0), self._runs / "next", "--launches", "1", "--no-wait")
        status, said = self.finish(following)
        row.next_status = status if status is not None else -99
        if status not in (0, 6):
            row.failures.append(f"(b) the next run ended with {status}: {said[-600:]}")
        _until(lambda: not self.device.running(), LEAVE_BOUND_S)
        if not self._note_gone(row, end_s):
            row.failures.append(f"(a) still running after the next run: {self._running()}")
        row.restored_by = row.restored_by or ("the next run" if sound() else "")
        if not sound():
            row.failures.append(f"(c) settings are {self.device.settings()} after the next run")
        self._check_folder(row)

    def _note_gone(self, row: Row, since_s: float) -> bool:
        if self.device.running():
            return False
        if row.gone_s is None:
            row.gone_s = round(time.monotonic() - since_s, 1)
        return True

    def _check_folder(self, row: Row) -> None:
        own = self.device.own
        left = [path.name for path in own.glob("*") if path.name not in ("store", "launches")]
        left += [f"launches/{path.name}" for path in (own / "launches").glob("*")]
        left += [f"store/{path.name}" for path in (own / "store").glob(".*.part")]
        if left:
            row.failures.append(f"(e) left in its folder: {', '.join(sorted(left))}")

    def _running(self) -> str:
        return "; ".join(line[:160] for line in self.device.running())


def wait_at_most(process: subprocess.Popen[str], at_most_s: float) -> None:
    """Waits for its end or for so long."""
    try:
        process.wait(at_most_s)
    except subprocess.TimeoutExpired:
        return


def _until(holds: Callable[[], bool], at_most_s: float) -> None:
    """Waits until it holds and goes on holding: a killed run's last command may only just be starting on the device."""
    deadline_s = time.monotonic() + at_most_s
    looks = 0
    while looks < LOOKS and time.monotonic() < deadline_s:
        time.sleep(LOOK_S)
        looks = looks + 1 if holds() else 0


def said_of(said: str, word: str) -> str:
    """What stands behind ``error:`` or ``hint:``; empty where nothing does."""
    found = re.findall(rf"^{word}: (.+)$", said, re.MULTILINE)
    return found[-1].strip() if found else ""


def with_harness(faults: Faults) -> Faults:
    """The harness's name filled in. Raises RuntimeError where none is built yet."""
    kill = faults.kill_process
    if kill is None or kill.containing != HARNESS:
        return faults
    harness = find_harness(host_abi() or "x86_64")
    if harness is None:
        raise RuntimeError("the harness was built a moment ago, and is gone")
    return replace(faults, kill_process=replace(kill, containing=harness.sha256))


def described(case: Case) -> dict[str, Any]:
    """As it is recorded: only what is not as usual."""
    plain = {key: value for key, value in asdict(replace(case, faults=None)).items() if key not in ("kind", "struck")}
    plain["signals"] = [number.name for number in case.signals]
    plain["faults"] = case.faults.given() if case.faults else {}
    return {key: value for key, value in plain.items() if value not in (None, False, [], {}, 0.0)}


@contextmanager
def rig(open_device: Callable[[Path], AbstractContextManager[Simulated]], folder: Path) -> Iterator[Rig]:
    """A device of its own, warmed up."""
    folder.mkdir(parents=True)
    with open_device(folder) as device:
        ready = Rig(device, folder)
        ready.warm_up()
        yield ready
