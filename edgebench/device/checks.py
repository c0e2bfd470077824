"""What a good measurement needs of a device, one thing at a time; those here are of every device that files are sent to."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edgebench.records import GateLimits, ThermalState

# The harness is 2 to 20 MB, a backbone up to 100 MB, and a comparison puts several there.
FREE_MIN_BYTES = 500_000_000


@dataclass(frozen=True)
class Check:
    """``ok`` is None where the device does not tell; ``found`` what was seen, ``mend`` what to do about it."""

    name: str
    ok: bool | None
    found: str
    mend: str = ""


def start_checks(thermal: ThermalState, gate: GateLimits) -> Iterable[Check]:
    """Whether a launch would start now: as measure.gate judges it, by the body, and by the chip only where nothing else is.

    Nothing where the target has no limit, or no sensor can be read.
    """
    warm = thermal.hottest("skin", "battery") or thermal.hottest("soc", "other")
    if warm is None or gate.start_max_c is None:
        return
    yield Check(
        "start temperature",
        warm.celsius <= gate.start_max_c,
        f"{warm.name} at {warm.celsius:.1f} °C, a launch starts at {gate.start_max_c:.1f} °C",
        f"let it cool: each launch is kept waiting for that, for up to {gate.max_wait_s:.0f} s; with --no-gate none is",
    )


def place_questions(folder: str) -> dict[str, str]:
    """For ``shell.ask``: whether a program may run in ``folder``, and how much is free. Leaves nothing there but the folder."""
    # $$ is the shell's own number: two doctors do not meet.
    place = shlex.quote(folder)
    script = f"{place}/doctor-$$.sh"
    return {
        "execute": f"mkdir -p {place}; printf '#!%s\\necho runs\\n' \"$(command -v sh)\" >{script} && echo written; "
        f"chmod 755 {script}; {script}; rm -f {script}",
        "space": f"df -kP {place} || df -k {place}",
    }


def place_checks(said: Mapping[str, str], folder: str, *, elsewhere: str) -> Iterable[Check]:
    """From the answers to ``place_questions``; ``elsewhere`` says where programs may run instead."""
    words = said["execute"].split()
    yield Check(
        "folder",
        "runs" in words,
        f"{folder}: {'programs run' if 'runs' in words else 'written, not executed' if words else 'cannot be written'}",
        f"use a folder on a file system without noexec; {elsewhere}",
    )
    free = re.findall(r"\s([0-9]{1,15})\s+[0-9]{1,3}%", said["space"])
    free_bytes = int(free[-1]) * 1024 if free else None
    yield Check(
        "space",
        None if free_bytes is None else free_bytes >= FREE_MIN_BYTES,
        "not told" if free_bytes is None else f"{free_bytes / 1e6:.0f} MB free",
        f"free {FREE_MIN_BYTES / 1e6:.0f} MB on the device; what edgebench keeps there is in {folder}",
    )
