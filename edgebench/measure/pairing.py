"""Which series of a comparison are timed in turns in one process, and why others are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from edgebench.measure.launching import Subject
from edgebench.records import Pair

Comparison = Literal["in turns", "alternate"]


def pairs_of(subjects: Sequence[Subject], comparison: Comparison) -> tuple[Pair, ...]:
    """Every other series against the first of its kind (runtime and options), and that one against the first of all: *in turns*
    where that is sound, or all by launches that *alternate*."""
    pairs = []
    for place, subject in enumerate(subjects[1:], start=1):
        first = next((index for index in range(place) if _unlike(subjects[index], subject) is None), 0)
        unpaired = "--unpaired" if comparison == "alternate" else _unsound(subjects[first], subject)
        pairs.append(Pair(first=first, second=place, unpaired=unpaired))
    return tuple(pairs)


def _unsound(first: Subject, second: Subject) -> str | None:
    """Why one process cannot hold both, or would not time them as each alone is timed."""
    return _unlike(first, second) or first.runtime.unpaired(first.threads)


def _unlike(first: Subject, second: Subject) -> str | None:
    """By what the two are of different kinds."""
    if first.runtime.name != second.runtime.name:
        return f"{first.runtime.name} and {second.runtime.name} are two runtimes"
    unlike = [
        name
        for name in sorted(first.options.keys() | second.options)
        if first.options.get(name) != second.options.get(name)
    ]
    return f"their options differ in {', '.join(unlike)}" if unlike else None
