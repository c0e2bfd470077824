"""A ratio over launches of either order of loading, with an interval that is as often wrong as it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from edgebench.analyze.ratios import LogRatio, by_session, centre_of, holm_errors, ratio_of


def told(values: list[float], *, order_effect: float = 0.0) -> list[LogRatio]:
    """Launches whose order of loading alternates; it moves each by ``order_effect`` one way or the other."""
    signs = (1.0, -1.0)
    return [LogRatio(each + signs[at % 2] * order_effect, at % 2 == 1) for at, each in enumerate(values)]


def test_without_two_orders_it_is_the_t_interval_of_the_mean() -> None:
    values = [0.01, 0.02, 0.03, 0.05]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    found = ratio_of([LogRatio(each) for each in values])
    assert found.ratio == pytest.approx(math.exp(np.mean(values)))
    assert found.ci == pytest.approx((math.exp(low), math.exp(high)))


def test_which_was_loaded_first_moves_neither_the_ratio_nor_its_interval() -> None:
    values = [0.020, 0.022, 0.019, 0.021, 0.020, 0.018]
    plain, shifted = ratio_of(told(values)), ratio_of(told(values, order_effect=0.03))
    assert (shifted.ratio, shifted.ci) == (pytest.approx(plain.ratio), pytest.approx(plain.ci))


def test_an_order_counts_as_much_as_the_other_however_many_launches_it_has() -> None:
    uneven = [LogRatio(0.03, swapped=False)] * 4 + [LogRatio(-0.01, swapped=True), LogRatio(-0.01, swapped=True)]
    assert centre_of(uneven).log == pytest.approx(0.01)


def test_the_scatter_is_that_within_an_order() -> None:
    # By hand: squares about their own means .0002 and .0008 over 2 degrees of freedom; the mean of two means of two.
    found = centre_of([LogRatio(0.0), LogRatio(0.02), LogRatio(0.08, swapped=True), LogRatio(0.12, swapped=True)])
    assert (found.log, found.freedom) == (pytest.approx(0.055), 2)
    assert found.error == pytest.approx(math.sqrt(0.0005 * (0.5 + 0.5)) / 2)


def test_a_wild_launch_of_many_widens_the_interval_and_hardly_moves_it() -> None:
    calm = [0.001 * (at % 5 - 2) for at in range(20)]
    wild = [*calm[:7], 0.7, *calm[8:]]
    assert centre_of(told(wild)).log == pytest.approx(centre_of(told(calm)).log, abs=0.001)
    few = centre_of(told([*calm[:5], 0.7]))
    assert few.half(0.01) > abs(few.log), "of few it moves the mean, within what the interval owns to"


def test_a_trimmed_order_has_yuens_interval() -> None:
    # Ten launches, one cut on each side: mean of eight 5.5; winsorized 2 2 3 4 5 6 7 8 9 9, squares about 5.5.
    values = [each / 1000 for each in (1, 2, 3, 4, 5, 6, 7, 8, 9, 100)]
    squares = sum((each - 5.5) ** 2 for each in (2, 2, 3, 4, 5, 6, 7, 8, 9, 9)) / 1e6
    found = centre_of([LogRatio(each) for each in values])
    assert (found.log, found.freedom) == (pytest.approx(0.0055), 7)
    assert found.error == pytest.approx(math.sqrt(squares / (7 * 8)))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    order = np.random.default_rng(7)
    held = 0
    for _ in range(2000):
        values = [math.log(1.03) + order.normal(0.0, 0.006) for _ in range(10)]
        ci = ratio_of(told(values, order_effect=0.01)).ci
        assert ci is not None
        held += ci[0] <= 1.03 <= ci[1]
    assert 0.935 <= held / 2000 <= 0.965


def test_one_launch_of_each_order_tells_no_scatter() -> None:
    found = told([0.01, 0.03])
    assert ratio_of(found).ci is None and centre_of(found).p_of_none() == 1.0
    with pytest.raises(ValueError, match="no scatter"):
        centre_of(found).half(0.05)
    with pytest.raises(ValueError, match="no launch"):
        centre_of([])


def test_the_probability_of_none_is_that_of_a_t_test() -> None:
    values = [0.01, 0.015, 0.025, 0.03]
    assert centre_of([LogRatio(each) for each in values]).p_of_none() == pytest.approx(
        stats.ttest_1samp(values, 0.0).pvalue
    )
    alike = [LogRatio(0.0)] * 4, [LogRatio(0.1)] * 4
    assert tuple(centre_of(each).p_of_none() for each in alike) == (1.0, 0.0)


def test_most_alike_to_the_nanosecond_are_no_proof_that_none_can_differ() -> None:
    found = centre_of([LogRatio(0.03)] * 9 + [LogRatio(0.031)])
    assert found.half(0.05) > 0.0


def test_launches_of_one_session_are_one() -> None:
    found = by_session(
        [LogRatio(0.01, swapped=False, session=1), LogRatio(0.03, swapped=True, session=1), LogRatio(0.5)]
    )
    assert found == [LogRatio(0.5, session=0), LogRatio(pytest.approx(0.02), session=1)]  # type: ignore[arg-type]


def test_holm_gives_the_clearest_its_share_among_all_and_stops_at_the_first_that_is_not_clear():
    # Three comparisons at .05: .01 <= .05/3, .02 <= .05/2, .06 > .05/1.
    assert holm_errors([0.02, 0.06, 0.01]) == pytest.approx([0.05 / 2, 0.05, 0.05 / 3])
    # The second is not clear at .05/2, so the third, which would be at .05, is not judged more mildly.
    assert holm_errors([0.01, 0.03, 0.04]) == pytest.approx([0.05 / 3, 0.05 / 2, 0.05 / 2])
    assert holm_errors([0.04]) == pytest.approx([0.05]) and holm_errors([]) == []


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_holm_rejects_as_its_procedure_does(p_values: list[float]) -> None:
    errors = holm_errors(p_values)
    by_errors = {index for index, p in enumerate(p_values) if p <= errors[index]}
    rejected: set[int] = set()
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] > 0.05 / (len(p_values) - rank):
            break
        rejected.add(index)
    assert by_errors == rejected
