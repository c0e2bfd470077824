"""The timed loop and what decides when it may start. Nothing here knows a runtime."""

from __future__ import annotations

import gc
import statistics
import time
from contextlib import contextmanager
from typing import Callable, Iterator, List, Tuple

from .wire import Json

Run = Callable[[], object]


@contextmanager
def quiet_interpreter() -> Iterator[None]:
    """No garbage collection inside: what there is now is collected first."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def timed_block(run: Run, core: Callable[[], int], most: int, least: int, limit_ns: int) -> Tuple[List[int], List[int]]:
    """Runs ``run`` until ``limit_ns`` have passed, at least ``least`` and at most ``most`` times.

    Returns ns of each call and the core it ended on. Only the call lies between the two clock readings; the lists are
    made before, the core is asked after.
    """
    clock = time.monotonic_ns
    durations, cores = [0] * most, [0] * most
    stop = clock() + limit_ns
    count = 0
    while count < most:
        start = clock()
        run()
        end = clock()
        durations[count] = end - start
        cores[count] = core()
        count += 1
        if end >= stop and count >= least:
            break
    del durations[count:], cores[count:]
    return durations, cores


def timed_turns(
    runs: Tuple[Run, Run], core: Callable[[], int], most: int, least: int, limit_ns: int
) -> Tuple[Tuple[List[int], List[int]], Tuple[List[int], List[int]]]:
    """Runs A B B A A B B A ... as ``timed_block`` runs one: drift that is linear over four calls falls on both alike.

    Returns what that does, for each of the two; both ran as often, an even number of times unless ``most`` is odd.
    """
    clock = time.monotonic_ns
    durations, cores = ([0] * most, [0] * most), ([0] * most, [0] * most)
    stop = clock() + limit_ns
    count = 0
    while count < most:
        for which in (0, 1) if count % 2 == 0 else (1, 0):
            run = runs[which]
            start = clock()
            run()
            end = clock()
            durations[which][count] = end - start
            cores[which][count] = core()
        count += 1
        if end >= stop and count >= least and count % 2 == 0:
            break
    for each in (*durations, *cores):
        del each[count:]
    return (durations[0], cores[0]), (durations[1], cores[1])


def warm_up(run: Run, window: int, tolerance: float, max_ms: int) -> Tuple[List[int], bool]:
    """Runs windows of ``window`` calls until the medians of two in a row differ by at most ``tolerance``.

    Returns every call's ns, and False where ``max_ms`` passed first (at least two windows run all the same).
    """
    start = time.monotonic_ns()
    durations, _ = timed_block(run, _no_core, window, window, 0)
    before = statistics.median(durations)
    while True:
        block, _ = timed_block(run, _no_core, window, window, 0)
        durations += block
        now = statistics.median(block)
        if abs(now - before) <= tolerance * before:
            return durations, True
        if time.monotonic_ns() - start >= max_ms * 1000000:
            return durations, False
        before = now


class Progress:
    """How much of a schedule is done: the next block's limits, until enough was timed."""

    def __init__(self, schedule: Json) -> None:
        self._most = int(schedule["iterations_max"])
        self._least = int(schedule["iterations_min"])
        self._block_ns = int(schedule["canary_every_ms"]) * 1000000
        self._left_ns = int(schedule["measure_ms"]) * 1000000
        self._drop_after_canary = int(schedule["drop_after_canary"])
        self.kept = 0
        self.drop = 0

    @property
    def done(self) -> bool:
        """Whether the time is over with enough iterations, or the most were run."""
        return self.kept >= self._most or (self._left_ns <= 0 and self.kept >= self._least)

    def limits(self) -> Tuple[int, int, int]:
        """``most``, ``least`` and ``limit_ns`` of the next block, the iterations to drop included."""
        limit_ns = min(self._block_ns, self._left_ns) if self._left_ns > 0 else self._block_ns
        # A block keeps at least one iteration, however long one takes.
        return self._most - self.kept + self.drop, self.drop + 1, limit_ns

    def take(self, durations: List[int], elapsed_ns: int) -> List[int]:
        """Books a block that took ``elapsed_ns`` in all; returns what counts of it.

        The next one follows a canary, which evicted the model's caches.
        """
        counted = durations[self.drop :]
        self._left_ns -= elapsed_ns
        self.kept += len(counted)
        self.drop = self._drop_after_canary
        return counted


def _no_core() -> int:
    return -1
