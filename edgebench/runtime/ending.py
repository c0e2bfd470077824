"""How a launch ended: its trace, read strictly, or the error that says why there is none."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from edgebench.errors import EdgebenchError, InvalidFile, LaunchFailed, NotInstalled, UnsupportedOperator
from edgebench.events import ignore
from edgebench.records import ErrorRow, HeaderRow, Plan, Trace
from edgebench.records.codec import decode_trace
from edgebench.runtime import get_runtime


@dataclass(frozen=True)
class Ending:
    """What is known of the agent's process: its exit status (negative for the signal that ended it), whether it was killed
    at ``bound_s``, the end of what it said, and the file of this machine that holds all of it."""

    status: int
    timed_out: bool
    bound_s: float
    said: str
    said_path: Path


def finished_trace(plan: Plan, trace_path: Path, ending: Ending) -> Trace:
    """The trace in ``trace_path``, complete to the end row.

    Raises LaunchFailed with the agent's own words, its exit status or its bound; UnsupportedOperator and NotInstalled
    where that was the reason. The trace file stays where it is in every case.
    """
    trace = _read(trace_path)
    if trace is not None and trace.error is not None:
        raise _reported(trace.error, plan, ending)
    if ending.timed_out:
        raise LaunchFailed(
            f"the agent hung: killed after {ending.bound_s:g} s", hint=f"what it said last is in {ending.said_path}"
        )
    if ending.status != 0 or trace is None or not trace.complete:
        raise LaunchFailed(_how(ending), hint=f"what it said is in {ending.said_path}")
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
    return LaunchFailed(f"{row.code}: {row.message}", hint=f"what the agent said is in {ending.said_path}")


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
