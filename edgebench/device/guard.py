"""The scripts that put a device's settings back: the journal, which restores, and the guard, which runs it when nobody does.

They run in whatever shell the device has (mksh, dash, busybox), with sleep, mv, rm and cat from toybox.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

# How a renewal ends that cannot be granted.
NO_JOURNAL, NO_GUARD = 3, 4
_NAME = "edgebench-guard"


@dataclass(frozen=True)
class Guard:
    """Where the journal lies on the device, and for how long a session may be silent before the guard restores.

    The guard wakes every ``tick_s``: rarely enough that a launch does not feel it.
    """

    folder: str
    lease_s: float = 60.0
    tick_s: float = 5.0

    @property
    def journal(self) -> str:
        """The script that restores; it is there exactly while something may have to be restored."""
        return f"{self.folder}/restore.sh"

    @property
    def lease(self) -> str:
        """A renewal: for how many ticks from now. The guard takes it away."""
        return f"{self.folder}/restore.lease"

    @property
    def owner(self) -> str:
        """Which guard is on duty, and its process: an older one that reads another word there ends."""
        return f"{self.folder}/restore.owner"

    def ticks(self, lease_s: float) -> int:
        """``lease_s`` in ticks, at least one."""
        return max(1, round(lease_s / self.tick_s))

    def kept_s(self, lease_s: float) -> float:
        """For how long a session to which ``lease_s`` is granted has its settings at least."""
        return self.ticks(lease_s) * self.tick_s

    def restored_s(self, lease_s: float) -> float:
        """When they are restored at the latest after that grant: it is seen when the guard wakes next."""
        return self.kept_s(lease_s) + self.tick_s


def journal_script(guard: Guard, restoring: Sequence[str]) -> str:
    """Runs every command of ``restoring``, also when an earlier one fails, and removes itself if all succeeded."""
    commands = "".join(f"{command} || failed=1\n" for command in restoring)
    files = " ".join(map(shlex.quote, (guard.journal, guard.lease, guard.owner)))
    return f'failed=\n{commands}[ -z "$failed" ] || exit 1\nrm -f {files}\n'


def guard_script(guard: Guard) -> str:
    """Runs the journal once the lease has run out, and ends when there is no journal or another guard is on duty.

    Time is counted in sleeps: the wall clock of a phone jumps when the network sets it. A journal that fails is tried again
    for another lease, then left for the next session.
    """
    journal, lease, owner = map(shlex.quote, (guard.journal, guard.lease, guard.owner))
    ticks = guard.ticks(guard.lease_s)
    return f"""\
echo "$1 $$" > {owner}
left={ticks}
while sleep {guard.tick_s:g} && [ -f {journal} ]; do
  word=; read -r word pid 2>/dev/null < {owner}
  [ "$word" = "$1" ] || exit 0
  left=$((left - 1))
  # Moved away before it is read: a renewal that comes meanwhile is not lost.
  if [ -f {lease} ] && mv -f {lease} {lease}.seen; then
    granted=; read -r granted < {lease}.seen; rm -f {lease}.seen
    case $granted in ''|*[!0-9]*) left={ticks} ;; *) left=$granted ;; esac
  fi
  [ "$left" -gt 0 ] || sh {journal}
  [ "$left" -gt -{ticks} ] || exit 1
done
"""


def install_script(guard: Guard, restoring: Sequence[str], word: str) -> str:
    """Writes the journal, whole or not at all, and starts a guard that outlives this connection; fails unless it runs."""
    owner, lease, journal = map(shlex.quote, (guard.owner, guard.lease, guard.journal))
    new = shlex.quote(f"{guard.journal}.new")
    # Passed by value: no file that another guard could take away.
    start = f"sh -c {shlex.quote(guard_script(guard))} {_NAME} {word} </dev/null >/dev/null 2>&1 &"
    # Not a here-document: mksh keeps those in a file under TMPDIR, which the shell user of some phones cannot write.
    return f"""\
mkdir -p {shlex.quote(guard.folder)} || exit 1
rm -f {lease} {owner}
printf %s {shlex.quote(journal_script(guard, restoring))} > {new} && mv -f {new} {journal} || exit 1
if command -v setsid >/dev/null 2>&1; then setsid {start}
else nohup {start}
fi
turn=0
while :; do
  seen=; [ ! -f {owner} ] || read -r seen pid < {owner}
  [ "$seen" != {word} ] || exit 0
  turn=$((turn + 1))
  [ "$turn" -le 30 ] || {{ echo "the guard does not start"; exit 1; }}
  sleep 0.1 2>/dev/null || sleep 1
done
"""


def renew_script(guard: Guard, lease_s: float) -> str:
    """Grants the session ``lease_s`` from now; ends with NO_JOURNAL where there is none any more, with NO_GUARD where nobody
    would run it: the device, or the service that its shell belongs to, was started again."""
    new, lease, owner = shlex.quote(f"{guard.lease}.new"), shlex.quote(guard.lease), shlex.quote(guard.owner)
    return (
        f"[ -f {shlex.quote(guard.journal)} ] || exit {NO_JOURNAL}\n"
        f"pid=; read -r word pid 2>/dev/null < {owner}\n"
        f"grep -q {_NAME} /proc/$pid/cmdline 2>/dev/null || exit {NO_GUARD}\n"
        f"echo {guard.ticks(lease_s)} > {new} && mv -f {new} {lease}\n"
    )


def restore_script(guard: Guard) -> str:
    """Runs the journal where there is one, and then prints ``restored``. Ends with the journal's status."""
    journal = shlex.quote(guard.journal)
    return f"[ -f {journal} ] || exit 0\nsh {journal} && echo restored\n"
