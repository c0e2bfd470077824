"""``python -m edgebench.agent PLAN.json``: one launch. Exit status 0 with an end row, 1 with an error row."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import NoReturn

from . import canary, host, modes
from .wire import TRACE_SCHEMA, AgentError, Json, TraceWriter, check_plan, read_plan

AGENT = "python"
AGENT_VERSION = "1"


def main() -> int:
    """Runs the plan that the command line names; the exit status."""
    if len(sys.argv) != 2:
        print("usage: python -m edgebench.agent PLAN.json", file=sys.stderr)  # noqa: T201
        return 2
    try:
        plan = read_plan(sys.argv[1])
        trace = TraceWriter(plan["trace_path"])
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    try:
        _launch(plan, trace)
    except AgentError as error:
        trace.error(error.code, error.message)
        return 1
    except BaseException as error:
        trace.error("internal", "{}: {}".format(type(error).__name__, error))
        raise
    return 0


def _launch(plan: Json, trace: TraceWriter) -> None:
    check_plan(plan)
    signal.signal(signal.SIGTERM, _terminated)
    host.die_with_parent()
    # Before anything that starts a thread, the watchdog too: a thread keeps the affinity that it was born with.
    others = [core for core in host.allowed_cores() if core not in plan["cores"]]
    host.pin(plan["cores"], plan["threads"])
    path = plan["heartbeat_path"]
    host.start_watchdog(plan["deadline_s"], trace, (path, plan["heartbeat_max_age_s"]) if path else None)
    canaries = None if plan["mode"] == "verify" else canary.load(plan["canary_library"])
    trace.row(
        "header",
        schema=TRACE_SCHEMA,
        plan_id=plan["plan_id"],
        mode=plan["mode"],
        agent=AGENT,
        agent_version=AGENT_VERSION,
        clock="CLOCK_MONOTONIC",
        boot_minus_monotonic_ns=host.boot_minus_monotonic_ns(),
        pid=os.getpid(),
        host=host.facts(),
        cores_requested=plan["cores"],
        cores_allowed=host.allowed_cores(),
        canary_source=canaries.source if canaries else None,
    )
    iterations = modes.by_name(plan["mode"])(modes.Launch(plan, trace, canaries, others))
    peak = host.memory_peak_bytes()
    if peak is not None and canaries is not None:
        # The canary's buffer is resident from before the load until the end, so it is in the peak exactly once.
        peak -= canaries.memory_bytes
    trace.row(
        "end",
        t_ns=time.monotonic_ns(),
        boot_minus_monotonic_ns=host.boot_minus_monotonic_ns(),
        rows=trace.rows,
        iterations=iterations,
        memory_peak_bytes=peak,
    )


def _terminated(number: int, frame: object) -> NoReturn:
    del frame
    raise AgentError("terminated", "ended by signal {}".format(number))


if __name__ == "__main__":
    ended = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # The trace is whole and on the disk: freeing what a runtime holds, piece by piece, would keep the controller waiting.
    os._exit(ended)
