"""The processor's own counters of this process, where the kernel lets it have them (perf_event_open(2))."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from typing import List, NamedTuple, Optional, Tuple

# By machine (asm/unistd.h).
_SYSCALL = {"x86_64": 298, "i686": 336, "aarch64": 241, "armv7l": 364, "armv8l": 364, "riscv64": 241}
# linux/perf_event.h: an attribute's size in its first version, type and config, what a reading holds, flags.
_ATTRIBUTE_BYTES = 64
HARDWARE, SOFTWARE = 0, 1
CYCLES, INSTRUCTIONS = (HARDWARE, 0), (HARDWARE, 1)
_TIME_ENABLED_AND_RUNNING = 1 | 2
# The threads that it starts later, too; user space alone: the kernel's part takes more rights.
_INHERIT, _NOT_THE_KERNEL = 1 << 1, 1 << 5 | 1 << 6
_CLOSE_ON_EXEC = 1 << 3


class Counts(NamedTuple):
    """So far; None for one that cannot be had, or that shared the processor's counter with others."""

    cycles: Optional[int]
    instructions: Optional[int]


class Counters:
    """Of the calling thread and of every thread that it starts later."""

    def __init__(self, cycles: Tuple[int, int] = CYCLES, instructions: Tuple[int, int] = INSTRUCTIONS) -> None:
        self._descriptors: List[int] = [_opened(*cycles), _opened(*instructions)]

    def read(self) -> Counts:
        """What was counted since they were made."""
        return Counts(*(_count(each) for each in self._descriptors))


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
