"""A virtual phone on a desk, and ``edgebench`` beside it: what the tests of phones through the command line share.

Launches are as short as they can be and disturbances are judged by limits that nothing reaches (see lenient.py): what is
tested is what happens and what is said, never how long a network took.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from edgebench.cli import app
from edgebench.cli import measuring as cli_measuring
from edgebench.files import sha256_bytes
from edgebench.measure import launching, reference
from edgebench.measure.limits import Limits
from edgebench.measure.validity import judge, judge_held
from edgebench.records import RunRecord, Schedule
from edgebench.records.codec import decode
from tests.virtual_phone.faults import Faults
from tests.virtual_phone.fixtures import AdbServer, adb_server, eventually
from tests.virtual_phone.phone import VirtualPhone, virtual_phone
from tests.virtual_phone.profiles import PhoneProfile

CHECKOUT = Path(__file__).parents[2]
# The network of most tests: no weights, no PyTorch, and it says its own input size.
PARAM = """7767517
3 3
Input in0 0 1 in0 0=16 1=16 2=3
Pooling pool 1 1 in0 a 0=1 1=2 2=2
ReLU out 1 1 a out0
"""
# No stall of a busy machine keeps so short a warm-up from settling; whether one settled is tested in test_validity.py.
QUICK = Schedule(
    warmup_tolerance=1e9,
    warmup_max_ms=40,
    measure_ms=40,
    canary_every_ms=20,
    drop_after_canary=1,
    settle_max_ms=20,
    iterations_max=500,
)
# Long enough for something to happen in the middle of it.
SLOW = replace(QUICK, measure_ms=600, canary_every_ms=300, iterations_max=1_000_000)
ONCE = ("--launches", "1", "--no-gate", "--no-profile")


@dataclass
class Desk:
    """One phone, the adb server that knows it, and a folder to work in. ``net`` is a model file there."""

    phone: VirtualPhone
    server: AdbServer
    folder: Path

    @property
    def net(self) -> str:
        """The model that most tests measure."""
        return str(self.folder / "net.param")

    @property
    def place(self) -> Path:
        """edgebench's folder on the phone, as this machine sees it."""
        return self.phone.files.data / "local" / "tmp" / "edgebench"

    def stored(self, data: bytes) -> Path:
        """The file of the phone's store with this content; its name is its hash."""
        return self.place / "store" / sha256_bytes(data)

    @contextmanager
    def during_launch(self, act: Callable[[int], None]) -> Iterator[None]:
        """``act``, once, while the block's first launch that measures is under way; it gets this machine's number of the
        harness. Raises what it raised, or RuntimeError where no launch came."""
        given_up = threading.Event()

        def watch() -> None:
            while not given_up.is_set():
                if (pid := self.measuring()) is not None:
                    act(pid)
                    return
                given_up.wait(0.005)
            raise RuntimeError("no launch was seen")

        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            try:
                yield
            finally:
                given_up.set()
            watching.result()

    def measuring(self) -> int | None:
        """This machine's number of the harness whose launch measures now, None between two."""
        for plan in self.place.glob("launches/*/plan.json"):
            with suppress(OSError, ValueError):
                if json.loads(plan.read_bytes())["mode"] != "measure":
                    continue
                for process in self.phone.processes():
                    if process.argv[1:] == (f"/data/local/tmp/edgebench/launches/{plan.parent.name}/plan.json",):
                        return process.pid
        return None

    def sh(self, script: str) -> str:
        """What the phone's shell prints."""
        done = self.server.adb("-s", self.phone.serial, "shell", script)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def put_right(self) -> None:
        """No faults, connected, nobody's."""
        self.phone.set_faults(Faults())

        def there() -> bool:
            if self.server.state(self.phone.serial) == "device":
                return True
            self.server.adb("disconnect", self.phone.serial)
            self.server.adb("connect", self.phone.serial)
            return False

        eventually(there, "the phone is there")

    def assert_left_alone(self) -> None:
        """Nothing runs on the phone, nobody holds it, no launch lies around, its settings are as they were."""
        # The guard of changed settings sees only at its next tick that there is nothing left to guard.
        eventually(lambda: not self.phone.processes(), "nothing runs on the phone")
        assert sorted(path.name for path in self.place.glob("launches/*")) == []
        for name in ("lock", "lease", "restore.sh"):
            assert not os.path.lexists(self.place / name), name
        assert self.phone.setting("global", "stay_on_while_plugged_in") == "0"
        assert self.phone.read_state("fixed_performance") in (None, "false")


@contextmanager
def desk(profile: PhoneProfile | str, folder: Path, **phone: Any) -> Iterator[Desk]:
    """A desk with one phone, which is the only one that adb knows; every file goes below ``folder``."""
    if shutil.which("adb") is None:
        pytest.skip("there is no adb: apt-get install adb")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        pytest.MonkeyPatch.context() as patch,
        adb_server(folder / "host") as server,
        virtual_phone(profile, folder / "phone", **phone) as one,
    ):
        server.use(patch)
        # The phone has its own; a fault of TMPDIR would be one of the test's.
        patch.delenv("TMPDIR", raising=False)
        work_in(folder, patch)
        server.connect(one)
        yield Desk(one, server, folder)


def work_in(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """edgebench works in ``folder``, keeps all but its cache there, and finds net.param.

    Launches are as short as can be, and no limit is one that a busy machine could reach.
    """
    patch.chdir(folder)
    patch.setenv("EDGEBENCH_CACHE", os.environ["EDGEBENCH_CACHE"])
    patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    patch.setenv("XDG_STATE_HOME", str(folder / "state"))
    (folder / "net.param").write_text(PARAM)
    (folder / "net.bin").write_bytes(b"")
    patch.setattr(cli_measuring, "Schedule", lambda: QUICK)
    patch.setattr(reference, "PROBES", 1)
    limits = Limits(**{each.name: 1e9 for each in fields(Limits)})
    patch.setattr(launching, "judge", lambda trace, plan, reference, _: judge(trace, plan, reference, limits))
    patch.setattr(launching, "judge_held", lambda trace, plan, reference, _: judge_held(trace, plan, reference, limits))


def records(runs: Path) -> list[RunRecord]:
    """Every run in a folder, oldest first."""
    paths = sorted(runs.glob("*/run.json"))
    return [decode(RunRecord, path.read_bytes(), path=str(path), hint="") for path in paths]


def the_record(runs: Path) -> RunRecord:
    """The one run in a folder."""
    [record] = records(runs)
    return record


def in_process(*arguments: str, out: Path) -> int:
    """The exit status of a command line, for fixtures that outlive a test; its standard output goes to ``out``."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with out.open("w", encoding="utf-8") as file, pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdout", file)
            return app.main(list(arguments))
    finally:
        # At its end it goes deaf to Ctrl-C, and whatever is started from here would inherit that.
        for number, handler in handlers.items():
            signal.signal(number, handler)


def started(folder: Path, *arguments: str, module: str = "tests.cli.lenient") -> subprocess.Popen[str]:
    """``edgebench`` as a process of its own, under way; as ``module`` *edgebench* it judges by its real limits."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )


def refused(outcome: Any, status: int, code: str) -> dict[str, str]:
    """The error of a command with ``--json``, told on stdout and in the same words on stderr, without a traceback."""
    assert outcome.status == status, outcome.err
    error: dict[str, str] = json.loads(outcome.out)["error"]
    assert error["code"] == code, error
    assert error["message"] in outcome.err and error["hint"] in outcome.err
    assert error["hint"]
    assert "Traceback" not in outcome.err and "internal error" not in outcome.err
    return error


Edgebench = Callable[..., Any]
