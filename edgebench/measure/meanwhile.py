"""Tells how long something that says nothing itself has been going on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from edgebench.events import Emit, Waiting

TOLD_EVERY_S = 2.0


@contextmanager
def told_meanwhile(emit: Emit, what: str, seconds: float, every_s: float = TOLD_EVERY_S) -> Iterator[None]:
    """Emits how much of ``seconds`` has passed, again and again until the block ends."""
    ended, start_s = threading.Event(), time.monotonic()

    def tell() -> None:
        while not ended.wait(every_s):
            emit(Waiting(what, min(time.monotonic() - start_s, seconds), seconds))

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
