"""What a device's shell runs to start an agent, and to leave nothing of it."""

from __future__ import annotations

import shlex
from pathlib import Path

from edgebench.runtime.remote_agent import Asked
from edgebench.transport.base import device_said_no
from edgebench.transport.remote import Ran

# sysexits.h calls it EX_IOERR. No agent ends with it: theirs are 0, 1 and 2.
UNNOTED = 74
_SAID_CHARACTERS = 2000


def start_script(agent: str, folder: str, threads: int) -> str:
    """The agent as a child of this shell, not in its place: it ends when its parent does, and adbd's own parents are
    threads that end early. Its variables are those of an agent on this machine.

    Where its number cannot be noted nobody could find it again: it is ended at once, and the status is UNNOTED.
    """
    quoted = shlex.quote(folder)
    variables = " ".join(f"{name}_NUM_THREADS={threads}" for name in ("OMP", "OPENBLAS", "MKL"))
    return (
        f"cd {quoted} || exit 1\n"
        f"{variables} {agent} {quoted}/plan.json &\n"
        f"harness=$!\n"
        f"echo $harness > {quoted}/pid || {{\n"
        "{ kill -KILL $harness; wait $harness; } 2>/dev/null\n"
        # A shell's own echo does not say why: mksh nothing at all, dash "I/O error".
        f"LC_ALL=C cat {quoted}/plan.json > {quoted}/why\n"
        f"exit {UNNOTED}; }}\n"
        f"wait $harness"
    )


def require_noted(ran: Ran, folder: str) -> None:
    """Raises DeviceFull, DeviceRefused or TransferFailed where ``start_script`` could not note the agent's number."""
    if ran.status == UNNOTED:
        raise device_said_no(f"write {folder}/pid on the device", ran.output[-_SAID_CHARACTERS:])


def clean_up_script(folder: str) -> str:
    """Ends the harness where it still runs (its number may be somebody else's by now) and removes the launch's folder."""
    quoted = shlex.quote(folder)
    return (
        f"if read -r pid < {quoted}/pid && grep -q {shlex.quote(Path(folder).name)} /proc/$pid/cmdline; then\n"
        "kill -KILL $pid; fi 2>/dev/null\n"
        f"rm -rf {quoted}"
    )


def clean_up(device: Asked, folder: str, *, timeout_s: float) -> str:
    """Runs ``clean_up_script``. Why something of the launch stays there, empty where nothing does; raises DeviceError."""
    ran = device.run_script(clean_up_script(folder), timeout_s=timeout_s)
    if ran.status == 0:
        return ""
    why = ran.output.strip()[-_SAID_CHARACTERS:] or f"rm ended with status {ran.status}"
    return f"the launch's folder stays on the device: {why}"
