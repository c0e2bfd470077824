"""A phone that is a folder: its shell runs the real scripts here, with `settings` and `cmd` that keep values in files."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from edgebench.device.guard import Guard
from edgebench.errors import DeviceError, DeviceLost
from tests.device.sample_phone import Ran

SETTINGS = """\
file="$PHONE/$3"
case "$1" in
get) if [ -f "$file" ]; then cat "$file"; else echo null; fi ;;
put) [ ! -f "$PHONE/locked" ] || { echo "java.lang.SecurityException: no" >&2; exit 255; }; echo "$4" > "$file" ;;
delete) [ ! -f "$PHONE/locked" ] || { echo "java.lang.SecurityException: no" >&2; exit 255; }
  rm -f "$file"; echo "Deleted 1 rows" ;;
esac
"""
CMD = """\
[ ! -f "$PHONE/old" ] || { echo "Unknown command: $2"; exit 0; }
[ ! -f "$PHONE/stuck" ] || exit 1
echo "$3" > "$PHONE/fixed"
"""
GETPROP = "echo '[ro.serialno]: [8A2X]'\n"
STAY = "stay_on_while_plugged_in"


class FolderPhone:
    """``lost`` counts the commands that will end by ``loss``; ``returns`` is whether waiting helps."""

    programs: ClassVar[dict[str, str]] = {"settings": SETTINGS, "cmd": CMD, "getprop": GETPROP}

    def __init__(self, folder: Path, shell: str = "sh", *, tick_s: float = 0.05, lease_s: float = 600.0) -> None:
        self.folder = folder
        self.guard = Guard(str(folder / "tmp dir" / "edgebench"), lease_s=lease_s, tick_s=tick_s)
        self.lost = 0
        self.loss: DeviceError = DeviceLost("the phone does not answer", hint="plug it in")
        self.returns = True
        self.waits = 0
        programs = folder / "bin"
        programs.mkdir(parents=True)
        for name, text in self.programs.items():
            (programs / name).write_text(f"#!/bin/sh\n{text}")
            (programs / name).chmod(0o755)
        # What the scripts themselves call sh is the same shell.
        (programs / "sh").symlink_to(str(shutil.which(shell)))
        self._env = {**os.environ, "PHONE": str(folder), "PATH": f"{programs}:{os.environ['PATH']}"}
        self._sh = str(programs / "sh")

    def run(self, argv: Sequence[str], /, *, timeout_s: float = 10.0) -> Ran:
        return self.run_script(shlex.join(argv), timeout_s=timeout_s)

    def run_script(self, text: str, /, *, timeout_s: float = 10.0) -> Ran:
        if self.lost > 0:
            self.lost -= 1
            raise self.loss
        done = subprocess.run(
            [self._sh, "-c", text],
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
        )
        return Ran(done.returncode, done.stdout)

    def wait(self, timeout_s: float, /) -> bool:
        self.waits += 1
        return self.returns

    def value(self, name: str) -> str | None:
        file = self.folder / name
        return file.read_text().strip() if file.is_file() else None

    def set(self, name: str, value: str) -> None:
        (self.folder / name).write_text(f"{value}\n")

    @property
    def journal(self) -> Path:
        return Path(self.guard.journal)

    def guards(self) -> list[int]:
        """The processes that guard this phone."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            except OSError:  # it ended since the listing
                continue
            if b"edgebench-guard" in line and self.guard.folder.encode() in line:
                found.append(int(entry.name))
        return found


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether ``holds`` comes true within a time that only a hung process exceeds."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.02)
    return False
