"""A phone made of samples: every command is answered with a text, nothing is run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgebench.errors import DeviceLost

SAMPLES = Path(__file__).parent / "samples" / "android"
_ASKED = re.compile(r"echo '(?P<mark>@@edgebench [^']+)'; \{ (?P<command>.*); \} 2>/dev/null")


def sample(name: str) -> str:
    return (SAMPLES / name).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Ran:
    status: int
    output: str


@dataclass
class SamplePhone:
    """``answers``: the beginning of a command to what it prints; the longest beginning counts, no answer is an empty one."""

    answers: Mapping[str, str] = field(default_factory=dict)
    lost: bool = False
    scripts: list[str] = field(default_factory=list)

    def run(self, argv: Sequence[str], /, *, timeout_s: float = 10.0) -> Ran:
        return self.run_script(" ".join(argv), timeout_s=timeout_s)

    def run_script(self, text: str, /, *, timeout_s: float = 10.0) -> Ran:
        if self.lost:
            raise DeviceLost("the phone does not answer", hint="plug it in")
        self.scripts.append(text)
        printed = [f"\n{found['mark']}\n{self.answer(found['command'])}" for found in _ASKED.finditer(text)]
        return Ran(0, "".join(printed))

    def wait(self, timeout_s: float, /) -> bool:
        return not self.lost

    def answer(self, command: str) -> str:
        begun = [beginning for beginning in self.answers if command.startswith(beginning)]
        return self.answers[max(begun, key=len)] if begun else ""


def zone_listing(zones: Sequence[tuple[str, str]]) -> str:
    """What grep -H prints for zones of (type, temp); a temp that refuses to be read has no line."""
    folder = "/sys/class/thermal/thermal_zone"
    types = [f"{folder}{number}/type:{kind}\n" for number, (kind, _) in enumerate(zones)]
    temps = [f"{folder}{number}/temp:{temp}\n" for number, (_, temp) in enumerate(zones) if temp]
    return "".join([*types, *temps])


def cpufreq_listing(khz: Sequence[int], governor: str = "schedutil") -> str:
    """What grep -H prints for the cores' cpufreq folders."""
    folder = "/sys/devices/system/cpu/cpu"
    frequencies = [f"{folder}{core}/cpufreq/cpuinfo_max_freq:{each}\n" for core, each in enumerate(khz)]
    governors = [f"{folder}{core}/cpufreq/scaling_governor:{governor}\n" for core in range(len(khz))]
    return "".join([*frequencies, *governors])
