"""The processor's own counters of this process, where the kernel lets it have them (perf_event_open(2))."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from typing import List, NamedTuple, Optional, Sequence, Tuple

# By machine (asm/unistd.h).
_SYSCALL = {"x86_64": 298, "i686": 336, "aarch64": 241, "armv7l": 364, "armv8l": 364, "riscv64": 241}
# linux/perf_event.h: an attribute's size in its first version, type and config, what a reading holds, flags.
_ATTRIBUTE_BYTES = 64
HARDWARE, SOFTWARE = 0, 1
CYCLES, INSTRUCTIONS = 0, 1
# As units of Armv8 and later number them (Arm Architecture Reference Manual, "Common event numbers"): their driver takes the
# general numbers for one unit of several only since Linux 6.5.
_ARM = {CYCLES: 0x11, INSTRUCTIONS: 0x08}
# PERF_PMU_TYPE_SHIFT
_UNIT_SHIFT = 32
UNITS = "/sys/bus/event_source/devices"
_TIME_ENABLED_AND_RUNNING = 1 | 2
# The threads that it starts later, too; user space alone: the kernel's part takes more rights.
_INHERIT, _NOT_THE_KERNEL = 1 << 1, 1 << 5 | 1 << 6
_CLOSE_ON_EXEC = 1 << 3


# perf_event_attr's type and config.
Event = Tuple[int, int]


def on_every_unit(what: int, units: str = UNITS) -> List[Event]:
    """CYCLES or INSTRUCTIONS as every unit of the processor counts it; ``units`` is where the kernel lists them.

    Where cores are of several kinds each kind has a unit of its own, which counts nothing on the others.
    """
    events = []
    try:
        names = sorted(os.listdir(units))
    except OSError:
        names = []
    for name in names:
        # Units of memory and buses name no cores.
        if not os.path.exists(os.path.join(units, name, "cpus")):
            continue
        try:
            with open(os.path.join(units, name, "type")) as file:
                kind = int(file.read())
        except (OSError, ValueError):
            continue
        arm = name.startswith(("armv8", "armv9"))
        events.append((kind, _ARM[what]) if arm else (HARDWARE, kind << _UNIT_SHIFT | what))
    # Cores that are alike need no unit to be named.
    return events or [(HARDWARE, what)]


class Counts(NamedTuple):
    """So far; None for one that cannot be had, that shared the processor's counter with others, or whose threads ran on cores
    of several kinds."""

    cycles: Optional[int]
    instructions: Optional[int]


class Counters:
    """Of the calling thread and of every thread that it starts later."""

    def __init__(
        self, cycles: Optional[Sequence[Event]] = None, instructions: Optional[Sequence[Event]] = None
    ) -> None:
        """Of these events, the one that counts; by default as the processor counts them."""
        counted = (
            on_every_unit(CYCLES) if cycles is None else cycles,
            on_every_unit(INSTRUCTIONS) if instructions is None else instructions,
        )
        self._descriptors = [[_opened(*event) for event in events] for events in counted]

    def read(self) -> Counts:
        """What was counted since they were made."""
        return Counts(*(_first_count(each) for each in self._descriptors))


def between(before: Counts, after: Counts) -> Counts:
    """What was counted from one reading to a later one."""
    return Counts(_less(before.cycles, after.cycles), _less(before.instructions, after.instructions))


def _less(before: Optional[int], after: Optional[int]) -> Optional[int]:
    return None if before is None or after is None else after - before


def _opened(kind: int, config: int) -> int:
    number = _SYSCALL.get(platform.machine())
    if number is None:
        return -1
    # type, size, config, period, sample_type, read_format, flags, and nothing up to its size.
    attribute = struct.pack(
        "=IIQQQQQ", kind, _ATTRIBUTE_BYTES, config, 0, 0, _TIME_ENABLED_AND_RUNNING, _INHERIT | _NOT_THE_KERNEL
    )
    given = ctypes.create_string_buffer(attribute.ljust(_ATTRIBUTE_BYTES, b"\0"), _ATTRIBUTE_BYTES)
    return int(ctypes.CDLL(None).syscall(number, given, 0, -1, -1, _CLOSE_ON_EXEC))


def _first_count(descriptors: Sequence[int]) -> Optional[int]:
    """Of the one unit that counted all the time."""
    counts = (_count(each) for each in descriptors)
    return next((count for count in counts if count is not None), None)


def _count(descriptor: int) -> Optional[int]:
    if descriptor < 0:
        return None
    try:
        values = os.read(descriptor, 24)
    except OSError:
        return None
    if len(values) < 24:
        return None
    count, wanted, counted = struct.unpack("=QQQ", values)
    return int(count) if counted and wanted == counted else None
