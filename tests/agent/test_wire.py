"""The Python agent's side of the files: plans that are none, and rows that the disk does not take."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgebench.agent import tensors
from edgebench.agent.wire import AgentError, TraceWriter, read_plan, unwritten

# Files of this process end at 400 bytes, which is as a disk that is full but for them.
ROWS_ON_A_SMALL_DISK = """
import resource, sys
from edgebench.agent.wire import AgentError, TraceWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))
trace = TraceWriter(sys.argv[1])
trace.row("load", artifact=0)
try:
    trace.row("load", text="x" * 1000)
except AgentError as error:
    trace.error(error.code, error.message)
"""


def test_a_row_that_does_not_fit_on_the_disk_is_taken_back_whole_and_said(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    subprocess.run([sys.executable, "-c", ROWS_ON_A_SMALL_DISK, str(path)], timeout=30, check=True)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["type"] for row in rows] == ["load", "error"]
    assert "cannot write the trace" in rows[1]["message"] and "File too large" in rows[1]["message"]


def test_a_full_disk_has_a_code_of_its_own_and_standard_error_says_it_last(capsys: pytest.CaptureFixture[str]) -> None:
    trace = TraceWriter("/dev/full")
    with pytest.raises(AgentError) as raised:
        trace.row("load", artifact=0)
    assert raised.value.code == "disk_full"
    trace.error("run_failed", "what happened")
    first, last = capsys.readouterr().err.splitlines()
    assert first == "what happened"
    assert last.startswith("cannot write the error row: ") and last.endswith("No space left on device")


def test_what_happens_after_the_last_row_is_said_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = TraceWriter(str(tmp_path / "trace.jsonl"))
    trace.error("deadline", "too late")
    assert capsys.readouterr().err == ""
    trace.error("internal", "and then this")
    assert capsys.readouterr().err == "and then this\n"
    assert trace.rows == 1


def test_only_a_disk_without_room_is_called_full() -> None:
    for reason, code in ((errno.ENOSPC, "disk_full"), (errno.EDQUOT, "disk_full"), (errno.EIO, "run_failed")):
        assert unwritten("run_failed", "f", OSError(reason, "why")).code == code
    assert unwritten("program_failed", "f", subprocess.SubprocessError("why")).code == "program_failed"


def test_outputs_that_find_no_room_are_never_taken_for_written() -> None:
    """Small ones, too, which wait in a buffer until the file is closed."""
    for array in (np.ones(4, dtype=np.float32), np.ones(1 << 18, dtype=np.float32)):
        with pytest.raises(AgentError) as raised:
            tensors.write(array, "/dev/full")
        assert raised.value.code == "disk_full" and raised.value.message.startswith("/dev/full: ")


def test_outputs_are_raw_and_contiguous_whatever_they_were(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert tensors.write(array, str(tmp_path / "raw")) == {"shape": [3, 2], "dtype": "float32"}
    np.testing.assert_array_equal(np.fromfile(tmp_path / "raw", dtype="<f4").reshape(3, 2), array)


@pytest.mark.parametrize("text", ["{", "[]", '{"trace_path": 1}', "\xff"])
def test_a_file_that_is_no_plan_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match="is not a plan") as raised:
        read_plan(str(path))
    assert str(path) in str(raised.value)
