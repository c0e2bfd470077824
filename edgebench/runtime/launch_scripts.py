"""What a device's shell runs to start an agent, and to leave nothing of it."""

from __future__ import annotations

import shlex
from pathlib import Path


def start_script(agent: str, folder: str, threads: int) -> str:
    """The agent as a child of this shell, not in its place: it ends when its parent does, and adbd's own parents are
    threads that end early. Its variables are those of an agent on this machine."""
    quoted = shlex.quote(folder)
    variables = " ".join(f"{name}_NUM_THREADS={threads}" for name in ("OMP", "OPENBLAS", "MKL"))
    return (
        f"cd {quoted} || exit 1\n"
        f"{variables} {agent} {quoted}/plan.json &\n"
        f"harness=$!\n"
        f"echo $harness > {quoted}/pid\n"
        f"wait $harness"
    )


def clean_up_script(folder: str) -> str:
    """Ends the harness where it still runs (its number may be somebody else's by now) and removes the launch's folder."""
    quoted = shlex.quote(folder)
    return (
        f"if read -r pid < {quoted}/pid && grep -q {shlex.quote(Path(folder).name)} /proc/$pid/cmdline; then\n"
        "kill -KILL $pid; fi 2>/dev/null\n"
        f"rm -rf {quoted}"
    )
