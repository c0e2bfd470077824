"""A check against a stored number: what is measured once more before it says *regressed*. No device: sessions are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from edgebench.cli import checking
from edgebench.cli.sides import Side
from edgebench.records import CheckResult, Result
from tests.report.test_stored_check import stored

BASELINE = Side("main", None, stored("old", 6.0), "its artifact is gone")
CANDIDATE = Side("new.onnx", "new.onnx")


@dataclass
class Sessions:
    """Results of sessions in order, and how many seconds each might take."""

    results: list[Result]
    given_s: list[float] = field(default_factory=list)

    def __call__(self, side: Side, _flags: object, most_s: float) -> Result:
        if side.stored is not None:
            return side.stored
        self.given_s.append(most_s)
        return self.results.pop(0)


def checked(
    monkeypatch: pytest.MonkeyPatch, *sides: Side, again_ms: float = 6.6, took_s: float = 100.0, most_s: float = 1800.0
) -> CheckResult:
    """Of a candidate that takes 10 % longer by its first session, which took so many seconds, at a budget of 3 %."""
    sessions = Sessions([stored("new", 6.6), stored("new", again_ms)])
    monkeypatch.setattr(checking, "_alone", sessions)
    monkeypatch.setattr(checking, "time", SimpleNamespace(monotonic=iter((0.0, took_s)).__next__))
    asked, flags = SimpleNamespace(budget=0.03), SimpleNamespace(max_time=most_s)
    check, (_, told), _ = checking._of_numbers(asked, flags, sides)  # type: ignore[arg-type]
    assert told == stored("new", 6.6), "the first session is what is told"
    assert sessions.given_s in ([], [most_s], [most_s, most_s - took_s]), "no longer than is left of --max-time"
    return check


def test_the_candidate_is_measured_once_more_before_it_has_regressed(monkeypatch: pytest.MonkeyPatch) -> None:
    check = checked(monkeypatch, BASELINE, CANDIDATE)
    assert (check.verdict, check.confirmation_ratio) == ("regressed", pytest.approx(1.1, abs=1e-3))
    check = checked(monkeypatch, BASELINE, CANDIDATE, again_ms=6.0)
    assert check.verdict == "inconclusive" and check.reasons[0].startswith("not confirmed: ")


def test_without_time_for_that_it_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    check = checked(monkeypatch, BASELINE, CANDIDATE, took_s=60.0, most_s=60.0)
    assert (check.verdict, check.reasons) == ("inconclusive", ("not confirmed: its time was over (--max-time)",))


def test_two_stored_numbers_say_that_nothing_confirms_it(monkeypatch: pytest.MonkeyPatch) -> None:
    check = checked(monkeypatch, BASELINE, Side("last", None, stored("new", 6.6), "it is a run"))
    assert check.verdict == "regressed" and check.notes == ("no launches confirm it: both are stored numbers",)
