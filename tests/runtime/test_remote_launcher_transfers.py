"""What goes wrong while files are moved to and from the device is mended there and then, or nothing is measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgebench.errors import DeviceLost, TransferFailed
from edgebench.events import Event, Note
from edgebench.files import sha256_file
from edgebench.runtime.harness_build import Harness
from edgebench.runtime.remote_agents import native_agents
from edgebench.runtime.remote_launcher import Place, RemoteLauncher
from edgebench.transport.base import OnBytes, OnProgress
from edgebench.transport.patience import Patience
from edgebench.transport.remote import Remote
from tests.agent.launches import ncnn_net, plan
from tests.runtime.test_launcher import END, HEADER
from tests.transport.local_shell import LocalShellChannel
from tests.virtual_phone.faults import CorruptPush, Faults, TruncatePull

HARNESS = f"""#!/bin/sh
[ "$1" != --version ] || {{ echo harness 1; exit; }}
cat > "${{1%/*}}/trace.jsonl" <<'E'
{HEADER}{END}E
"""


class Channel(LocalShellChannel):
    """``faults`` strike ``times`` transfers; ``lose`` is called before each, and may raise."""

    def __init__(self, faults: Faults, times: int, lose: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._given, self._left, self._lose = faults, times, lose

    def _turn(self) -> None:
        self.faults = self._given if self._left > 0 else Faults()
        self._left -= 1

    def send(self, local: Path, remote: str, on_progress: OnProgress | None, *, timeout_s: float) -> None:
        self._lose()
        if self._given.corrupt_push:
            self._turn()
        super().send(local, remote, on_progress, timeout_s=timeout_s)

    def fetch(self, remote: str, local: Path, on_progress: OnProgress | None, *, timeout_s: float) -> None:
        self._lose()
        if self._given.truncate_pull:
            self._turn()
        super().fetch(remote, local, on_progress, timeout_s=timeout_s)


def launcher(folder: Path, channel: Channel, told: list[Event]) -> RemoteLauncher:
    program = folder / "program"
    program.write_text(HARNESS)
    remote = Remote(channel)
    harness = Harness(program, "x86_64", sha256_file(program), "sh")
    patience = Patience(remote, told.append)
    agents = native_agents("x86_64", told.append, harness=harness)
    return RemoteLauncher(remote, patience, Place(str(folder / "there")), agents, told.append)


def measure_plan(folder: Path):
    return plan(folder / "here", "measure", ncnn_net(folder, "Input x 0 1 x", 1), runtime="ncnn")


def test_a_file_that_arrived_with_a_flipped_bit_is_sent_again_before_anything_is_measured_with_it(tmp_path):
    channel = Channel(Faults(corrupt_push=CorruptPush(at_byte=0)), times=1)
    assert launcher(tmp_path, channel, []).launch(measure_plan(tmp_path)).complete
    for file in (tmp_path / "there" / "store").iterdir():
        assert sha256_file(file) == file.name


def test_a_file_that_always_arrives_damaged_is_told(tmp_path):
    channel = Channel(Faults(corrupt_push=CorruptPush(at_byte=0)), times=99)
    with pytest.raises(TransferFailed, match="what arrived is not what was sent"):
        launcher(tmp_path, channel, []).launch(measure_plan(tmp_path))
    assert not list((tmp_path / "there" / "launches").glob("*")), "the launch's folder is gone"


def test_a_trace_that_arrived_cut_off_is_fetched_again(tmp_path):
    channel = Channel(Faults(truncate_pull=TruncatePull(to_bytes=9)), times=1)
    assert launcher(tmp_path, channel, []).launch(measure_plan(tmp_path)).complete


def test_a_cable_that_fell_out_while_files_were_moved_costs_no_launch(tmp_path):
    lost: list[int] = []

    def lose() -> None:
        lost.append(1)
        # Files of the network, the harness or the plan, the trace.
        if len(lost) in (1, 4, 7):
            raise DeviceLost("gone", hint="plug it in")

    told: list[Event] = []
    assert launcher(tmp_path, Channel(Faults(), 0, lose), told).launch(measure_plan(tmp_path)).complete
    assert told.count(Note("the device is back")) == 3


class Gone(Channel):
    """Lost when it is first told to clean up; commands with ``containing`` are answered by ``answer``, which may raise."""

    def __init__(self, containing: str, answer: Callable[[], None]) -> None:
        super().__init__(Faults(), 0)
        self._containing, self._answer = containing, answer
        self.cleaned = 0

    def stream(self, script: str, on_bytes: OnBytes, *, timeout_s: float) -> bool:
        if self._containing in script:
            self._answer()
        if "rm -rf" in script:
            self.cleaned += 1
            if self.cleaned == 1:
                raise DeviceLost("gone", hint="plug it in")
        return super().stream(script, on_bytes, timeout_s=timeout_s)


def test_a_ctrl_c_while_the_cable_is_out_ends_the_run_all_the_same(tmp_path):
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launcher(tmp_path, Gone("wait $harness", interrupted), []).launch(measure_plan(tmp_path))


def test_a_cable_that_falls_out_after_the_trace_came_costs_no_launch(tmp_path):
    channel = Gone("nothing", lambda: None)
    assert launcher(tmp_path, channel, []).launch(measure_plan(tmp_path)).complete
    assert channel.cleaned == 2 and not list((tmp_path / "there" / "launches").glob("*"))
