"""Which series of a comparison are timed in turns in one process, and why others are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from edgebench.measure.launching import Subject
from edgebench.records import Pair

Comparison = Literal["in turns", "alternate"]


def pairs_of(subjects: Sequence[Subject], comparison: Comparison) -> tuple[Pair, ...]:
    """Every other series against the first: *in turns* where that is sound, or all by launches that *alternate*."""
    first, *others = subjects
    return tuple(
        Pair(first=0, second=place, unpaired="--unpaired" if comparison == "alternate" else _unsound(first, other))
        for place, other in enumerate(others, start=1)
    )


def _unsound(first: Subject, second: Subject) -> str | None:
    """Why one process cannot hold both, or would not time them as each alone is timed."""
    if first.runtime.name != second.runtime.name:
        return f"{first.runtime.name} and {second.runtime.name} are two runtimes"
    if dict(first.options) != dict(second.options):
        unlike = sorted(
            name
            for name in first.options.keys() | second.options
            if first.options.get(name) != second.options.get(name)
        )
        return f"their options differ in {', '.join(unlike)}"
    return first.runtime.unpaired(first.threads)
