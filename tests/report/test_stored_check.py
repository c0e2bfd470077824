"""What a check concludes from a stored number, and what it says of a baseline that is measured anew."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from edgebench.records import Result
from edgebench.report.check import Budgets, with_other_budgets
from edgebench.report.stored_check import check_of_stored, since_stored, with_confirmation
from tests.report.results import result
from tests.report.test_check import CALM, LAYER, OLD, checked, told


def stored(name: str, ms: float, **changes: object) -> Result:
    spread = (0.999, 1.001, 0.9995, 1.0005, 0.9992, 1.0008)
    return result(name, median_ms=ms, launch_medians_ms=tuple(ms * each for each in spread), **changes)


def test_a_stored_number_tells_nothing_without_the_word_unpaired():
    old, new = stored("old", 6.0), stored("new", 6.6)
    check = check_of_stored(old, new, 0.03, "its artifact is gone")
    assert (check.verdict, check.design) == ("regressed", "unpaired: its artifact is gone")
    assert check.ratio == pytest.approx(1.1) and check.bounds is not None and 1.09 < check.bounds[0] < check.bounds[1]
    lines = told(check, (old, new))
    assert lines[0].startswith(f"regressed (unpaired): {new.label} takes 1.1000 x {old.label}")
    assert "against a stored number (its artifact is gone)" in lines[1] and "their two sessions" in lines[1]
    assert check_of_stored(old, stored("new", 6.0), 0.03, "gone").verdict == "pass"
    assert check_of_stored(old, stored("new", 5.0), 0.03, "gone").verdict == "improved"


@pytest.mark.parametrize(
    ("field", "value"),
    [("device_id", "another"), ("runtime", "ncnn"), ("precision_stored", "int8"), ("threads", 4), ("cores", (7,))],
)
def test_numbers_of_unlike_things_are_not_held_against_each_other(field: str, value: object):
    old, new = stored("old", 6.0), stored("new", 9.0)
    other = replace(old, identity=replace(old.identity, **{field: value}))
    check = check_of_stored(other, new, 0.03, "its artifact is gone")
    assert (check.verdict, check.ratio, check.bounds) == ("inconclusive", None, None)
    assert check.reasons[0].startswith(f"{field} differs: {value if field != 'cores' else 7} and ")
    heavy = replace(new, memory_peak_bytes=10 * 2**30)
    assert with_other_budgets(check, (other, heavy), None, Budgets(0.1, 0.1)).verdict == "inconclusive"
    assert (
        told(check, (other, new))[0].startswith("inconclusive (unpaired): ")
        and "cannot be held against" in told(check)[0]
    )


def test_what_else_differs_is_noted_and_a_doubtful_number_decides_nothing():
    old, new = stored("old", 6.0), stored("new", 9.0)
    updated = replace(old, identity=replace(old.identity, os_build="an older one"))
    check = check_of_stored(updated, new, 0.03, "gone")
    assert check.verdict == "regressed" and check.notes[0].startswith("os_build differs: an older one and ")
    doubtful = replace(old, verdict="SUSPECT", reasons=("the gate was off (--no-gate)",))
    check = check_of_stored(doubtful, new, 0.03, "gone")
    assert check.verdict == "inconclusive" and check.reasons == (
        f"{old.label} is SUSPECT: the gate was off (--no-gate)",
    )
    file = replace(old, verdict="SUSPECT", reasons=("parity not checked: a file",))
    check = check_of_stored(file, new, 0.03, "gone")
    assert check.verdict == "regressed", "what it computes bears on no latency"
    assert check.notes == (f"{old.label}: parity not checked: a file",)
    single = replace(old, launch_medians_ms=(6.0,))
    assert check_of_stored(single, new, 0.03, "gone").reasons == ("one launch has no interval",)


def test_against_a_stored_number_regressed_stands_only_where_another_session_bears_it_out():
    old, new = stored("old", 6.0), stored("new", 6.6)
    check = replace(check_of_stored(old, new, 0.03, "gone"), layers=(LAYER,))
    assert check.verdict == "regressed"
    again = with_confirmation(check, old, stored("new", 6.5))
    assert again.verdict == "regressed" and again.layers == (LAYER,)
    assert "launches to confirm it: 1.0833 x" in told(again, (old, new))
    quiet = with_confirmation(check, old, stored("new", 6.1))
    assert (quiet.verdict, quiet.layers) == ("inconclusive", ())
    assert quiet.reasons == ("not confirmed: 10 launches to confirm it tell 1.0167 x, which the budget allows",)
    hot = with_confirmation(check, old, replace(stored("new", 6.6), verdict="SUSPECT", reasons=("it was hot",)))
    assert (hot.verdict, hot.confirmation_ratio) == ("inconclusive", None)
    assert hot.reasons == (f"not confirmed: {new.label} is SUSPECT: it was hot",)


def test_what_became_of_a_baseline_since_it_was_saved_is_noted():
    check = checked(CALM)
    assert since_stored(check, None, OLD).notes == ()
    then = replace(OLD, median_ms=22.0)
    assert since_stored(check, then, replace(OLD, median_ms=10.0)).notes == (
        "the baseline took 22.00 ms when it was saved, 10.00 ms now",
    )
    other = replace(then, identity=replace(OLD.identity, runtime="tensorrt", threads=4))
    assert since_stored(check, other, replace(OLD, median_ms=10.0)).notes == (
        "the baseline took 22.00 ms when it was saved, 10.00 ms now, which are not alike (runtime was tensorrt, is"
        f" {OLD.identity.runtime}; threads was 4, is {OLD.identity.threads}); the verdict is about what was measured now",
    )
    elsewhere = replace(OLD, device="a phone", identity=replace(OLD.identity, device_id="another"))
    assert (
        since_stored(check, elsewhere, OLD)
        .notes[0]
        .startswith("the baseline was saved on a phone; both were measured now")
    )


def test_a_stored_number_whose_launches_drifted_is_told_less_well():
    calm, drifted = (0.99, 1.01) * 5, (0.985, 0.987, 0.99, 0.993, 0.997, 1.003, 1.007, 1.01, 1.013, 1.015)

    def bounds(spread: tuple[float, ...]) -> float:
        new = replace(stored("new", 6.0), launch_medians_ms=tuple(6.0 * each for each in spread))
        found = check_of_stored(replace(new, label="old"), new, 0.03, "gone").bounds
        assert found is not None
        return found[1] / found[0] - 1.0

    assert bounds(drifted) > 1.5 * bounds(calm), "as large a scatter, whose neighbours are alike"
