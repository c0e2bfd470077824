"""The launcher for devices, on this machine's own shell: what is started there, what comes back, and what is left."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from edgebench.errors import (
    DeviceFull,
    DeviceLost,
    DeviceRefused,
    EdgebenchError,
    LaunchFailed,
    UnsupportedOperator,
    UsageError,
)
from edgebench.events import Event, Note, ignore
from edgebench.files import sha256_file
from edgebench.records import Plan
from edgebench.runtime import get_runtime, launch_scripts, remote_launcher
from edgebench.runtime.harness_build import Harness
from edgebench.runtime.heartbeat import heartbeat
from edgebench.runtime.remote_agents import native_agents
from edgebench.runtime.remote_launcher import Place, RemoteLauncher
from edgebench.transport import patience as patience_module
from edgebench.transport.base import OnBytes
from edgebench.transport.patience import Patience
from edgebench.transport.remote import Remote
from tests.agent.launches import ncnn_net, plan
from tests.runtime.test_launcher import END, HEADER, error
from tests.transport.local_shell import LocalShellChannel

STARTS = "wait $harness"
# Writes what the test says into the trace, and a few words of its own.
GOOD = f"""
cat > "${{1%/*}}/trace.jsonl" <<'E'
{HEADER}{END}E
"""


class Channel(LocalShellChannel):
    """``lose`` is called before each command that contains ``containing``, with how many there were before; it may raise."""

    def __init__(self, lose: Callable[[int], None] = lambda _before: None, containing: str = STARTS) -> None:
        super().__init__()
        self._lose, self._containing = lose, containing
        self.started = 0
        self.waits = 0
        self.back = True

    def stream(self, script: str, on_bytes: OnBytes, *, timeout_s: float) -> bool:
        if self._containing in script:
            self.started += 1
            self._lose(self.started - 1)
        return super().stream(script, on_bytes, timeout_s=timeout_s)

    def wait(self, timeout_s: float) -> bool:
        self.waits += 1
        return self.back


class Bench:
    """A launcher whose harness is a shell script, and a plan for it."""

    def __init__(self, folder: Path, script: str = GOOD, channel: Channel | None = None) -> None:
        self.folder = folder
        self.channel = channel or Channel()
        self.told: list[Event] = []
        program = folder / "program"
        program.write_text(f'#!/bin/sh\n[ "$1" != --version ] || {{ echo harness 1; exit; }}\n{script}')
        harness = Harness(program, "x86_64", sha256_file(program), "sh")
        remote = Remote(self.channel)
        self.place = Place(str(folder / "on the device"))
        self.launcher = RemoteLauncher(
            remote,
            Patience(remote, self.told.append),
            self.place,
            native_agents("x86_64", ignore, harness=harness),
            self.told.append,
        )
        self.plan = plan(
            folder / "here", "measure", ncnn_net(folder, "Input x 0 1 x", 1), runtime="ncnn", deadline_s=20.0
        )

    def failure(self, wanted: Plan | None = None) -> EdgebenchError:
        with pytest.raises(EdgebenchError) as raised:
            self.launcher.launch(wanted or self.plan)
        assert raised.value.hint
        assert self.left() == []
        return raised.value

    def left(self) -> list[Path]:
        return list(Path(self.place.launches).glob("*"))


def runs(pid: str) -> bool:
    """Whether it runs: what was killed may not have been collected yet."""
    stat = Path("/proc", pid, "stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in ("Z", "X")


def lost(_before: int) -> None:
    raise DeviceLost("the cable", hint="plug it in")


def lost_once(before: int) -> None:
    if before == 0:
        lost(before)


def test_a_launch_comes_back_whole_and_leaves_only_the_files_that_are_sent_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.launcher.launch(bench.plan).complete
    assert Path(bench.plan.trace_path).is_file()
    assert bench.left() == []
    sent = len(bench.channel.sent)
    assert bench.launcher.launch(bench.plan).complete
    assert len(bench.channel.sent) == sent + 1, "the second launch sends its plan alone"


def test_the_plan_that_the_harness_reads_names_paths_of_the_device_only(tmp_path: Path) -> None:
    bench = Bench(tmp_path, f'cp "$1" {tmp_path}/seen.json; {GOOD}')
    bench.launcher.launch(bench.plan)
    seen = (tmp_path / "seen.json").read_text()
    assert str(tmp_path / "here") not in seen
    assert bench.place.store in seen and bench.place.launches in seen


def test_threads_of_the_plan_are_those_that_openmp_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path, f'echo "$OMP_NUM_THREADS" > {tmp_path}/threads; {GOOD}')
    bench.launcher.launch(replace(bench.plan, threads=3))
    assert (tmp_path / "threads").read_text() == "3\n"


@pytest.mark.parametrize(
    ("script", "kind", "says"),
    [
        ("echo too little memory; exit 7", LaunchFailed, "ended with status 7 and no end row: too little memory"),
        ("kill -KILL $$", LaunchFailed, "SIGKILL"),
        (f"printf '%s' '{HEADER}' > \"${{1%/*}}/trace.jsonl\"", LaunchFailed, "no end row"),
        (
            f"cat > \"${{1%/*}}/trace.jsonl\" <<'E'\n{HEADER}{error('unsupported_operator')}E\n",
            UnsupportedOperator,
            "because",
        ),
        (f"cat > \"${{1%/*}}/trace.jsonl\" <<'E'\n{HEADER}{error('disk_full')}E\n", DeviceFull, "because"),
        (
            f"printf '%s' '{HEADER}' > \"${{1%/*}}/trace.jsonl\"; echo No space left on device >&2; exit 1",
            DeviceFull,
            "No space left on device",
        ),
        ('echo nonsense > "${1%/*}/trace.jsonl"', LaunchFailed, "trace.jsonl"),
    ],
)
def test_every_bad_end_is_told_in_the_harness_own_words_and_left_clean(
    tmp_path: Path, script: str, kind: type[EdgebenchError], says: str
) -> None:
    bench = Bench(tmp_path, script)
    failure = bench.failure()
    assert type(failure) is kind and says in failure.message
    assert (tmp_path / "here" / "agent.stderr").is_file()


class Full(Channel):
    """There is no room for the number of a harness."""

    def stream(self, script: str, on_bytes: OnBytes, *, timeout_s: float) -> bool:
        if STARTS not in script:
            return super().stream(script, on_bytes, timeout_s=timeout_s)
        folder = Path(self.sent[-1]).parent
        full = [folder / name for name in ("pid", "why")]
        for path in full:
            path.symlink_to("/dev/full")
        closed = super().stream(script, on_bytes, timeout_s=timeout_s)
        for path in full:
            path.unlink()  # it is also read from, without end
        return closed


def test_a_harness_whose_number_cannot_be_noted_is_ended_and_the_full_disk_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path, f"echo $$ > {tmp_path}/running; exec sleep 300", Full())
    failure = bench.failure()
    assert type(failure) is DeviceFull and "/pid on the device: " in failure.message
    running = tmp_path / "running"
    assert not running.exists() or not runs(running.read_text().strip())


def test_a_clean_up_that_fails_is_told_and_hides_neither_a_trace_nor_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch_scripts, "clean_up_script", lambda folder: f"echo '{folder} is busy'; exit 1")
    bench = Bench(tmp_path)
    assert bench.launcher.launch(bench.plan).complete
    [told] = [each.text for each in bench.told if isinstance(each, Note)]
    assert told.startswith("the launch's folder stays on the device: ") and told.endswith(" is busy")
    (tmp_path / "failing").mkdir()
    with pytest.raises(LaunchFailed, match="too little memory") as raised:
        failing = Bench(tmp_path / "failing", "echo too little memory; exit 7")
        failing.launcher.launch(failing.plan)
    [note] = raised.value.__notes__
    assert note.endswith(" is busy")


def test_the_trace_of_the_launch_before_does_not_pass_for_this_ones(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "exit 0")
    Path(bench.plan.trace_path).write_text(HEADER + END)
    assert isinstance(bench.failure(), LaunchFailed)


def test_a_harness_that_hangs_is_ended_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_launcher, "GRACE_S", 0.5)
    bench = Bench(tmp_path, f"echo $$ > {tmp_path}/running; echo stuck; sleep 300")
    failure = bench.failure(replace(bench.plan, deadline_s=0.5))
    assert isinstance(failure, LaunchFailed) and "hung" in failure.message
    assert not runs((tmp_path / "running").read_text().strip())


def test_a_long_launch_is_told_again_and_again_that_somebody_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_launcher, "heartbeat", partial(heartbeat, every_s=0.02))
    waits = f"""
    grep -o '"heartbeat_path": "[^"]*"' "$1" | cut -d'"' -f4 > {tmp_path}/path
    first=$(stat -c %y "$(cat {tmp_path}/path)")
    for _ in $(seq 500); do [ "$(stat -c %y "$(cat {tmp_path}/path)")" = "$first" ] || break; sleep 0.01; done
    [ "$(stat -c %y "$(cat {tmp_path}/path)")" != "$first" ] || exit 1
    """
    bench = Bench(tmp_path, waits + GOOD)
    assert bench.launcher.launch(replace(bench.plan, deadline_s=600.0)).complete
    assert (tmp_path / "path").read_text().startswith(bench.place.launches), "it lies in the launch's own folder"
    assert bench.left() == []


def test_a_short_launch_and_a_way_for_one_command_at_a_time_have_a_deadline_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path, f'cp "$1" {tmp_path}/seen.json; {GOOD}')
    for deadline_s, alone in ((60.0, False), (600.0, True)):
        bench.channel.alone = alone
        assert bench.launcher.launch(replace(bench.plan, deadline_s=deadline_s)).complete
        assert json.loads((tmp_path / "seen.json").read_text())["heartbeat_path"] is None
        said = [event for event in bench.told if isinstance(event, Note) and "one command at a time" in event.text]
        assert bool(said) is alone, "that it may outlive its connection is told"


def test_a_loss_fails_the_launch_that_measures_and_no_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path, channel=Channel(lost_once))
    failure = bench.failure()
    assert isinstance(failure, LaunchFailed) and "the cable" in failure.message
    assert Note("the device is back") in bench.told
    assert bench.launcher.launch(bench.plan).complete


@pytest.mark.parametrize("mode", ["verify", "canary"])
def test_a_loss_repeats_a_launch_that_measures_nothing(tmp_path: Path, mode: str) -> None:
    bench = Bench(tmp_path, channel=Channel(lost_once))
    assert bench.launcher.launch(replace(bench.plan, mode=mode)).complete
    assert bench.channel.started == 2 and bench.left() == []


def test_a_device_that_is_lost_each_time_is_not_tried_for_ever(tmp_path: Path) -> None:
    bench = Bench(tmp_path, channel=Channel(lost))
    assert isinstance(bench.failure(replace(bench.plan, mode="verify")), LaunchFailed)
    assert bench.channel.started == 3


def test_a_device_that_does_not_come_back_ends_the_run_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience_module, "RETURN_S", 2 * patience_module._STEP_S)
    bench = Bench(tmp_path, channel=Channel(lost))
    bench.channel.back = False
    failure = bench.failure()
    assert isinstance(failure, DeviceLost) and "--resume last" in failure.hint
    assert bench.channel.waits == 2


def test_after_a_loss_the_files_are_looked_for_anew(tmp_path: Path) -> None:
    """A phone that was wiped or exchanged while the cable was out."""
    bench = Bench(tmp_path, channel=Channel(lambda before: lost(before) if before == 1 else None))
    bench.launcher.launch(bench.plan)
    bench.failure()
    for file in Path(bench.place.store).iterdir():
        file.unlink()
    assert bench.launcher.launch(bench.plan).complete


def test_ctrl_c_ends_the_harness_and_clears_its_folder(tmp_path: Path) -> None:
    bench = Bench(tmp_path, f"echo $$ > {tmp_path}/running; echo begun; sleep 300", Interrupting())
    with pytest.raises(KeyboardInterrupt):
        bench.launcher.launch(bench.plan)
    assert bench.left() == []
    assert not runs((tmp_path / "running").read_text().strip())


class Interrupting(Channel):
    """Somebody presses Ctrl-C as soon as the harness says something."""

    def stream(self, script: str, on_bytes: OnBytes, *, timeout_s: float) -> bool:
        def interrupt(data: bytes) -> None:
            on_bytes(data)
            if STARTS in script and b"begun" in data:
                raise KeyboardInterrupt

        return super().stream(script, interrupt, timeout_s=timeout_s)


def test_only_ncnn_runs_there(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.launcher.prepare(get_runtime("ncnn"), ignore)
    with pytest.raises(UsageError) as raised:
        bench.launcher.prepare(get_runtime("onnxruntime"), ignore)
    assert "--runtime ncnn" in raised.value.hint


@pytest.mark.parametrize(
    ("said", "status", "says", "hint"),
    [
        ("sh: /x: not executable: 64-bit ELF file", 126, "cannot run a program for x86_64", "abi:"),
        ("/x: Exec format error", 126, "cannot run a program for x86_64", "abi:"),
        ("/x: line 1: syntax error: unexpected ')'", 2, "cannot run a program for x86_64", "abi:"),
        ("Bad system call", 159, "cannot run a program for x86_64", "abi:"),
        ("sh: /x: can't execute: Permission denied", 126, "does not run on the device", "doctor"),
        ("", 139, "does not run on the device: status 139", "doctor"),
    ],
)
def test_why_a_program_does_not_start_is_read_from_what_shells_say(
    tmp_path: Path, said: str, status: int, says: str, hint: str
) -> None:
    bench = Bench(tmp_path)
    (tmp_path / "program").write_text(f'#!/bin/sh\necho "{said}"; exit {status}\n')
    with pytest.raises(DeviceRefused) as raised:
        bench.launcher.prepare(get_runtime("ncnn"), ignore)
    assert says in raised.value.message and hint in raised.value.hint


def test_agents_of_different_content_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    ncnn = get_runtime("ncnn")
    assert Bench(tmp_path / "a").launcher.agent(ncnn) != Bench(tmp_path / "b", "exit 1").launcher.agent(ncnn)
