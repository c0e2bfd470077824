"""Programs of others that run beside what is timed, such as a board's monitor: none of them outlives this process."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator, List, Sequence

from .host import PR_SET_PDEATHSIG
from .wire import Json, TraceWriter, unwritten

_STOP_NS = 1000000000
_LOOK_S = 0.01


@contextmanager
def beside(commands: Sequence[Json], cores: Sequence[int], trace: TraceWriter) -> Iterator[None]:
    """Runs ``commands`` of a plan on ``cores`` while the block lasts; then a program row for each.

    Without cores, on which nothing is timed, there is nothing beside. AgentError ``program_failed`` where one does not start.
    """
    running: List[_Program] = []
    try:
        for command in commands if cores else ():
            running.append(_Program(command, cores))
        yield
    except BaseException:
        for program in running:
            program.stop()
        raise
    for program in running:
        trace.row("program", **program.stop())


class _Program:
    """One program under way."""

    def __init__(self, command: Json, cores: Sequence[int]) -> None:
        self._command = command
        self._start_ns = time.monotonic_ns()
        try:
            with open(command["output"], "wb") as output:
                self._process = subprocess.Popen(
                    command["argv"],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    preexec_fn=_prepared(cores, os.getpid()),
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise unwritten("program_failed", "{} cannot be started".format(command["argv"][0]), error) from error

    def stop(self) -> Json:
        """Asks it to end, kills it where it does not within a second; the fields of its row."""
        until = time.monotonic_ns() + _STOP_NS
        ended = self._ended(os.WNOHANG)
        if ended is None:
            os.kill(self._process.pid, signal.SIGTERM)
        while ended is None and time.monotonic_ns() < until:
            time.sleep(_LOOK_S)
            ended = self._ended(os.WNOHANG)
        if ended is None:
            # At once, or when the driver that it is stuck in lets it go: the launch's deadline bounds that.
            os.kill(self._process.pid, signal.SIGKILL)
            ended = self._ended(0)
        status, usage = ended
        return {
            "name": self._command["name"],
            "t_ns": self._start_ns,
            "end_ns": time.monotonic_ns(),
            "status": status,
            "cpu_time_ns": int((usage.ru_utime + usage.ru_stime) * 1e9),
            # No less than this agent's own so far: it survives the child's exec.
            "memory_peak_bytes": usage.ru_maxrss * 1024,
            "files": self._command["files"],
        }

    def _ended(self, options: int) -> Any:
        """Its status and what it used; None while it runs."""
        pid, status, usage = os.wait4(self._process.pid, options)
        if pid == 0:
            return None
        code = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        # It was waited for here, for what it used: Popen must not look for it again.
        self._process.returncode = code
        return code, usage


def _prepared(cores: Sequence[int], parent: int) -> Callable[[], None]:
    """What the child does before it becomes the program. All is looked up here: the child of a process with threads may not."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    setaffinity, getppid, leave = os.sched_setaffinity, os.getppid, os._exit

    def prepare() -> None:
        setaffinity(0, cores)
        # Who was killed already sends no signal.
        if prctl is not None and (prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL)) != 0 or getppid() != parent):
            leave(126)

    return prepare
