"""What a daemon did, one JSON object a line in its state folder, for tests to look at.

connected (key: "" where none is asked for, "known", "allowed"), disconnected, key_offered, refused_service, protocol_error;
command (service, text, pid), exit (pid, exit_code); push, push_failed (path, received_bytes), pull (path, sent_bytes,
truncated); faults (given), unplugged (why: the fault's name), killed (pid, name). All have at_ns, of the monotonic clock.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

FILE = "journal.jsonl"


class Journal:
    """Appends events; each line is one write, so that a reader never sees half of one."""

    def __init__(self, state: Path) -> None:
        self._fd = os.open(state / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def note(self, event: str, **facts: object) -> None:
        """Write an event with the monotonic time in nanoseconds."""
        line = json.dumps({"event": event, "at_ns": time.monotonic_ns(), **facts}, ensure_ascii=True)
        os.write(self._fd, line.encode() + b"\n")


def read(state: Path, event: str | None = None) -> list[dict[str, Any]]:
    """All events so far, or those of one kind; [] before the daemon has started."""
    try:
        lines = (state / FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    events = [json.loads(line) for line in lines]
    return [e for e in events if event is None or e["event"] == event]
