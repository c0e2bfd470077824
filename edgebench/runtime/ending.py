"""How a launch ended: its trace, read strictly, or the error that says why there is none."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from edgebench.errors import (
    DeviceFull,
    EdgebenchError,
    InvalidFile,
    LaunchFailed,
    NoSpace,
    NotInstalled,
    UnsupportedOperator,
)
from edgebench.events import ignore
from edgebench.records import ErrorRow, HeaderRow, Plan, Trace
from edgebench.records.codec import decode_trace
from edgebench.runtime import get_runtime
from edgebench.transport.base import FREE_SOME, says_full

_REBUILD = "export the model again with --rebuild"
# By the code of the agent's error row.
_MENDS = {
    "load_failed": f"{_REBUILD}; a model file of your own must be one that {{runtime}} of this version reads",
    "bad_input": f"{_REBUILD}, which makes its inputs anew; where {{runtime}} takes no such inputs choose another --runtime",
}


@dataclass(frozen=True)
class Ending:
    """What is known of the agent's process: its exit status (negative for the signal that ended it), whether it was killed
    at ``bound_s``, the end of what it said, and the file of this machine that holds all of it. ``here`` is whether it ran on
    this machine."""

    status: int
    timed_out: bool
    bound_s: float
    said: str
    said_path: Path
    here: bool = False


def finished_trace(plan: Plan, trace_path: Path, ending: Ending) -> Trace:
    """The trace in ``trace_path``, complete to the end row.

    Raises LaunchFailed with the agent's own words, its exit status or its bound; UnsupportedOperator, NotInstalled and
    DeviceFull (NoSpace, where the disk is this machine's) where that was the reason. The trace file stays where it is in every
    case.
    """
    trace = _read(trace_path)
    if trace is not None and trace.error is not None:
        raise _reported(trace.error, plan, ending)
    if ending.timed_out:
        raise LaunchFailed(
            f"the agent hung: killed after {ending.bound_s:g} s", hint=f"what it said last is in {ending.said_path}"
        )
    if ending.status != 0 or trace is None or not trace.complete:
        raise _broken_off(trace, plan, ending)
    if not isinstance(trace.rows[0], HeaderRow) or trace.header.plan_id != plan.plan_id:
        raise LaunchFailed(
            f"{trace_path} is not the trace of plan {plan.plan_id}",
            hint="start the run again: two runs share a folder",
        )
    return trace


def _read(path: Path) -> Trace | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return decode_trace(data, path=str(path))
    except InvalidFile as error:
        raise LaunchFailed(error.message, hint=error.hint) from error


def _reported(row: ErrorRow, plan: Plan, ending: Ending) -> EdgebenchError:
    """The agent's error row as an error of ours."""
    if row.code == "unsupported_operator":
        return UnsupportedOperator(row.message, hint="choose another --runtime, or replace that operator in the model")
    if row.code == "not_installed":
        # Raises NotInstalled with the command; what is installed and yet does not import falls through.
        get_runtime(plan.runtime).require_installed(ignore)
    if row.code == "no_provider":
        return NotInstalled(
            row.message,
            hint="install onnxruntime-gpu there (on a Jetson NVIDIA's own wheel) for the CUDA and cuDNN that it has, or leave "
            "--provider out",
        )
    if row.code == "disk_full":
        return _full(row.message, plan, ending)
    hint = f"what the agent said is in {ending.said_path}"
    if row.code in _MENDS:
        mends = [_MENDS[row.code].format(runtime=plan.runtime)]
        if not ending.here:
            # What lies there was hashed once, when it came.
            mends.append("--verify-files hashes what lies on the device again, and sends anew what is damaged")
        if plan.runtime == "tensorrt":
            mends.append("an engine that is damaged is built anew once the folder engines there is removed")
        hint = "; ".join([*mends, hint])
    return LaunchFailed(f"{row.code}: {row.message}", hint=hint)


def _broken_off(trace: Trace | None, plan: Plan, ending: Ending) -> EdgebenchError:
    """Of an end that no row tells: the status and the last words do."""
    how, hint = _how(ending), f"what it said is in {ending.said_path}"
    if ending.status != 0 and says_full(how):
        return _full(how, plan, ending)
    # Both agents name the file and end with 1 before there is a trace.
    if trace is None and ending.status == 1 and "plan.json" in how:
        hint = f"run again, and see that nothing else clears or locks the folder of the agent's plan; {hint}"
    return LaunchFailed(how, hint=hint)


def _full(message: str, plan: Plan, ending: Ending) -> EdgebenchError:
    if not ending.here:
        return DeviceFull(message, hint=FREE_SOME)
    return NoSpace(
        message,
        hint=f"free some space where {plan.work_dir} lies, or point --runs-dir (results) and TMPDIR (proofs) at another disk",
    )


def _how(ending: Ending) -> str:
    if ending.status < 0:
        try:
            how = f"was ended by {signal.Signals(-ending.status).name}"
        except ValueError:
            how = f"was ended by signal {-ending.status}"
    else:
        how = f"ended with status {ending.status} and no end row"
    last = ending.said.splitlines()[-1:]
    return f"the agent {how}" + (f": {last[0]}" if last else "")
