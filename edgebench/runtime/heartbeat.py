"""Tells a long launch on a device that somebody still waits for it: otherwise it ends itself, and the device cools."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

from edgebench.transport.remote import Remote

# A network may be away for some seconds; a phone that computes for nobody shall not for much longer.
MAX_AGE_S = 30.0
EVERY_S = 4.0
_BEAT_S = 5.0
_AGAIN_S = 0.5


@contextmanager
def heartbeat(beside: Remote, path: str, every_s: float = EVERY_S) -> Iterator[None]:
    """Renews the file ``path`` on the device every ``every_s`` until the block ends, by a way of its own (Remote.beside).

    Makes its folder. Raises what ``Remote.check`` raises where the first one fails; a later one that fails is tried again soon,
    whatever it failed of: the launch is lost only where none comes through.
    """
    ended = threading.Event()
    beside.check(["mkdir", "-p", str(PurePosixPath(path).parent)], timeout_s=_BEAT_S)
    touch = ["sh", "-c", f": > {shlex.quote(path)}"]
    beside.check(touch, timeout_s=_BEAT_S)

    def beat() -> None:
        wait_s = every_s
        while not ended.wait(wait_s):
            try:
                beside.check(touch, timeout_s=_BEAT_S)
                wait_s = every_s
            except Exception:  # noqa: BLE001  (a thread that ends would end the launch)
                wait_s = min(_AGAIN_S, every_s)

    beating = threading.Thread(target=beat, name="heartbeat", daemon=True)
    beating.start()
    try:
        yield
    finally:
        ended.set()
        beating.join()
