"""The writer of the page that virtual_clock.cpp reads: see virtual_clock.h for the protocol."""

from __future__ import annotations

import ctypes
import mmap
import time
from pathlib import Path

_MAGIC = 0x31434C56
_CLOCKS = (time.CLOCK_MONOTONIC, time.CLOCK_MONOTONIC_RAW, time.CLOCK_BOOTTIME)


class _Anchor(ctypes.Structure):
    _fields_ = (("real_ns", ctypes.c_int64), ("virtual_ns", ctypes.c_int64))


class _Page(ctypes.Structure):
    # ctypes stores each field at once, struct.pack_into byte by byte.
    _fields_ = (
        ("magic", ctypes.c_uint32),
        ("sequence", ctypes.c_uint32),
        ("slowdown", ctypes.c_double),
        ("anchors", _Anchor * len(_CLOCKS)),
    )


class ClockPage:
    """A virtual clock that starts equal to this machine's and runs ``slowdown`` times as fast: work seems that much slower.

    One writer; on a processor that keeps the order of stores (x86).
    """

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(ctypes.sizeof(_Page)))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), ctypes.sizeof(_Page))
        self._page = _Page.from_buffer(self._map)
        self._page.slowdown = 1.0
        for anchor, clock in zip(self._page.anchors, _CLOCKS, strict=True):
            anchor.real_ns = anchor.virtual_ns = time.clock_gettime_ns(clock)
        self._page.magic = _MAGIC

    @property
    def slowdown(self) -> float:
        """The factor in force."""
        return float(self._page.slowdown)

    def set_slowdown(self, slowdown: float) -> None:
        """From now on; what the clock shows goes on without a jump."""
        if not slowdown > 0:
            raise ValueError(f"a clock runs forward: slowdown={slowdown}")
        page = self._page
        before = page.slowdown
        page.sequence += 1
        for anchor, clock in zip(page.anchors, _CLOCKS, strict=True):
            now_ns = time.clock_gettime_ns(clock)
            # The reader's own arithmetic: a rounding more here, and a clock would step back.
            anchor.virtual_ns += int(float(now_ns - anchor.real_ns) * before)
            anchor.real_ns = now_ns
        page.slowdown = slowdown
        page.sequence += 1

    def virtual_ns(self, real_monotonic_ns: int) -> int:
        """What CLOCK_MONOTONIC shows on the phone at this machine's time, which must not lie before the last change."""
        anchor = self._page.anchors[0]
        passed_ns = float(real_monotonic_ns - anchor.real_ns)
        return int(anchor.virtual_ns) + int(passed_ns * self._page.slowdown)

    def close(self) -> None:
        """Lets the page go; readers keep theirs."""
        del self._page
        self._map.close()
