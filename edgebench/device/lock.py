"""One device, one user: a lock on this computer and one on the device itself, both with their owner and age.

This computer's is in ``host_lock``. The device's is a symbolic link, whose creation is atomic and whose target names the owner;
a *lease* beside it, another link, tells when the owner was last there, by the device's uptime: its wall clock jumps when a
network sets it. A lock whose lease is older than ``STALE_S`` is removed, by one of all who find it.
"""

from __future__ import annotations

import getpass
import json
import os
import secrets
import shlex
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from itertools import repeat
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote

from edgebench.device.host_lock import host_lock
from edgebench.errors import DeviceBusy, DeviceError
from edgebench.events import Emit, Note, Waiting
from edgebench.transport.base import device_said_no
from edgebench.transport.remote import Ran

# Longer than anything an owner does without looking after its lock: the export of a large model takes some minutes.
STALE_S = 600
# How long a second run waits for the first.
WAIT_MAX_S = 3600.0
_POLL_S = 2.0
# Each look at the device's lock runs a script beside what is timed there: soon rarer than that, see ``_ever_rarer``.
_POLL_MAX_S = 30.0
_COMMAND_S = 15.0
# The device's own time: since which start, and for how many seconds. The wall clock only where it does not tell.
_CLOCK = (
    "up=; boot=; { read -r up idle < /proc/uptime; read -r boot < /proc/sys/kernel/random/boot_id; } 2>/dev/null\n"
    'up=${up%.*}; [ -n "$up" ] || up=$(date +%s); boot=${boot:-unknown}'
)


class Shell(Protocol):
    """What locking needs of transport.remote.Remote."""

    def run_script(self, script: str, /, *, timeout_s: float = ...) -> Ran:
        """See Remote.run_script."""


@dataclass(frozen=True)
class Owner:
    """Who holds a device. ``token`` tells two runs of one process apart; ``pid`` is a number on ``machine`` alone, see
    ``this_machine``."""

    token: str
    user: str
    host: str
    pid: int
    machine: str = ""

    def __str__(self) -> str:
        """For a message."""
        return f"{self.user} on {self.host}, process {self.pid}"


def this_owner() -> Owner:
    """This process."""
    return Owner(secrets.token_hex(8), _user(), socket.gethostname(), os.getpid(), this_machine())


def this_machine() -> str:
    """Where this process's number means this process: this start of this kernel, in this container; empty where that is not
    told. A host name will not do: two computers may have the same."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"user {os.getuid()}"


class DeviceLock:
    """The device's own lock, in ``folder`` there, which is made for all its users where ``shared``.

    ``renew`` must be called more often than every STALE_S.
    """

    def __init__(self, shell: Shell, folder: str, owner: Owner, *, shared: bool = False) -> None:
        self._shell = shell
        self._mode = "777" if shared else "755"
        self._text = quote(json.dumps(astuple(owner)), safe="")
        self._lock = shlex.quote(f"{folder}/lock")
        self._lease = shlex.quote(f"{folder}/lease")
        self._path = folder
        self._folder = shlex.quote(folder)
        new = shlex.quote(f"{folder}/lease.{owner.token}")
        # A link as well: it is made whole, everybody may read it, and nothing is ever written through a name in a folder that
        # others may write to.
        self._seen = (
            f'{{ rm -f {new}; ln -s "$boot:$up:{owner.token}:${{silent:-0}}" {new} && mv -f {new} {self._lease}; }}'
        )

        self._held = (
            f'echo "holder $(readlink {self._lock})"\n'
            'echo "now $boot $up"\n'
            f'echo "lease $(readlink {self._lease})"\n'
            f'echo "made $(stat -c %Y {self._lock} 2>/dev/null) $(date +%s)"'
        )

    def try_acquire(self) -> str | None:
        """None where it is held now by us, else who holds it and since when. A stale lock is broken on the way.

        Raises DeviceFull or DeviceRefused where the device lets nothing be written there.
        """
        holder, words = self._attempt()
        if holder is not None:
            self._break(holder)
        return words

    def acquire(self) -> str | None:
        """As ``try_acquire``, once more where that broke a stale lock: it need not be waited for."""
        holder, words = self._attempt()
        if holder is None:
            return words
        self._break(holder)
        return self.try_acquire()

    def _attempt(self) -> tuple[str | None, str | None]:
        """The holder where its lock is stale, and who holds it and since when; None for both where it is held now by us."""
        ran = self._run(
            f"{_CLOCK}\n"
            # Where several users share a device, whoever comes first makes the folder for all.
            f"[ -d {self._folder} ] || mkdir -p -m {self._mode} {self._folder} || [ -d {self._folder} ] || exit 1\n"
            f"take() {{ ln -s {self._text} {self._lock} && {{ {self._seen} || {{ rm -f {self._lock}; return 1; }}; }}; }}\n"
            "if said=$(take 2>&1); then echo taken; exit 0; fi\n"
            # It may have been given up just now; where it is not there and cannot be made, the folder is at fault.
            f"if [ ! -L {self._lock} ] && said=$(take 2>&1); then echo taken; exit 0; fi\n"
            f'[ -L {self._lock} ] || {{ echo "$said"; exit 1; }}\n'
            f"{self._held}"
        )
        if ran.status != 0:
            raise device_said_no(f"lock the device in {self._folder}", ran.output)
        if "taken" in ran.output.split():
            return None, None
        holder, stale, words = _holder(ran.output)
        return holder if stale else None, words

    def holder(self) -> str | None:
        """Who holds it now, and since when; None where nobody does, or its owner is gone. It is only looked at."""
        ran = self._run(f"{_CLOCK}\n[ -L {self._lock} ] || exit 0\n{self._held}")
        if ran.status != 0 or not ran.output.strip():
            return None
        _, stale, words = _holder(ran.output)
        return None if stale else words

    def renew(self, silent_s: int = 0) -> bool:
        """Says that the owner is still there, and will say nothing for ``silent_s``; False where the lock is no longer ours."""
        ours = f'[ "$(readlink {self._lock})" = {self._text} ] || exit 0'
        ran = self._run(f"{_CLOCK}\nsilent={silent_s}\n{ours}\n{self._seen} && echo ours")
        if ran.status != 0:
            raise device_said_no(f"renew the lock in {self._folder}", ran.output)
        return "ours" in ran.output.split()

    def release(self) -> None:
        """Gives it up where it is ours."""
        self._run(f'[ "$(readlink {self._lock})" = {self._text} ] && rm -f {self._lock} {self._lease}')

    def _break(self, holder: str) -> None:
        """Removes the lock of ``holder`` where it is still theirs; of several who want to, one does, and the others come again.

        Whoever breaks holds a folder meanwhile: between looking and removing nobody else may break and take. One that a
        restart left is removed after a minute.
        """
        breaking = shlex.quote(f"{self._path}/lock.breaking")
        self._run(
            f"if ! mkdir {breaking} 2>/dev/null; then\n"
            f"  since=$(stat -c %Y {breaking} 2>/dev/null) || exit 0\n"
            f"  [ $(($(date +%s) - since)) -lt 60 ] || rmdir {breaking}\n"
            "  exit 0\n"
            "fi\n"
            f'[ "$(readlink {self._lock})" != {shlex.quote(holder)} ] || rm -f {self._lock}\n'
            f"rmdir {breaking}"
        )

    def _run(self, script: str) -> Ran:
        return self._shell.run_script(script, timeout_s=_COMMAND_S)


def _holder(output: str) -> tuple[str, bool, str]:
    """Of what a device says of a lock: its holder as it stands there, whether it is stale, and both in words."""
    said = {key: value for key, _, value in (line.partition(" ") for line in output.splitlines())}
    holder = said.get("holder", "")
    owner = _parsed(holder)
    age_s = _age_s(said, owner)
    old = age_s is not None and age_s > STALE_S
    stale = bool(holder) and (old or (owner is not None and _is_gone(owner)))
    if age_s is None:
        return holder, stale, "another run"
    words = f"{owner or 'somebody'}, last seen {max(age_s, 0)} s ago (after {STALE_S} s it is given up)"
    return holder, stale, words


@contextmanager
def held_here(
    name: str, emit: Emit, *, wait: bool = True, sleep_s: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Holds this computer's lock of that name, before the device is asked anything. Raises DeviceBusy, at once where not
    ``wait``."""
    owner = str(this_owner())
    with host_lock(name) as lock:
        _take(lambda: lock.try_acquire(owner), emit, wait=wait, sleep_s=sleep_s, polls_s=repeat(_POLL_S))
        yield


def wait_until_free(
    shell: Shell, folder: str, emit: Emit, *, wait: bool = True, sleep_s: Callable[[float], None] = time.sleep
) -> None:
    """Returns once nobody holds the device. Its lock is only looked at: it is asked nothing else while somebody measures there.

    Raises DeviceBusy, at once where not ``wait``.
    """
    lock = DeviceLock(shell, folder, this_owner())
    _take(lock.holder, emit, wait=wait, sleep_s=sleep_s, polls_s=_ever_rarer())


@contextmanager
def locked(
    shell: Shell,
    folder: str,
    device_id: str,
    emit: Emit,
    *,
    shared: bool = False,
    wait: bool = True,
    sleep_s: Callable[[float], None] = time.sleep,
) -> Iterator[DeviceLock]:
    """Holds the device, first on this computer, then on the device. Raises DeviceBusy, at once where not ``wait``."""
    lock = DeviceLock(shell, folder, this_owner(), shared=shared)
    with held_here(device_id, emit, wait=wait, sleep_s=sleep_s):
        _take(lock.acquire, emit, wait=wait, sleep_s=sleep_s, polls_s=_ever_rarer())
        try:
            yield lock
        finally:
            try:
                lock.release()
            except DeviceError as error:
                told = f"the device's lock stays until this computer comes back or {STALE_S} s passed"
                emit(Note(f"{told}: {error.message}"))


def _ever_rarer() -> Iterator[float]:
    poll_s = _POLL_S
    while True:
        yield poll_s
        poll_s = min(2 * poll_s, _POLL_MAX_S)


def _take(
    attempt: Callable[[], str | None],
    emit: Emit,
    *,
    wait: bool,
    sleep_s: Callable[[float], None],
    polls_s: Iterator[float],
) -> None:
    """Attempts until it succeeds, at once and after each of ``polls_s``."""
    waited_s = 0.0
    while (holder := attempt()) is not None:
        if not wait or waited_s >= WAIT_MAX_S:
            raise DeviceBusy(
                f"the device is in use: {holder}",
                hint="wait for that run, or leave out --no-wait to wait here until it is over",
            )
        emit(Waiting(f"the device is in use: {holder}", waited_s, WAIT_MAX_S))
        poll_s = min(next(polls_s), WAIT_MAX_S - waited_s)
        sleep_s(poll_s)
        waited_s += poll_s
    if waited_s:
        emit(Note("the device is free"))


def _parsed(holder: str) -> Owner | None:
    """None where it is not what an edgebench wrote."""
    try:
        token, user, host, pid, machine = json.loads(unquote(holder))
        return Owner(str(token), str(user), str(host), int(pid), str(machine))
    except (ValueError, TypeError):
        return None


def _age_s(said: Mapping[str, str], owner: Owner | None) -> int | None:
    """For how long ``owner`` was not seen, None where the device does not tell."""
    try:
        boot, now_s = said["now"].split()
        try:
            lease_boot, lease_s, token, silent_s = said["lease"].split(":")
        except ValueError:
            token = ""
        if owner is None or token != owner.token:
            # Its first lease is not written yet, or it is not ours at all: the link itself is as old.
            made_s, wall_s = said["made"].split()
            return int(wall_s) - int(made_s)
        since_s = int(now_s) - int(lease_s)
        # Started again since then, the device was on for that long at least without a word from the owner.
        return max(since_s - int(silent_s), 0) if lease_boot == boot and since_s >= 0 else int(now_s)
    except (KeyError, ValueError):
        return None


def _is_gone(owner: Owner) -> bool:
    """Whether it was a process of this computer that has ended: its lock need not grow old."""
    if not owner.machine or owner.machine != this_machine():
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    # This very process holds this computer's lock now: what an earlier run of it left is nobody's.
    return owner.pid == os.getpid()


def sweep_script(launches: str) -> str:
    """Ends what an earlier owner left running in the launches' folder, and removes it. Only under the lock."""
    quoted = shlex.quote(launches)
    return (
        f"for folder in {quoted}/*; do\n"
        '[ -d "$folder" ] || continue\n'
        'if read -r pid < "$folder/pid" && grep -q "${folder##*/}" /proc/$pid/cmdline; then kill -KILL $pid; fi 2>/dev/null\n'
        'rm -rf "$folder"; echo "removed ${folder##*/}"\n'
        "done"
    )


def leftover_launches(output: str) -> tuple[str, ...]:
    """The launches that ``sweep_script`` says it removed."""
    return tuple(line.removeprefix("removed ") for line in output.splitlines() if line.startswith("removed "))
