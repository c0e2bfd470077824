"""This machine's own /bin/sh in the place of a device's: for scripts whose effect on files is the point."""

from __future__ import annotations

import subprocess

from edgebench.transport.remote import Ran


class LocalShell:
    """Runs scripts as Remote does, here and at once; keeps them."""

    def __init__(self) -> None:
        self.scripts: list[str] = []

    def run_script(self, script: str, /, *, timeout_s: float = 10.0) -> Ran:
        self.scripts.append(script)
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Ran(done.returncode, done.stdout)
