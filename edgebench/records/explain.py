"""Why two results differ: mechanisms whose factors multiply to the ratio, each with its causes and their evidence."""

from __future__ import annotations

from typing import Literal

from edgebench.records.base import Record

EXPLANATION_SCHEMA = 1

MechanismName = Literal["clock", "core type", "contention", "work", "residual"]


class Cause(Record, frozen=True, kw_only=True):
    """What may be behind a mechanism, by the ``evidence`` for it. It has no share of its own: the mechanism's counts once."""

    name: str
    evidence: str


class Mechanism(Record, frozen=True, kw_only=True):
    """One way in which the second result came to take ``factor`` times the first's latency (1 for none).

    ``uncertainty`` is the standard error of the factor's logarithm, null where one launch tells none. ``known`` is false where
    nothing was recorded that tells it: its factor is 1 then, and what it did is in the residual. ``named`` says that it is
    larger than chance and worth a word.
    """

    name: MechanismName
    factor: float
    uncertainty: float | None
    known: bool
    named: bool
    evidence: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()


class Explanation(Record, frozen=True, kw_only=True):
    """What ``edgebench explain`` found: the second's latency by the first's, and mechanisms that multiply to it.

    ``mechanisms`` are ordered by size, the residual last. ``unlike`` are fields of the identity cards that differ, each as
    text; one that moves nothing is no cause. ``told_by`` says which launches each side's figures are of.
    """

    schema: int = EXPLANATION_SCHEMA
    first: str
    second: str
    first_ms: float
    second_ms: float
    ratio: float
    uncertainty: float | None
    mechanisms: tuple[Mechanism, ...]
    unlike: tuple[str, ...] = ()
    told_by: tuple[str, str]
