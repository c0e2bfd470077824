"""The phone's processes as one group of the kernel's: what they have computed, and how much of a core they may.

A quota is one fault of several: it takes the processor away in lumps of milliseconds, which a lower frequency does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_MOUNTS = Path("/proc/self/mounts")
# As Android's own groups: a phone that is throttled by quota stops for milliseconds at a time.
PERIOD_US = 10_000
# The kernel refuses less.
_LEAST_US = 1_000


class NoGroups(Exception):
    """This machine or user cannot have such a group; the message says why."""


class Group(Protocol):
    """A control group. Making one raises NoGroups; ``set_share`` raises it where there is no quota."""

    def procs(self) -> tuple[Path, ...]:
        """The files that a process writes "0" to in order to enter."""

    def busy_ns(self) -> int:
        """The processor time of all that ever ran in it."""

    def set_share(self, share: float | None, period_us: int = PERIOD_US) -> None:
        """At most so much of one core in each period, None for all there is."""

    @property
    def has_quota(self) -> bool:
        """Whether ``set_share`` has something to set."""

    def remove(self) -> None:
        """Takes the group away, where it still is; it must be empty."""


@dataclass(frozen=True)
class GroupV1:
    """Two hierarchies: cpu has the quota, cpuacct the account (they may be one)."""

    cpu: Path
    cpuacct: Path

    def procs(self) -> tuple[Path, ...]:
        return tuple(folder / "cgroup.procs" for folder in dict.fromkeys((self.cpu, self.cpuacct)))

    def busy_ns(self) -> int:
        return int((self.cpuacct / "cpuacct.usage").read_text(encoding="ascii"))

    def set_share(self, share: float | None, period_us: int = PERIOD_US) -> None:
        quota = "-1" if share is None else str(max(round(share * period_us), _LEAST_US))
        with _told("the quota cannot be set"):
            (self.cpu / "cpu.cfs_period_us").write_text(str(period_us), encoding="ascii")
            (self.cpu / "cpu.cfs_quota_us").write_text(quota, encoding="ascii")

    @property
    def has_quota(self) -> bool:
        return (self.cpu / "cpu.cfs_quota_us").exists()

    def remove(self) -> None:
        for folder in dict.fromkeys((self.cpu, self.cpuacct)):
            _removed(folder)


@dataclass(frozen=True)
class GroupV2:
    """The one hierarchy; the quota needs the cpu controller, the account does not."""

    folder: Path

    def procs(self) -> tuple[Path, ...]:
        return (self.folder / "cgroup.procs",)

    def busy_ns(self) -> int:
        for line in (self.folder / "cpu.stat").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(" ")
            if name == "usage_usec":
                return int(value) * 1000
        raise NoGroups(f"{self.folder}/cpu.stat has no usage_usec")

    def set_share(self, share: float | None, period_us: int = PERIOD_US) -> None:
        quota = "max" if share is None else str(max(round(share * period_us), _LEAST_US))
        if not self.has_quota:
            if share is None:
                return
            raise NoGroups(f"{self.folder} has no cpu controller: nobody above it lends it one")
        with _told("the quota cannot be set"):
            (self.folder / "cpu.max").write_text(f"{quota} {period_us}", encoding="ascii")

    @property
    def has_quota(self) -> bool:
        return (self.folder / "cpu.max").exists()

    def remove(self) -> None:
        _removed(self.folder)


def make_group(name: str, mounts: Path = _MOUNTS) -> Group:
    """A new, empty group for this run alone. Raises NoGroups."""
    v1, v2 = _hierarchies(mounts)
    with _told("a control group cannot be made"):
        if "cpu" in v1 and "cpuacct" in v1:
            return _made_v1(v1, name)
        if v2 is not None:
            _made(v2 / name)
            _lend_cpu(v2)
            return GroupV2(v2 / name)
    raise NoGroups("no cgroup hierarchy with a processor account is mounted")


def _hierarchies(mounts: Path) -> tuple[Mapping[str, Path], Path | None]:
    """Version 1's mount points by controller, and version 2's."""
    v1: dict[str, Path] = {}
    v2: Path | None = None
    for line in mounts.read_text(encoding="utf-8").splitlines():
        _, place, kind, options = line.split()[:4]
        if kind == "cgroup":
            v1.update(dict.fromkeys(options.split(","), Path(place)))
        elif kind == "cgroup2" and v2 is None:
            v2 = Path(place)
    return v1, v2


def _made_v1(v1: Mapping[str, Path], name: str) -> Group:
    _made(v1["cpu"] / name)
    _made(v1["cpuacct"] / name)
    return GroupV1(v1["cpu"] / name, v1["cpuacct"] / name)


def _made(folder: Path) -> None:
    # Two controllers of version 1 may be one hierarchy under two names.
    folder.mkdir(exist_ok=True)


def _removed(folder: Path) -> None:
    if folder.exists():
        folder.rmdir()


def _lend_cpu(parent: Path) -> None:
    """Best effort: without it the group has an account and no quota."""
    control = parent / "cgroup.subtree_control"
    try:
        if "cpu" not in control.read_text(encoding="ascii").split():
            control.write_text("+cpu", encoding="ascii")
    except OSError:
        return


class _told:  # noqa: N801 - reads as a clause
    """OSError as NoGroups."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise NoGroups(f"{self._what}: {error}") from error


def busy_of(pids: Callable[[], list[int]], tick_ns: int) -> Callable[[], int]:
    """An account without control groups: the processor time of these processes, those that ended since included."""
    seen: dict[int, int] = {}

    def busy_ns() -> int:
        for pid in pids():
            try:
                fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            except OSError:
                continue
            # utime and stime, fields 14 and 15 of proc(5). A PID that comes back counts from its highest value.
            seen[pid] = max(seen.get(pid, 0), (int(fields[11]) + int(fields[12])) * tick_ns)
        return sum(seen.values())

    return busy_ns
