"""Waits until a core is left alone: the neighbours of a virtual machine slow it to 1.6 times for minutes, then leave it again.

What must tell a few percent cannot be recorded beside them. The wait looks at a loop of this program's own, never at what is
recorded, and comes before it.
"""

from __future__ import annotations

import os
import time

# About 8 ms each on a core of 3 GHz.
_STEPS = 300_000
# A loop beside a busy neighbour takes 1.4 to 1.7 times as long; left alone some 5 to 20 % stand out by this much.
_SLOW, _SLOW_MOST = 1.25, 0.2


class QuietCore:
    """One core, and how fast a tenth of the loops was in the best look at it; a look takes so many ``loops``.

    Never the one fastest loop: a clock that is set back once would call a core busy for ever.
    """

    def __init__(self, core: int, loops: int = 400) -> None:
        self._core = core
        self._loops = loops
        self._best_s = float("inf")

    def wait(self, at_most_s: float = 3600.0) -> float:
        """Seconds until it was quiet for a look. Raises SystemExit where it never was: a recording goes on another time."""
        began_s = time.monotonic()
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self._core})
        try:
            while not self._quiet():
                if time.monotonic() - began_s > at_most_s:
                    raise SystemExit(
                        f"core {self._core} was busy for {at_most_s:.0f} s: go on when this machine is quiet"
                    )
        finally:
            os.sched_setaffinity(0, before)
        return time.monotonic() - began_s

    def _quiet(self) -> bool:
        times_s = sorted(_loop_s() for _ in range(self._loops))
        self._best_s = min(self._best_s, times_s[self._loops // 10])
        return sum(each > _SLOW * self._best_s for each in times_s) <= _SLOW_MOST * self._loops


def _loop_s() -> float:
    value, began_s = 1.0, time.perf_counter()
    for _ in range(_STEPS):
        value *= 1.0000001
    return time.perf_counter() - began_s
