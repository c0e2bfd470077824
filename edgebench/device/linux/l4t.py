"""What a Jetson's own programs and files say of its release, its power mode and its clocks: what cannot be read is None."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

_RELEASE = re.compile(r"^# R([0-9]{1,3}) \(release\), REVISION: ([0-9]{1,3}(?:\.[0-9]{1,3})*),", re.MULTILINE)
_MODE = re.compile(r"^(?:NVPM VERB: Current mode: )?NV Power Mode: (\S[^\n]*?)\s*$", re.MULTILINE)
_MODE_NUMBER = re.compile(r"^([0-9]{1,3})\s*$", re.MULTILINE)
_CORE = re.compile(
    r"^cpu([0-9]{1,3}):\s+Online=([01])\s+Governor=(\S+)\s+MinFreq=([0-9]{1,9})\s+MaxFreq=([0-9]{1,9})"
    r"\s+CurrentFreq=([0-9]{1,9})(?:\s|$)",
    re.MULTILINE,
)
_ENGINE = re.compile(
    r"^(GPU|EMC)\s+MinFreq=([0-9]{1,11})\s+MaxFreq=([0-9]{1,11})\s+CurrentFreq=([0-9]{1,11})(?:\s+FreqOverride=([01]))?(?:\s|$)",
    re.MULTILINE,
)
# JetPack's major version by that of L4T, as NVIDIA's archive of releases pairs them.
_JETPACK = {28: 3, 31: 4, 32: 4, 34: 5, 35: 5, 36: 6, 38: 7, 39: 7}

K = TypeVar("K")


@dataclass(frozen=True)
class Release:
    """Of L4T, such as 36 and 4.3. ``jetpack`` is the major version that it belongs to, None where it is not known."""

    major: int
    revision: str

    @property
    def jetpack(self) -> int | None:
        """See the class."""
        return _JETPACK.get(self.major)

    def said(self, jetpack: str | None) -> str:
        """For the identity card; ``jetpack`` is the version that is installed, where that is told."""
        told = jetpack or self.jetpack
        return f"L4T {self.major}.{self.revision}" + (f" (JetPack {told})" if told else "")


@dataclass(frozen=True)
class PowerMode:
    """``nvpmodel -q``: the mode's name, and its number where it is told."""

    name: str
    number: int | None


@dataclass(frozen=True)
class Clock:
    """Of a core (kHz) or an engine (Hz), as ``jetson_clocks --show`` has it; ``overridden``: not its bounds hold it."""

    least: int
    most: int
    now: int
    overridden: bool = False

    @property
    def locked(self) -> bool:
        """Whether it can have one frequency only."""
        return self.overridden or self.least == self.most


@dataclass(frozen=True)
class Clocks:
    """``jetson_clocks --show``: cores that are online, in kHz, and the engines *GPU* and *EMC*, in Hz."""

    cores: dict[int, Clock]
    engines: dict[str, Clock]

    @property
    def locked(self) -> bool | None:
        """Whether all of it is fixed, as ``jetson_clocks`` leaves it; None where nothing could be read."""
        every = [*self.cores.values(), *self.engines.values()]
        return all(clock.locked for clock in every) if every else None


def parse_release(text: str) -> Release | None:
    """/etc/nv_tegra_release."""
    found = _RELEASE.search(text)
    return Release(int(found[1]), found[2]) if found else None


def parse_power_mode(text: str) -> PowerMode | None:
    """``nvpmodel -q``, also with ``--verbose``; what it says twice must be alike."""
    names, numbers = set(_MODE.findall(text)), set(_MODE_NUMBER.findall(text))
    if len(names) != 1:
        return None
    return PowerMode(names.pop(), int(numbers.pop()) if len(numbers) == 1 else None)


def parse_clocks(text: str) -> Clocks:
    """``jetson_clocks --show``. What is told twice and not alike, or cannot be, is left out."""
    cores = _alike(
        (int(found[1]), _clock(found[4], found[5], found[6])) for found in _CORE.finditer(text) if found[2] == "1"
    )
    engines = _alike((found[1], _clock(found[2], found[3], found[4], found[5])) for found in _ENGINE.finditer(text))
    return Clocks(
        {key: clock for key, clock in cores if clock.least <= clock.most},
        {key: clock for key, clock in engines if clock.least <= clock.most},
    )


def _clock(least: str, most: str, now: str, override: str | None = None) -> Clock:
    return Clock(int(least), int(most), int(now), override == "1")


def _alike(found: Iterable[tuple[K, Clock]]) -> list[tuple[K, Clock]]:
    every: dict[K, set[Clock]] = {}
    for key, clock in found:
        every.setdefault(key, set()).add(clock)
    return [(key, clocks.pop()) for key, clocks in every.items() if len(clocks) == 1]
