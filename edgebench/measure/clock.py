"""Time as the controller sees it, so that tests can run an hour's schedule in a moment."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What measuring needs of time."""

    def now_s(self) -> float:
        """Seconds on a steady clock."""

    def sleep_s(self, seconds: float) -> None:
        """Lets ``seconds`` pass."""

    def utc(self) -> str:
        """The date and time, ISO 8601 with seconds, UTC."""


class SystemClock:
    """The real one."""

    def now_s(self) -> float:
        """Seconds of CLOCK_MONOTONIC."""
        return time.monotonic()

    def sleep_s(self, seconds: float) -> None:
        """Sleeps."""
        time.sleep(seconds)

    def utc(self) -> str:
        """Now."""
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
