"""What a virtual phone does on the machine beneath: processes started and ended, looked at in /proc, waited for."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

ADDRESS = "127.0.0.1"
CHECKOUT = Path(__file__).resolve().parents[2]
PATIENCE_S = 20.0


def start(argv: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Its standard input is a pipe that ends with this process."""
    with log.open("ab") as out:
        return subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=out, stderr=out, cwd=CHECKOUT, start_new_session=True
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """By the end of its standard input, or by force."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(PATIENCE_S)


def patiently(
    holds: Callable[[], bool], otherwise: str, details: Callable[[], str] = str, patience_s: float = PATIENCE_S
) -> None:
    """Waits until it holds. Raises RuntimeError after ``patience_s``."""
    deadline_s = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"{otherwise}, after {patience_s:g} s: {details()}")
        time.sleep(0.005)


def free_port() -> int:
    """A port of ADDRESS that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with suppress(OSError), socket.create_connection((ADDRESS, port), timeout=1.0):
        return True
    return False


def children(pid: int) -> list[int]:
    """Started by its first thread and not ended."""
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    return []


def only_child(pid: int) -> int:
    """Of unshare: the phone's init. Raises RuntimeError where there is none."""
    found = children(pid)
    if len(found) != 1:
        raise RuntimeError(f"process {pid} has {len(found)} children")
    return found[0]


def inner_pid(pid: int) -> int:
    """The number by which the phone itself knows the process, 0 where it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    return 0


def argv_of(pid: int) -> tuple[str, ...]:
    """Its command line; empty for one that has ended."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        return tuple(words[:-1])
    return ()


def read_line(path: Path) -> str | None:
    """A file of one line, None where it cannot be read."""
    with suppress(OSError):
        return path.read_text(encoding="utf-8").rstrip("\n")
    return None
