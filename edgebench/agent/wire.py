"""The plan as plain JSON in, the trace as plain JSON lines out. ``edgebench.records`` is the one strict definition."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any, Dict

PLAN_SCHEMA = 1
TRACE_SCHEMA = 1
MODES = ("measure", "profile", "verify", "canary", "pair")

Json = Dict[str, Any]


class AgentError(Exception):
    """A failure with a stable code; it becomes the trace's error row."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def read_plan(path: str) -> Json:
    """The plan at ``path``. Raises OSError or ValueError where there is no JSON object that names its trace."""
    with open(path, encoding="utf-8") as file:
        plan = json.load(file)
    if not isinstance(plan, dict) or not isinstance(plan.get("trace_path"), str):
        raise ValueError(path + " is not a plan: it names no trace_path")
    return plan


def check_plan(plan: Json) -> None:
    """Raises AgentError ``bad_plan`` for a plan that this agent was not made for."""
    if plan.get("schema") != PLAN_SCHEMA:
        raise AgentError("bad_plan", "plan schema {!r}; this agent reads {}".format(plan.get("schema"), PLAN_SCHEMA))
    if plan.get("mode") not in MODES:
        raise AgentError("bad_plan", "mode {!r}; this agent knows {}".format(plan.get("mode"), ", ".join(MODES)))
    artifacts = len(plan["artifacts"])
    fits = {"canary": artifacts == 0, "verify": artifacts >= 1, "pair": artifacts == 2}
    if not fits.get(plan["mode"], artifacts == 1):
        raise AgentError("bad_plan", "{} artifacts do not fit mode {}".format(artifacts, plan["mode"]))


class TraceWriter:
    """Appends rows, each whole and at once: what was written before a crash can be read.

    Rows come from the main thread, and from the watchdog when the time is up; after an error or end row nothing follows.
    """

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        self._lock = threading.Lock()
        self._closed = False
        self.rows = 0

    def row(self, kind: str, **fields: Any) -> None:
        """One row, stamped with the time unless it brings its own (an output row has none)."""
        if kind != "output":
            fields.setdefault("t_ns", time.monotonic_ns())
        line = json.dumps(dict(fields, type=kind), separators=(",", ":"), allow_nan=False) + "\n"
        data = line.encode("utf-8")
        with self._lock:
            if self._closed:
                return
            while data:
                data = data[os.write(self._descriptor, data) :]
            self.rows += 1
            if kind in ("error", "end"):
                self._closed = True
                os.fsync(self._descriptor)
