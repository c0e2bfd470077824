"""Reading what comes until it ends, within a bound."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Mapping

from edgebench.transport.base import OnBytes


def pump(sinks: Mapping[int, OnBytes], limit: float) -> bool:
    """Reads the descriptors into their sinks until all have ended; False where ``limit`` (monotonic seconds) came first."""
    with selectors.DefaultSelector() as selector:
        for descriptor, sink in sinks.items():
            selector.register(descriptor, selectors.EVENT_READ, sink)
        while selector.get_map():
            left_s = limit - time.monotonic()
            if left_s <= 0:
                return False
            for key, _ in selector.select(left_s):
                try:
                    data = os.read(key.fd, 1 << 16)
                except OSError:  # how a terminal says that its other end closed
                    data = b""
                if data:
                    key.data(data)
                else:
                    selector.unregister(key.fd)
    return True
