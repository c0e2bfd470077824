"""Which cores there are, and which of them a text such as ``big`` or ``0-1`` means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgebench.errors import UsageError

# What a cluster may be called, where there is such a one.
_NAMES = ("prime", "big", "little")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


def by_frequency(frequencies: Mapping[int, int | None]) -> tuple[tuple[int, ...], ...]:
    """Cores (with their maximum frequency) in clusters of equal frequency, fastest first; one cluster where any is unknown."""
    clusters: dict[int, list[int]] = {}
    for core in sorted(frequencies):
        frequency = frequencies[core]
        if frequency is None:
            return (tuple(sorted(frequencies)),)
        clusters.setdefault(frequency, []).append(core)
    return tuple(tuple(clusters[frequency]) for frequency in sorted(clusters, reverse=True))


@dataclass(frozen=True)
class Clusters:
    """The usable cores by maximum frequency, fastest first. Unknown frequencies make one cluster."""

    clusters: tuple[tuple[int, ...], ...]

    @property
    def all(self) -> tuple[int, ...]:
        """Every usable core."""
        return tuple(sorted(core for cluster in self.clusters for core in cluster))

    def named(self) -> dict[str, tuple[int, ...]]:
        """*prime* is a fastest cluster of one core beside larger ones, *big* the fastest with two, *little* the slowest."""
        names: dict[str, tuple[int, ...]] = {}
        if len(self.clusters) > 1 and len(self.clusters[0]) == 1:
            names["prime"] = self.clusters[0]
        names["big"] = self._big()
        if len(self.clusters) > 1 and self.clusters[-1] != names["big"]:
            names["little"] = self.clusters[-1]
        return names

    def default(self, threads: int) -> tuple[int, ...]:
        """``threads`` cores of the fastest cluster with at least two cores, of which core 0 is the last choice.

        Core 0 takes most of the interrupts. Raises UsageError where the cluster has too few.
        """
        return _first(self._big(), threads, "the fastest cluster")

    def parse(self, text: str, threads: int) -> tuple[int, ...]:
        """``text`` as cores: numbers and ranges by comma are taken whole, a cluster's name gives ``threads`` of its cores.

        Raises UsageError, with what there is.
        """
        names = self.named()
        if text in names:
            return _first(names[text], threads, text)
        cores = _numbers(text)
        missing = [core for core in cores if core not in self.all]
        if not cores or missing:
            there = ", ".join(f"{name} ({_text(cluster)})" for name, cluster in names.items())
            if missing:
                problem = f"there is no core {_text(missing)} here"
            elif text in _NAMES:
                problem = f"there is no {text} cluster here"
            else:
                problem = f"cannot read --cores {text!r}"
            raise UsageError(problem, hint=f"cores that may be used: {_text(self.all)}; clusters: {there}")
        if len(cores) < threads:
            raise UsageError(
                f"{threads} threads on {len(cores)} core(s) would only wait for each other",
                hint=f"give --cores at least {threads} cores, or fewer --threads",
            )
        return cores

    def _big(self) -> tuple[int, ...]:
        return next((cluster for cluster in self.clusters if len(cluster) > 1), self.clusters[0])


def _first(cluster: Sequence[int], threads: int, name: str) -> tuple[int, ...]:
    ordered = sorted(cluster, key=lambda core: (core == 0, core))
    if threads > len(ordered):
        raise UsageError(
            f"{threads} threads, but {name} has {len(ordered)} core(s) that may be used: {_text(cluster)}",
            hint=f"use --threads {len(ordered)}, or name the cores with --cores",
        )
    return tuple(sorted(ordered[:threads]))


def _numbers(text: str) -> tuple[int, ...]:
    """The cores of ``0-1,4``; empty where it is not of that form."""
    cores: set[int] = set()
    for part in text.split(","):
        found = _RANGE.fullmatch(part.strip())
        if found is None:
            return ()
        first, last = int(found[1]), int(found[2] or found[1])
        # A range that runs backwards or past any machine is a slip of the keyboard.
        if last < first or last > 4095:
            return ()
        cores.update(range(first, last + 1))
    return tuple(sorted(cores))


def _text(cores: Sequence[int]) -> str:
    return ",".join(map(str, cores))
