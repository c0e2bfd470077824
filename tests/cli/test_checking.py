"""A check against a stored number: what is measured once more before it says *regressed*. No device: sessions are told."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from edgebench.cli import checking
from edgebench.cli.sides import Side
from edgebench.records import CheckResult, Result
from tests.report.test_check import check_of_stored, stored

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


def confirmed(
    monkeypatch: pytest.MonkeyPatch, *sides: Side, left_s: float = 60.0, again_ms: float = 6.6
) -> CheckResult:
    sessions = Sessions([stored("new", again_ms)])
    monkeypatch.setattr(checking, "_alone", sessions)
    first = check_of_stored(stored("old", 6.0), stored("new", 6.6), 0.03, "gone")
    check = checking._confirmed(first, (stored("old", 6.0), stored("new", 6.6)), sides, None, left_s)
    assert sessions.given_s == ([left_s] if check.confirmation_ratio else []), "no longer than is left of --max-time"
    return check


def test_the_candidate_is_measured_once_more_before_it_has_regressed(monkeypatch: pytest.MonkeyPatch) -> None:
    check = confirmed(monkeypatch, BASELINE, CANDIDATE)
    assert (check.verdict, check.confirmation_ratio) == ("regressed", pytest.approx(1.1, abs=1e-3))
    check = confirmed(monkeypatch, BASELINE, CANDIDATE, again_ms=6.0)
    assert check.verdict == "inconclusive" and check.reasons[0].startswith("not confirmed: ")


def test_without_time_for_that_it_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    check = confirmed(monkeypatch, BASELINE, CANDIDATE, left_s=0.0)
    assert (check.verdict, check.reasons) == ("inconclusive", ("not confirmed: its time was over (--max-time)",))


def test_two_stored_numbers_say_that_nothing_confirms_it(monkeypatch: pytest.MonkeyPatch) -> None:
    check = confirmed(monkeypatch, BASELINE, Side("last", None, stored("new", 6.6), "it is a run"))
    assert check.verdict == "regressed" and check.notes == ("no launches confirm it: both are stored numbers",)
