"""The OpenSSH client as a program: found, addressed, started, watched, ended."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from edgebench.errors import NotInstalled, UsageError
from edgebench.transport.base import OnBytes, OnProgress
from edgebench.transport.streams import pump

# Names another file for ssh's configuration than the user's own, as `ssh -F` does: ssh itself has no variable for it.
CONFIGURATION = "EDGEBENCH_SSH_CONFIG"
# A board that is frozen is noticed after (1 + COUNT) intervals without a word from it.
ALIVE_INTERVAL_S = 3
ALIVE_COUNT = 2
# As long as a connection that is there may be without a word.
_CONNECT_S = (1 + ALIVE_COUNT) * ALIVE_INTERVAL_S
_REAP_S = 5.0
_PROGRESS_S = 0.1
# Runs a program that ends with whoever holds the shell's standard input, killed or not: ssh itself would stay.
_TIED = (
    'exec 3<&0; "$@" </dev/null 3<&- & program=$!\n'
    '{ read -r end <&3; kill "$program"; } >/dev/null 2>&1 & watch=$!\n'
    'exec 3<&-; wait "$program"; status=$?; kill "$watch" 2>/dev/null; exit "$status"'
)
_FOLDER_PREFIX = "edgebench-ssh-"
# A client whose input has ended goes by itself, unless a command there is still at work.
_LET_GO_S = 0.2
# A socket's path may have 104 bytes on some systems, and ssh appends 17 while it makes it.
_SOCKET_BYTES = 80
_ADDRESS = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?:\[(?P<ip6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s:@\[\]]+))(?::(?P<port>\d{1,5}))?"
)

OPTIONS = {
    # Nobody is there to be asked.
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "ConnectTimeout": str(_CONNECT_S),
    "ServerAliveInterval": str(ALIVE_INTERVAL_S),
    "ServerAliveCountMax": str(ALIVE_COUNT),
    # What a person's configuration may ask for that a program must not have.
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
    # The connection ends with this process.
    "ControlPersist": "no",
    # A lost connection is told at this level.
    "LogLevel": "INFO",
}


def find_ssh() -> str:
    """The path of the OpenSSH client. Raises NotInstalled."""
    found = shutil.which("ssh")
    if not found:
        raise NotInstalled("there is no program ssh", hint="apt-get install openssh-client")
    return found


def destination(address: str) -> list[str]:
    """``[user@]host[:port]`` as ssh's arguments; a host may be a name from the user's configuration. Raises UsageError."""
    found = _ADDRESS.fullmatch(address)
    if not found or address.startswith("-") or (found["host"] or "").startswith("-"):
        raise UsageError(
            f"{address!r} is no address of a machine",
            hint="write [user@]host[:port], or a name from your ssh configuration",
        )
    host = found["ip6"] or found["host"]
    port = ["-p", found["port"]] if found["port"] else []
    return [*port, "--", f"{found['user']}@{host}" if found["user"] else host]


def client_words(socket: Path) -> list[str]:
    """How every client of one connection begins. Raises NotInstalled."""
    configuration = os.environ.get(CONFIGURATION)
    return [find_ssh(), *(("-F", configuration) if configuration else ()), "-S", str(socket)]


def own_folder() -> Path:
    """A new folder of this process, on a path short enough for a socket; those of processes that were killed are removed."""
    short = None if len(tempfile.gettempdir()) < _SOCKET_BYTES - len("/edgebench-ssh-4194304-12345678/s") else "/tmp"  # noqa: S108
    for folder in Path(short or tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        pid = folder.name.removeprefix(_FOLDER_PREFIX).partition("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-", dir=short))


def started(
    command: list[str],
    *,
    stdin: IO[bytes] | int | None = None,
    stdout: IO[bytes] | int | None = None,
    stderr: IO[bytes],
) -> subprocess.Popen[bytes]:
    """Starts a client, without input or output where none is given."""
    # A session of its own, as Ctrl-C must reach us and not the client behind our back.
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        stdout=subprocess.DEVNULL if stdout is None else stdout,
        stderr=stderr,
        start_new_session=True,
    )


def status_of_copy(
    process: subprocess.Popen[bytes], on_progress: OnProgress | None, moved: Callable[[], int], limit: float
) -> int | None:
    """Its status, None where ``limit`` came first; tells what was moved meanwhile, and at the end."""
    last = 0
    while True:
        left_s = limit - time.monotonic()
        try:
            status = process.wait(max(min(left_s, _PROGRESS_S if on_progress else left_s), 0.0))
        except subprocess.TimeoutExpired:
            status = None
        if on_progress and (status in (None, 0)) and (now := moved()) > last:
            last = now
            on_progress(now)
        if status is not None or left_s <= 0:
            return status


def read_out(process: subprocess.Popen[bytes], take: OnBytes, limit: float) -> int | None:
    """Reads its output to the end; its status, None where ``limit`` came first."""
    if process.stdout is None:
        raise ValueError("the client was started without a pipe")
    if not pump({process.stdout.fileno(): take}, limit):
        return None
    try:
        return process.wait(_REAP_S)
    except subprocess.TimeoutExpired:
        return None


def end_client(process: subprocess.Popen[bytes]) -> None:
    """Lets go of its pipes, by which most of them end, and sees that it does."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
    for end in (process.terminate, process.kill):
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LET_GO_S if end == process.terminate else _REAP_S)
            return
        end()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_REAP_S)


def started_with_owner(command: list[str], *, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    """As ``started``, for a client that nobody reads from: it ends with this process, also where that is killed."""
    return started(["/bin/sh", "-c", _TIED, "edgebench-ssh", *command], stdin=subprocess.PIPE, stderr=stderr)
