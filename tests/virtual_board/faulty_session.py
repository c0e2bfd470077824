"""One session of a board's sshd, which runs this in the place of what was asked for (ForceCommand), with faults.

Faults are those of the virtual phone (``tests/virtual_phone/faults.py``), of which a session knows drop_command, drop_push,
full_storage, corrupt_push and truncate_pull; they are read from ``faults.json`` in the state folder. Counts are shared by all
sessions. What is asked for is run by the shell, as sshd would; sshd, its connection and its processes are the real ones.

    python -m tests.virtual_board.faulty_session STATE     # by sshd, with SSH_ORIGINAL_COMMAND
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import re
import selectors
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.virtual_phone.faults import FaultFile, Faults, FaultT

CHUNK = 1 << 16
_MARK_BYTES = 16 + len("-begins")
# How a file is copied: see transport/ssh.py.
_COPY = re.compile(r"LC_ALL=C; export LC_ALL; (?:printf %s '\w+''-begins'; )?cat (?P<way>[<>]) (?P<path>.+)", re.DOTALL)


class SharedFaults:
    """The faults of now; strikes are counted across processes, anew for each faults file."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._file = FaultFile(state)

    def now(self) -> Faults:
        self._file.refresh()
        return self._file.now

    def strike(self, fault: FaultT | None, text: str) -> FaultT | None:
        """See FaultFile.strike."""
        if fault is None or fault.containing not in text:
            return None
        path = self._state / "faults.json"
        stamp = path.stat().st_mtime_ns
        name = type(fault).__name__
        with (self._state / "strikes.json").open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            counts = json.loads(file.read() or "{}")
            if counts.get("stamp") != stamp:
                counts = {"stamp": stamp}
            matched, struck = counts.get(name, (0, 0))
            strikes = matched + 1 >= fault.nth and (fault.times is None or struck < fault.times)
            counts[name] = (matched + 1, struck + strikes)
            file.truncate(0)
            file.write(json.dumps(counts))
        return fault if strikes else None


class Session:
    """The command between sshd's pipes and its own."""

    def __init__(self, state: Path, command: str) -> None:
        self._state = state
        self._faults = SharedFaults(state)
        self._words = shlex.split(command)
        shell = pwd.getpwuid(os.getuid()).pw_shell
        self._process = subprocess.Popen([shell, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self) -> int:
        """Its exit status."""
        copy = _COPY.fullmatch(self._words[-1])
        if copy is None:
            return self._relay()
        path = shlex.split(copy["path"])[-1]
        return self._push(path) if copy["way"] == ">" else self._pull(path)

    def note(self, event: str, **facts: object) -> None:
        with (self._state / "events.jsonl").open("a", encoding="utf-8") as out:
            out.write(json.dumps({"event": event, "at_ns": time.monotonic_ns(), **facts}) + "\n")

    def drop(self) -> None:
        """The connection ends, and with it every session of it. What they run is left to run, as after a power cut of the
        network between."""
        self.note("unplugged")
        os.kill(os.getppid(), signal.SIGKILL)
        # The parent's death closed the connection; this process has nobody to talk to.
        os._exit(1)

    def _push(self, path: str) -> int:
        now = self._faults.now()
        drop = self._faults.strike(now.drop_push, path)
        full = self._faults.strike(now.full_storage, path)
        corrupt = self._faults.strike(now.corrupt_push, path)
        at_most = full.after_bytes if full else drop.after_bytes if drop else None
        stdin = self._process.stdin
        assert stdin is not None
        passed = 0
        while data := os.read(0, CHUNK):
            if corrupt and passed <= corrupt.at_byte < passed + len(data):
                changed = bytearray(data)
                changed[corrupt.at_byte - passed] ^= 1
                data = bytes(changed)
            stdin.write(data if at_most is None else data[: max(at_most - passed, 0)])
            passed += len(data)
            if at_most is not None and passed > at_most:
                break
        stdin.close()
        status = self._process.wait()
        self.note("push", path=path, received_bytes=passed)
        if drop:
            self.drop()
        if full:
            self.note("push_failed", path=path)
            sys.stderr.write("cat: write error: No space left on device\n")
            return 1
        return status

    def _pull(self, path: str) -> int:
        cut = self._faults.strike(self._faults.now().truncate_pull, path)
        stdout = self._process.stdout
        assert stdout is not None
        # The mark before the file is not of it.
        left = cut.to_bytes + _MARK_BYTES if cut else None
        while data := os.read(stdout.fileno(), CHUNK):
            data = data if left is None else data[:left]
            left = None if left is None else left - len(data)
            _write(data)
        self.note("pull", path=path, truncated=cut is not None)
        return self._process.wait()

    def _relay(self) -> int:
        """A shell: bytes there, bytes back, until the command that is to be cut off."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        asked = b""
        drop_at: float | None = None
        bytes_left: int | None = None
        with selectors.DefaultSelector() as selector:
            selector.register(0, selectors.EVENT_READ)
            selector.register(stdout, selectors.EVENT_READ)
            while True:
                ready = selector.select(None if drop_at is None else max(drop_at - time.monotonic(), 0))
                if drop_at is not None and time.monotonic() >= drop_at:
                    self.drop()
                for key, _ in ready:
                    data = os.read(key.fd, CHUNK)
                    if key.fd != 0:
                        if not data:
                            return self._process.wait()
                        if bytes_left is not None and len(data) > bytes_left:
                            _write(data[:bytes_left])
                            self.drop()
                        bytes_left = None if bytes_left is None else bytes_left - len(data)
                        _write(data)
                        continue
                    if not data:
                        selector.unregister(0)
                        stdin.close()
                        continue
                    asked += data
                    stdin.write(data)
                    stdin.flush()
                    if not asked.endswith(b"\n"):
                        continue
                    fault = self._faults.strike(self._faults.now().drop_command, asked.decode("utf-8", "replace"))
                    asked = b""
                    if fault and fault.after_ms is not None:
                        drop_at = time.monotonic() + fault.after_ms / 1e3
                    elif fault:
                        bytes_left = fault.after_bytes


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    raise SystemExit(Session(Path(sys.argv[1]), os.environ["SSH_ORIGINAL_COMMAND"]).run())
