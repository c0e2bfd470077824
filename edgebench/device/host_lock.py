"""This computer's own lock on a device: the kernel's (flock), which dies with its process. Asking for it disturbs no device."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgebench.files import full_disk_is_said, state_root

# Whoever takes the lock writes its name right after, whoever gives it up lets go right after: a look in between sees no name.
_LOOKS = 20
_LOOK_AGAIN_S = 0.01
# A name and a process; more is not ours.
_OWNER_BYTES = 4096
# Up to here seconds are easier to read than minutes.
_SECONDS_MAX_S = 120


class HostLock:
    """A lock of this computer, in the open file ``fd``, which names its owner; its time of change tells since when."""

    def __init__(self, fd: int, path: Path) -> None:
        self._fd = fd
        self._path = path
        self._held = False

    def try_acquire(self, owner: str) -> str | None:
        """None where it is held now by ``owner``, else who holds it and for how long. Raises NoSpace."""
        for _ in range(_LOOKS):
            if self._lock():
                self._held = True
                with full_disk_is_said(self._path):
                    os.ftruncate(self._fd, 0)
                    os.pwrite(self._fd, f"{owner}\n".encode(), 0)
                return None
            if told := self._told():
                return told
            time.sleep(_LOOK_AGAIN_S)
        return "another run on this computer"

    def release(self) -> None:
        """Takes the owner's name off where the lock is held; closing the file gives it up."""
        if self._held:
            os.ftruncate(self._fd, 0)

    def _lock(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _told(self) -> str | None:
        """The owner and the age; None where its line is not there, or not whole."""
        text = os.pread(self._fd, _OWNER_BYTES, 0).decode(errors="replace")
        if not text.endswith("\n") or not text.strip():
            return None
        # The file's own time: it and the wall clock are this computer's.
        age_s = max(time.time() - os.fstat(self._fd).st_mtime, 0.0)
        age = f"{age_s:.0f} s" if age_s < _SECONDS_MAX_S else f"{age_s / 60:.0f} min"
        return f"{text.strip()}, for {age}"


@contextmanager
def host_lock(name: str) -> Iterator[HostLock]:
    """The lock of that name, not taken yet; given up when the block ends."""
    path = state_root() / "locks" / f"{name}.lock"
    with full_disk_is_said(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    lock = HostLock(fd, path)
    try:
        yield lock
    finally:
        # The file stays, empty: were it removed, two processes could each lock one of the same name.
        lock.release()
        os.close(fd)
