"""Tells a long launch on a device that somebody still waits for it: otherwise it ends itself, and the device cools."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath

from edgebench.errors import DeviceError
from edgebench.transport.remote import Remote

# A network may be away for some seconds; a phone that computes for nobody shall not for much longer.
MAX_AGE_S = 20.0
EVERY_S = 4.0
_BEAT_S = 5.0


@contextmanager
def heartbeat(remote: Remote, path: str, every_s: float = EVERY_S) -> Iterator[None]:
    """Renews the file ``path`` on the device every ``every_s`` until the block ends, beside what runs there.

    Makes its folder. Raises what ``Remote.check`` raises where the first one fails; a later one that fails is made up for by
    the next.
    """
    ended = threading.Event()
    touch = f": > {shlex.quote(path)}"
    remote.check(["mkdir", "-p", str(PurePosixPath(path).parent)], timeout_s=_BEAT_S)
    remote.check(["sh", "-c", touch], timeout_s=_BEAT_S)

    def beat() -> None:
        while not ended.wait(every_s):
            with suppress(DeviceError):
                remote.run_script(touch, timeout_s=_BEAT_S)

    beating = threading.Thread(target=beat, name="heartbeat", daemon=True)
    beating.start()
    try:
        yield
    finally:
        ended.set()
        beating.join()
