"""This machine: starts programs, bounds them, and leaves none of them behind."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebench.errors import LaunchFailed, NotInstalled

TAIL_BYTES = 4000
# A killed process is gone at once unless the kernel itself is stuck (a dead disk): then there is nothing to wait for.
_REAP_S = 5.0


@dataclass(frozen=True)
class Completed:
    """How a program ended: ``status`` is its exit status, negative for the signal that ended it.

    ``timed_out`` says that it was killed at its bound. ``stdout_tail`` and ``stderr_tail`` are the ends of what it wrote.
    """

    status: int
    timed_out: bool
    stdout_tail: str
    stderr_tail: str


class LocalTransport:
    """Runs programs here."""

    def run(
        self, argv: Sequence[str], *, timeout_s: float, cwd: Path, env: Mapping[str, str], stdout: Path, stderr: Path
    ) -> Completed:
        """Runs ``argv`` to its end or for ``timeout_s``, its output into the two files.

        The program gets a process group of its own, all of which is killed at the bound, on Ctrl-C and on any other way out
        of here: nothing goes on heating the machine. Raises NotInstalled where there is no such program, LaunchFailed
        where it cannot be started or killed. It does not judge the exit status.
        """
        with stdout.open("wb") as out, stderr.open("wb") as err:
            try:
                process = subprocess.Popen(
                    list(argv),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    cwd=cwd,
                    env=dict(env),
                    start_new_session=True,
                )
            except FileNotFoundError as error:
                raise NotInstalled(f"there is no program {argv[0]}", hint=f"install {argv[0]}, or mend PATH") from error
            except OSError as error:
                raise LaunchFailed(
                    f"cannot start {argv[0]}: {error.strerror}", hint="check its permissions and the free memory"
                ) from error
            try:
                timed_out = _wait(process, timeout_s)
            finally:
                _kill_group(process)
        return Completed(process.returncode, timed_out, tail(stdout), tail(stderr))


def run_to_end(
    argv: Sequence[str], log: Path, timeout_s: float, *, on_line: Callable[[str], None] | None = None
) -> int | None:
    """Runs a tool of this machine (a compiler, a client), its output into ``log`` and line by line to ``on_line``.

    Returns its exit status, None where it was killed at ``timeout_s``. It gets a process group of its own, which is gone
    when this returns, however it does. Raises NotInstalled where there is no such program.
    """
    with log.open("w", encoding="utf-8") as file:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise NotInstalled(f"there is no program {argv[0]}", hint=f"install {argv[0]}, or mend PATH") from error
        late = threading.Event()

        def end() -> None:
            late.set()
            _signal_group(process)

        timer = threading.Timer(timeout_s, end)
        timer.start()
        try:
            for line in process.stdout or ():
                file.write(line)
                if on_line is not None:
                    on_line(line)
            process.wait()
        finally:
            timer.cancel()
            _kill_group(process)
            if process.stdout is not None:
                process.stdout.close()
    return None if late.is_set() else process.returncode


def tail(path: Path, limit_bytes: int = TAIL_BYTES) -> str:
    """The last ``limit_bytes`` of a text file, whatever bytes it holds; empty where there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit_bytes))
            return file.read().decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return ""


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return True
    return False


def _signal_group(process: subprocess.Popen[Any]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # the whole group is gone, which is what was wanted
    except PermissionError as error:
        raise LaunchFailed(f"cannot end process group {process.pid}", hint="end it by hand") from error


def _kill_group(process: subprocess.Popen[Any]) -> None:
    # Also after a normal end: the group may hold children of the program that outlived it. The group's number cannot
    # have been given to anyone else while a member lives, and with none left there is nobody to signal.
    _signal_group(process)
    try:
        process.wait(_REAP_S)
    except subprocess.TimeoutExpired as error:
        raise LaunchFailed(
            f"process {process.pid} does not die: the kernel holds it", hint="look at dmesg; a reboot may be needed"
        ) from error
