"""Does a run on a board leave anything behind, whatever happens to it? On a simulated device: no real board is in it.

A virtual board (``tests/virtual_board``): a real sshd in a world of its own, a Jetson by its files. What is checked stands in
``fault_recording``. Changed for each run, and to be restored: power mode and locked clocks.

    python -m benchmarks.board_faults --faults 200 --workers 2
    python -m benchmarks.board_faults --report
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.fault_kinds import OF_THE_RUN, Case, Kinds, drawn, of_files
from benchmarks.fault_recording import CHECKOUT, main
from benchmarks.fault_rig import with_harness
from edgebench.transport.ssh_client import CONFIGURATION
from tests.virtual_board.board import VirtualBoard, virtual_board
from tests.virtual_board.sshd import NAME
from tests.virtual_phone import host
from tests.virtual_phone.faults import Faults, KillProcess

# In a case's faults, what a board makes of them: ``frozen`` stops its sshd, ``offline`` cuts every connection once,
# ``unauthorized`` takes this computer's key away, ``kill_process`` kills the harness, or every process of its sshd at once.
_HARNESS_LOOK_S = 0.005
_SSHD = KillProcess(containing="sshd", after_ms=0, times=1)


class FaultyBoard:
    """One virtual board; see fault_rig.Simulated."""

    def __init__(self, board: VirtualBoard) -> None:
        self._board = board
        self._keys = (board.sshd.folder / "authorized_keys").read_text()
        self._killed: list[int] = []
        self._healed = threading.Event()
        self.flags = (
            "--target",
            "orin-nano",
            "--serial",
            NAME,
            "--power-mode",
            "0",
            "--lock-clocks",
            "--runtime",
            "ncnn",
        )
        self.env = {
            CONFIGURATION: str(board.sshd.config),
            "PATH": os.environ["PATH"],
            "HOME": str(board.folder),
            "LANG": "C.UTF-8",
        }
        self.own = board.sshd.place

    def before(self, case: Case) -> None:
        """The user's own power mode."""
        (self._board.jetson / "mode").write_text(f"{_user_mode(case)}\n")
        self._killed.clear()
        self._healed.clear()

    def inject(self, case: Case) -> None:
        """Faults of its sessions and of its sshd, or a restart."""
        faults = case.faults or Faults()
        sshd = self._board.sshd
        sshd.set_faults(faults)
        if faults.frozen:
            sshd.freeze()
        if faults.offline:
            sshd.cut()
        if faults.unauthorized:
            (sshd.folder / "authorized_keys").write_text("")
            sshd.cut()
        if faults.kill_process == _SSHD:
            self._killed += sshd.kill()
        elif faults.kill_process:
            threading.Thread(target=self._kill, args=(with_harness(faults).kill_process,), daemon=True).start()
        if case.reboots:
            self._board.restart()

    def heal(self) -> None:
        """A sound sshd, and nothing is killed any more."""
        self._healed.set()
        sshd = self._board.sshd
        sshd.set_faults(Faults())
        (sshd.folder / "authorized_keys").write_text(self._keys)
        sshd.freeze(frozen=False)

    def struck(self, case: Case, since_ns: int) -> bool:
        """By what its sessions noted, and by the harness that was killed."""
        if case.faults and case.faults.kill_process:
            return bool(self._killed)
        return case.struck([event for event in self._board.sshd.all_events() if event["at_ns"] >= since_ns])

    def answers(self) -> bool:
        """Whether its sshd listens."""
        return host.answers(self._board.sshd.port)

    def settings(self) -> object:
        """Power mode, and whether clocks are locked."""
        return self._board.read("mode"), self._board.read("locked")

    def user_settings(self, case: Case) -> object:
        """As the user had them."""
        return _user_mode(case), None

    def running(self) -> list[str]:
        """What of edgebench's runs there."""
        return [" ".join(argv) for _, argv in self._board.processes() if _is_ours(argv, str(self.own))]

    def _kill(self, fault: KillProcess) -> None:
        """The harness, so long after it was first seen, until all is well again."""
        while not self._healed.is_set():
            for pid, argv in self._board.processes():
                if argv and fault.containing in argv[0] and pid not in self._killed:
                    if self._healed.wait(fault.after_ms / 1e3):
                        return
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        self._killed.append(pid)
                    if fault.times == 1:
                        return
            self._healed.wait(_HARNESS_LOOK_S)


def _user_mode(case: Case) -> str:
    return "0" if case.stay_on == "3" else "1"


def _is_ours(argv: tuple[str, ...], own: str) -> bool:
    """The harness and the guard, and any command of ours that goes on after its connection: not the session of one."""
    line = " ".join(argv)
    return own in line and "faulty_session" not in line


def _cut(_rng: random.Random) -> dict[str, Any]:
    return {"faults": Faults(offline=True), "for_s": 0.1}


def _frozen(rng: random.Random) -> dict[str, Any]:
    return {"faults": Faults(frozen=True), "for_s": rng.choice([2.0, 8.0, 20.0, 50.0]) * (0.5 + rng.random())}


def _no_key(rng: random.Random) -> dict[str, Any]:
    return {"faults": Faults(unauthorized=True), "for_s": rng.choice([2.0, 10.0, 80.0]) * (0.5 + rng.random())}


def _sshd_killed(_rng: random.Random) -> dict[str, Any]:
    return {"faults": Faults(kill_process=_SSHD)}


def _restart(_rng: random.Random) -> dict[str, Any]:
    return {"reboots": True}


KINDS: Kinds = {
    **of_files(),
    "connection cut": _cut,
    "board frozen": _frozen,
    "sshd killed": _sshd_killed,
    "key withdrawn": _no_key,
    "board restarted": _restart,
    **OF_THE_RUN,
}


def draw(seed: int, number: int) -> Case:
    """The case of this number on a board."""
    return drawn(KINDS, seed, number)


@contextmanager
def faulty_board(folder: Path) -> Iterator[FaultyBoard]:
    """A board of its own."""
    with virtual_board(folder / "board") as board:
        yield FaultyBoard(board)


if __name__ == "__main__":
    raise SystemExit(
        main(__doc__ or "", CHECKOUT / "reports" / "benchmarks" / "board_faults.jsonl", faulty_board, draw)
    )
