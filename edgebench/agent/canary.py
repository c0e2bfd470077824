"""The three canaries at C speed: from the library that the plan names, else numpy on arrays that fit in L1."""

from __future__ import annotations

import ctypes
import statistics
import sys
import time
from typing import Callable, Dict, List, Optional

from .wire import Json

# Blocks a canary, so that each works for at least 10 ms on a 3 GHz core (the clock on one of 5 GHz). Odd: a median is then
# one of the blocks.
BLOCKS = {"clock": 7, "throughput": 7, "memory": 9}
MEMORY_BYTES = 32 << 20
# The clock counts as settled once a block is no faster than the fastest so far by more than this for a few in a row.
SETTLE_RATIO = 0.995
SETTLE_BLOCKS = 8

Block = Callable[[int], List[int]]


class Canaries:
    """``source`` is *library* or *numpy*; the two do different work, so their figures never meet.

    ``clock_cycles`` is what a block of the clock takes where each of its steps takes one cycle, None where nobody knows.
    """

    def __init__(
        self, source: str, blocks: Dict[str, Block], memory_bytes: int, clock_cycles: Optional[int] = None
    ) -> None:
        self.source = source
        self.memory_bytes = memory_bytes
        self._blocks = blocks
        self._clock_cycles = clock_cycles

    def settle(self, limit_ms: int) -> int:
        """Spins until the clock's blocks stop getting faster, at most ``limit_ms``; returns the ns it took."""
        start = time.monotonic_ns()
        best, steady = self._blocks["clock"](1)[0], 0
        while steady < SETTLE_BLOCKS and time.monotonic_ns() - start < limit_ms * 1000000:
            block = self._blocks["clock"](1)[0]
            steady = 0 if block < best * SETTLE_RATIO else steady + 1
            best = min(best, block)
        return time.monotonic_ns() - start

    def read(self, when: str, settle_ns: int = 0) -> Json:
        """The fields of a canaries row in ns a block: minimum of the clock's, median of throughput's, mean of memory's.

        Memory takes all its blocks: where neighbours fill the shared cache, the first passes find nothing of the buffer there
        (2.6 times as slow on the machine this was written on) and the later ones do. A median falls on either side of that
        step by chance, and the later passes alone do not see what slows a network by 20 %.

        A minimum and a median do not see a core that is taken away for milliseconds: what the clock's and the throughput's
        blocks took beyond them, as a share of the time of all, is told apart. Together they compute for 20 ms and more. Of
        numpy it is not told: its blocks differ by 5 to 9 % by themselves.
        """
        ns = {name: run(BLOCKS[name]) for name, run in self._blocks.items()}
        clock_ns, throughput_ns = min(ns["clock"]), statistics.median(ns["throughput"])
        uninterrupted_ns = clock_ns * len(ns["clock"]) + throughput_ns * len(ns["throughput"])
        interrupted = max(1.0 - uninterrupted_ns / sum(ns["clock"] + ns["throughput"]), 0.0)
        return {
            "when": when,
            "settle_ns": settle_ns,
            "clock_ns": clock_ns,
            "clock_ghz": self._clock_cycles / clock_ns if self._clock_cycles else None,
            "throughput_ns": int(throughput_ns),
            "memory_ns": int(statistics.fmean(ns["memory"])),
            "interrupted_share": interrupted if self.source == "library" else None,
        }


def load(library: Optional[str]) -> Canaries:
    """The canaries from ``library`` where it loads, else from numpy (imported here: pin first)."""
    if library is not None:
        try:
            return _from_library(ctypes.CDLL(library))
        except (OSError, AttributeError) as error:
            print("canary library {}: {}; using numpy".format(library, error), file=sys.stderr)  # noqa: T201
    return _from_numpy()


def _from_library(library: ctypes.CDLL) -> Canaries:
    def blocks(name: str) -> Block:
        function = getattr(library, "edgebench_canary_" + name)
        function.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_int64)]
        function.restype = None

        def run(count: int) -> List[int]:
            ns = (ctypes.c_int64 * count)()
            function(count, ns)
            return list(ns)

        return run

    functions = {name: blocks(name) for name in BLOCKS}
    size, cycles = library.edgebench_canary_memory_bytes, library.edgebench_canary_clock_cycles
    for constant in (size, cycles):
        constant.argtypes, constant.restype = [], ctypes.c_int64
    library.edgebench_canary_prepare()
    return Canaries("library", functions, int(size()), int(cycles()) or None)


def _from_numpy() -> Canaries:
    import numpy as np

    chain = np.full(2048, 1.0 + 1e-9)
    chained = np.empty_like(chain)
    left = np.full((48, 48), 0.5, dtype=np.float32)
    product = np.empty_like(left)
    stream = np.arange(MEMORY_BYTES // 8, dtype=np.uint64)

    def clock() -> None:
        for _ in range(400):  # a running sum: each addition needs the one before
            np.add.accumulate(chain, out=chained)

    def throughput() -> None:
        for _ in range(400):
            np.matmul(left, left, out=product)

    def memory() -> None:
        stream.max()

    def blocks(work: Callable[[], None]) -> Block:
        def run(count: int) -> List[int]:
            ns = []
            for _ in range(count):
                start = time.monotonic_ns()
                work()
                ns.append(time.monotonic_ns() - start)
            return ns

        return run

    works = {"clock": blocks(clock), "throughput": blocks(throughput), "memory": blocks(memory)}
    return Canaries("numpy", works, stream.nbytes)
