"""A candidate against its baseline: what was asked, what was found, and what is kept to be held against later."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from edgebench.records.base import Record
from edgebench.records.result import Result

CHECK_SCHEMA = 1
BASELINE_SCHEMA = 1

Verdict = Literal["regressed", "pass", "improved", "inconclusive"]
# A flag of `edgebench check` as YAML writes it.
Flag = str | int | float | bool


class LayerChange(Record, frozen=True, kw_only=True):
    """What the layers of one module take, by one profile launch of each: baseline and candidate. 0 where it has none."""

    module: str
    op: str
    baseline_ms: float
    candidate_ms: float


class CheckResult(Record, frozen=True, kw_only=True):
    """Whether a candidate is slower than its baseline by more than ``budget`` (.03 allows 3 %), or takes more memory.

    ``ratio`` is the candidate's latency by the baseline's over the ``launches`` that decided, between ``bounds``, each of which
    errs in at most 1 % of checks. *regressed*: the lower one is above 1 + budget, and as launches of their own confirmed
    (``confirmation_ratio``; null where both are stored numbers), or memory or size are above theirs; *pass*: the upper one is
    below, *improved*: below 1; else *inconclusive*, with ``reasons``. Ratio and bounds are null where nothing may be compared.

    ``design`` is *paired* where both were timed in turns in one process, *alternating* with the reason where their launches
    were dealt in turns, *unpaired* with the reason where a number was stored, which holds for its own session. The bounds are
    ``wider`` times as far apart as launches that do not depend on each other would tell. ``memory_ratio``
    is of the peaks of launches of each by itself, ``size_ratio`` of the artifacts' files. ``layers`` are those that grew the
    most where the network regressed; they decide nothing.
    """

    verdict: Verdict
    budget: float
    ratio: float | None
    bounds: tuple[float, float] | None
    wider: float = 1.0
    launches: int
    confirmation_ratio: float | None = None
    design: str
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    memory_ratio: float | None = None
    memory_budget: float | None = None
    size_ratio: float | None = None
    size_budget: float | None = None
    layers: tuple[LayerChange, ...] = ()


class CheckFailure(Record, frozen=True, kw_only=True):
    """Why a check came to no verdict; ``exit_status`` is what edgebench ends with for it."""

    code: str
    message: str
    hint: str
    exit_status: int


class Checked(Record, frozen=True, kw_only=True):
    """One check: its two sides as they were named, and a verdict with the two results, or a failure."""

    name: str
    baseline: str
    candidate: str
    target: str
    check: CheckResult | None = None
    failure: CheckFailure | None = None
    results: tuple[Result, ...] = ()


class CheckDocument(Record, frozen=True, kw_only=True):
    """What ``edgebench check --json`` prints."""

    schema: int = CHECK_SCHEMA
    checks: tuple[Checked, ...]


class CheckPolicy(Record, frozen=True, kw_only=True):
    """A policy file: checks by name, each with the flags of ``edgebench check`` as keys; ``defaults`` are flags of all."""

    defaults: dict[str, Flag] = {}
    checks: Annotated[dict[str, dict[str, Flag]], msgspec.Meta(min_length=1)]


class Baseline(Record, frozen=True, kw_only=True):
    """A result that is kept to be held against, with its artifact: ``manifest_sha256`` is of that artifact's record."""

    schema: int = BASELINE_SCHEMA
    name: str
    saved_utc: str
    tool_version: str
    manifest_sha256: str
    result: Result
