"""Which series of a comparison are timed in turns in one process, and why others are not."""

from __future__ import annotations

from collections.abc import Sequence

from edgebench.measure.launching import Subject
from edgebench.records import Pair


def pairs_of(subjects: Sequence[Subject], *, asked_unpaired: bool) -> tuple[Pair, ...]:
    """Every other series against the first."""
    return tuple(
        Pair(
            first=0, second=second, unpaired="--unpaired" if asked_unpaired else _unsound(subjects[0], subjects[second])
        )
        for second in range(1, len(subjects))
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
