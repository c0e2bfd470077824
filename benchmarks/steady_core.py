"""Waits until a core is steady: the neighbours of a virtual machine slow it to 1.6 times for minutes, then leave it again.

What must tell a few percent cannot be recorded while they come and go. The wait looks at a loop of this program's own, never
at what is recorded, and comes before it.
"""

from __future__ import annotations

import os
import time

# About 8 ms each on a core of 3 GHz.
_STEPS = 300_000
# A loop beside a busy neighbour takes 1.4 to 1.7 times as long; left alone some 5 to 20 % stand out by this much.
_SLOW, _SLOW_MOST = 1.25, 0.2


class SteadyCore:
    """One core; a look at it takes so many ``loops``. Few of them may stand out from the fast ones of this look and the last.

    Never from the fastest loop or look of all: a clock that is set back once, or a neighbour that is away for a minute and then
    stays for an hour, would call a core busy for ever. One that stays slows a device and its twin alike.
    """

    def __init__(self, core: int, loops: int) -> None:
        self._core = core
        self._loops = loops
        self._fast_before_s = float("inf")

    def wait(self, at_most_s: float = 3600.0) -> float:
        """Seconds until it was steady for a look. Raises SystemExit where it never was: a recording goes on another time."""
        began_s = time.monotonic()
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self._core})
        try:
            while not self._steady():
                if time.monotonic() - began_s > at_most_s:
                    raise SystemExit(
                        f"core {self._core} was not steady for {at_most_s:.0f} s: go on when this machine is quiet"
                    )
        finally:
            os.sched_setaffinity(0, before)
        return time.monotonic() - began_s

    def _steady(self) -> bool:
        times_s = sorted(_loop_s() for _ in range(self._loops))
        fast_s = times_s[self._loops // 10]
        usual_s, self._fast_before_s = min(fast_s, self._fast_before_s), fast_s
        return sum(each > _SLOW * usual_s for each in times_s) <= _SLOW_MOST * self._loops


def _loop_s() -> float:
    value, began_s = 1.0, time.perf_counter()
    for _ in range(_STEPS):
        value *= 1.0000001
    return time.perf_counter() - began_s
