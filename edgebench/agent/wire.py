"""The plan as plain JSON in, the trace as plain JSON lines out. ``edgebench.records`` is the one strict definition."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import threading
import time
from typing import Any, Dict

PLAN_SCHEMA = 1
TRACE_SCHEMA = 1
MODES = ("measure", "profile", "verify", "canary", "pair")
# A disk without room, and a quota that is used up.
_FULL = (errno.ENOSPC, errno.EDQUOT)

Json = Dict[str, Any]


class AgentError(Exception):
    """A failure with a stable code; it becomes the trace's error row."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def unwritten(code: str, what: str, error: Exception) -> AgentError:
    """The failure of what could not be written: a full disk has a code of its own, as nothing but free space mends it."""
    full = isinstance(error, OSError) and error.errno in _FULL
    return AgentError("disk_full" if full else code, "{}: {}".format(what, error))


def read_plan(path: str) -> Json:
    """The plan at ``path``. Raises OSError or ValueError where there is no JSON object that names its trace."""
    with open(path, encoding="utf-8") as file:
        try:
            plan = json.load(file)
        except ValueError as error:
            raise ValueError("{} is not a plan: {}".format(path, error)) from error
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
        self._bytes = 0
        self.rows = 0

    def row(self, kind: str, **fields: Any) -> None:
        """One row, stamped with the time unless it brings its own (an output row has none).

        AgentError, ``disk_full`` where it is that; what was written of that row is taken back: a shorter one can still follow.
        """
        self._append(kind, fields)

    def error(self, code: str, message: str) -> None:
        """An error row. Never raises: what the trace does not take is said on standard error, the reason last."""
        said = message
        try:
            if self._append("error", {"code": code, "message": message}):
                return
        except AgentError as problem:
            # Last: where no row says how a launch ended, the controller goes by the last line.
            said += "\ncannot write the error row: {}".format(problem)
        # That may be a file on the same disk.
        with contextlib.suppress(OSError):
            print(said, file=sys.stderr, flush=True)  # noqa: T201

    def _append(self, kind: str, fields: Json) -> bool:
        """Whether the row was still taken."""
        if kind != "output":
            fields.setdefault("t_ns", time.monotonic_ns())
        line = json.dumps(dict(fields, type=kind), separators=(",", ":"), allow_nan=False) + "\n"
        data = line.encode("utf-8")
        with self._lock:
            if self._closed:
                return False
            try:
                self._write(data)
                self.rows += 1
                if kind in ("error", "end"):
                    self._closed = True
                    # Some file systems find only now that there is no room for what was written.
                    os.fsync(self._descriptor)
            except OSError as error:
                raise unwritten("internal", "cannot write the trace", error) from error
        return True

    def _write(self, data: bytes) -> None:
        """All of it, or none. Raises OSError."""
        left = data
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            # Where even that fails the reader finds a torn last line, and says so.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._bytes)
            raise
        self._bytes += len(data)
