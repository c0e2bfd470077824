"""The phone's processes: started, waited for, counted as the phone's own, and ended with it.

The daemon makes itself the reaper of all its descendants (PR_SET_CHILD_SUBREAPER), as Android's init is of adbd's: an
orphan is found below the daemon in the process tree, leaves no zombie, and can be ended when the phone is.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


class Reaper:
    """Collects every child's status; to be made inside the running loop, once a process."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
        self._started: dict[int, tuple[subprocess.Popen[bytes], asyncio.Future[int]]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGCHLD, self._collect)

    def start(
        self,
        argv: list[str],
        *,
        stdin: int,
        stdout: int,
        stderr: int,
        env: dict[str, str],
        executable: str | None = None,
        preexec: Callable[[], None] | None = None,
    ) -> tuple[int, asyncio.Future[int]]:
        """Start a process as leader of a session of its own, in /; its PID, and its status as waitpid gives it."""
        process = subprocess.Popen(
            argv,
            executable=executable,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=env,
            cwd="/",
            start_new_session=True,
            preexec_fn=preexec,
        )
        ended: asyncio.Future[int] = self._loop.create_future()
        self._started[process.pid] = (process, ended)
        return process.pid, ended

    def signal(self, pid: int, number: signal.Signals) -> None:
        """Signal a process that ``start`` started; nothing if it has been collected and its PID may be another's."""
        if pid in self._started:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _collect(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            process, ended = self._started.pop(pid, (None, None))
            if process is not None and ended is not None:
                process.returncode = os.waitstatus_to_exitcode(status)
                if not ended.cancelled():
                    ended.set_result(status)


def descendants(ancestor: int) -> list[int]:
    """PIDs of all processes below this one, zombies left out."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):
            # "pid (name) state ppid …", and the name may hold blanks and brackets.
            state, parent = (folder / "stat").read_bytes().rpartition(b")")[2].split()[:2]
            if state != b"Z":
                children.setdefault(int(parent), []).append(int(folder.name))
    found: list[int] = []
    todo = [ancestor]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def name(pid: int) -> str:
    """The file name of what the process runs, with the kernel's name for it (of scripts: the script's); "" if it is gone."""
    try:
        folder = Path("/proc", str(pid))
        program = (folder / "cmdline").read_bytes().split(b"\0")[0]
        return f"{os.path.basename(os.fsdecode(program))} {(folder / 'comm').read_text().strip()}"  # noqa: PTH119 - not a path of ours
    except OSError:
        return ""


def end_descendants() -> None:
    """SIGKILL to all below this process, until there are none: one that is just being forked comes up in the next round."""
    for _ in range(100):
        found = descendants(os.getpid())
        if not found:
            return
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
