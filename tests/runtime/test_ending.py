"""What the end of a launch becomes for whoever ordered it: the error, its mend, and the exit status of the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgebench.errors import EXIT_DEVICE, EXIT_ERROR, DeviceFull, EdgebenchError, LaunchFailed, NoSpace
from edgebench.runtime.ending import Ending, finished_trace
from tests.agent.launches import plan
from tests.runtime.test_launcher import HEADER, error

# The last words of either agent where not even the error row found room.
FULL = "cannot write the error row: cannot write the trace: No space left on device"
PYTHON_FULL = "cannot write the error row: cannot write the trace: [Errno 28] No space left on device"
QUOTA = "cannot write the error row: cannot write the trace: Disk quota exceeded"


def failure(
    folder: Path,
    trace: str | None,
    said: str = "",
    *,
    mode: str = "measure",
    runtime: str = "onnxruntime",
    status: int = 1,
    here: bool = False,
) -> EdgebenchError:
    wanted = plan(folder, mode, {"onnx": "net"}, runtime=runtime)
    if trace is not None:
        Path(wanted.trace_path).write_text(trace)
    ending = Ending(status, False, 40.0, said, folder / "agent.stderr", here=here)
    with pytest.raises(EdgebenchError) as raised:
        finished_trace(wanted, Path(wanted.trace_path), ending)
    return raised.value


@pytest.mark.parametrize("mode", ["measure", "verify", "profile"])
@pytest.mark.parametrize(
    ("trace", "said"),
    [
        (HEADER + error("disk_full"), ""),
        (HEADER, f"an earlier word\n{FULL}"),
        (HEADER, PYTHON_FULL),
        (HEADER, QUOTA),
        (None, "/there/trace.jsonl: No space left on device"),
    ],
)
def test_a_full_disk_of_the_device_is_an_error_of_the_device(
    tmp_path: Path, mode: str, trace: str | None, said: str
) -> None:
    raised = failure(tmp_path, trace, said, mode=mode)
    assert type(raised) is DeviceFull and (raised.code, raised.exit_status) == ("device_full", EXIT_DEVICE)
    assert (said.splitlines() or ["because"])[-1] in raised.message
    assert "free some space on the device" in raised.hint


@pytest.mark.parametrize(("trace", "said"), [(HEADER + error("disk_full"), ""), (HEADER, PYTHON_FULL)])
def test_a_full_disk_of_this_machine_names_the_folder_and_the_ways_to_another_disk(
    tmp_path: Path, trace: str, said: str
) -> None:
    raised = failure(tmp_path, trace, said, here=True)
    assert type(raised) is NoSpace and (raised.code, raised.exit_status) == ("no_space", EXIT_ERROR)
    assert str(tmp_path) in raised.hint and "--runs-dir" in raised.hint and "TMPDIR" in raised.hint


def test_what_an_agent_says_of_a_disk_before_another_end_is_not_taken_for_its_reason(tmp_path: Path) -> None:
    for trace, said in ((HEADER + error("deadline"), FULL), (HEADER, f"{FULL}\nSegmentation fault")):
        assert type(failure(tmp_path, trace, said)) is LaunchFailed


@pytest.mark.parametrize(
    ("code", "mend"), [("load_failed", "that ncnn of this version reads"), ("bad_input", "inputs anew")]
)
def test_a_model_or_an_input_that_cannot_be_loaded_is_exported_again(tmp_path: Path, code: str, mend: str) -> None:
    for here in (True, False):
        raised = failure(tmp_path, HEADER + error(code), runtime="ncnn", here=here)
        assert type(raised) is LaunchFailed and raised.exit_status == EXIT_ERROR
        assert raised.message == f"{code}: because"
        assert "--rebuild" in raised.hint and mend in raised.hint and "engine" not in raised.hint
        assert f"what the agent said is in {tmp_path / 'agent.stderr'}" in raised.hint
        assert ("--verify-files" in raised.hint) is not here, "only elsewhere lies a copy that may be damaged"


def test_an_engine_that_cannot_be_loaded_is_not_mended_by_another_export(tmp_path: Path) -> None:
    raised = failure(tmp_path, HEADER + error("load_failed"), runtime="tensorrt")
    assert "once the folder engines there is removed" in raised.hint


@pytest.mark.parametrize(
    "said",
    [
        "/there/plan.json: cannot be read",
        "/there/plan.json is not a plan: it holds no JSON object",
        "[Errno 2] No such file or directory: '/there/plan.json'",
    ],
)
def test_a_plan_that_cannot_be_read_sends_nobody_to_the_model(tmp_path: Path, said: str) -> None:
    raised = failure(tmp_path, None, said)
    assert type(raised) is LaunchFailed and said in raised.message
    assert "nothing else clears or locks the folder" in raised.hint and str(tmp_path / "agent.stderr") in raised.hint


def test_a_crash_whose_shell_tells_the_whole_command_says_nothing_of_the_plan(tmp_path: Path) -> None:
    raised = failure(tmp_path, None, "line 3: 77 Killed  /there/harness /there/plan.json", status=-9)
    assert raised.hint == f"what it said is in {tmp_path / 'agent.stderr'}"
