"""What goes wrong on a phone, switched on and off by a test while the daemon runs.

    Faults(drop_command=DropCommand(after_bytes=1000, times=1)).write(state)      # the cable falls out once
    Faults().write(state)                                                        # all well again

The daemon reads ``faults.json`` in its state folder before each packet, and every 50 ms besides. A new file starts all
counts anew.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

FILE = "faults.json"


@dataclass(frozen=True, kw_only=True)
class Strike:
    """When a fault strikes: from the ``nth`` on of the events that contain a text, and so many times.

    The event's text is the command, or the path of the pushed or pulled file.
    """

    containing: str = ""
    nth: int = 1
    times: int | None = None  # None: each time


@dataclass(frozen=True, kw_only=True)
class DropCommand(Strike):
    """The connection ends in the middle of a command: after so much of its output, or so long after its start."""

    after_bytes: int | None = None
    after_ms: int | None = None

    def __post_init__(self) -> None:
        if (self.after_bytes is None) == (self.after_ms is None):
            raise ValueError("a command is dropped either after_bytes or after_ms")


@dataclass(frozen=True, kw_only=True)
class DropPush(Strike):
    """The connection ends after so many bytes of a pushed file.

    adbd removes the part that it had; with ``keeps_part`` it stays, as when the battery gave out.
    """

    after_bytes: int
    keeps_part: bool = True


@dataclass(frozen=True, kw_only=True)
class FullStorage(Strike):
    """A push fails with "No space left on device" after so many bytes; ``keeps_part`` as for DropPush."""

    after_bytes: int
    keeps_part: bool = True


@dataclass(frozen=True, kw_only=True)
class CorruptPush(Strike):
    """One bit of this byte (counted from 0) of a pushed file is stored flipped; the push itself succeeds."""

    at_byte: int


@dataclass(frozen=True, kw_only=True)
class TruncatePull(Strike):
    """A pull ends after so many bytes, as if they were the whole file."""

    to_bytes: int


@dataclass(frozen=True, kw_only=True)
class KillProcess(Strike):
    """A process of the phone whose name contains ``containing`` gets SIGKILL so long after it was first seen."""

    after_ms: int

    def __post_init__(self) -> None:
        if not self.containing:
            raise ValueError("say whose process is to be killed: containing=...")


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Everything that is wrong at the moment; the default is a sound phone."""

    unauthorized: bool = False
    """Every key is refused, also new ones; what is connected is dropped and comes back unauthorised."""
    press_allow: bool = False
    """The user presses Allow: a waiting or coming key is accepted and kept."""
    offline: bool = False
    """TCP connections are accepted and never answered; what is connected is dropped. When this ends, they are answered."""
    frozen: bool = False
    """Nothing is read, nothing is sent, the connection stays; commands run on. When this ends, all goes on."""
    without_features: tuple[str, ...] = ()
    """Left out of the banner, as ("shell_v2",) on Android 6; what is connected is dropped, the banner comes first."""
    link_bytes_per_s: int | None = None
    """Speed limit of the cable, each way."""
    stay_away_s: float = 0.0
    """After a drop, new connections are refused for so long."""
    drop_command: DropCommand | None = None
    drop_push: DropPush | None = None
    full_storage: FullStorage | None = None
    corrupt_push: CorruptPush | None = None
    truncate_pull: TruncatePull | None = None
    kill_process: KillProcess | None = None

    def given(self) -> dict[str, Any]:
        """What differs from a sound phone, as JSON knows it."""
        sound = dataclasses.asdict(Faults())
        return {name: value for name, value in dataclasses.asdict(self).items() if value != sound[name]}

    def write(self, state: Path) -> None:
        """Put these faults, and no others, in force in the daemon with this state folder; whole or not at all."""
        fresh = state / f".{FILE}.{os.getpid()}"
        fresh.write_text(json.dumps(dataclasses.asdict(self), indent=1), encoding="utf-8")
        fresh.replace(state / FILE)

    @classmethod
    def read(cls, text: str) -> Faults:
        """Decode the file. Raises TypeError or ValueError on what Faults does not know."""
        raw: dict[str, Any] = json.loads(text)
        raw["without_features"] = tuple(raw.get("without_features", ()))
        for name, kind in _STRIKES.items():
            if raw.get(name) is not None:
                raw[name] = kind(**raw[name])
        return cls(**raw)


_STRIKES: dict[str, type[Strike]] = {
    "drop_command": DropCommand,
    "drop_push": DropPush,
    "full_storage": FullStorage,
    "corrupt_push": CorruptPush,
    "truncate_pull": TruncatePull,
    "kill_process": KillProcess,
}


FaultT = TypeVar("FaultT", bound=Strike)


class FaultFile:
    """The daemon's view of the faults file, with the counts since it was written."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE
        self._seen: tuple[int, int, int] | None = None
        self._matched: dict[str, int] = {}
        self._struck: dict[str, int] = {}
        self.now = Faults()

    def refresh(self) -> bool:
        """Read the file if it is another than last time; whether it was."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
        if stamp == self._seen:
            return False
        self._seen = stamp
        self.now = Faults.read(self._path.read_text(encoding="utf-8"))
        self._matched.clear()
        self._struck.clear()
        return True

    def strike(self, fault: FaultT | None, text: str) -> FaultT | None:
        """Count an event that this fault is about; the fault if it strikes now, else None."""
        if fault is None or fault.containing not in text:
            return None
        name = type(fault).__name__
        self._matched[name] = self._matched.get(name, 0) + 1
        struck = self._struck.get(name, 0)
        if self._matched[name] < fault.nth or (fault.times is not None and struck >= fault.times):
            return None
        self._struck[name] = struck + 1
        return fault
