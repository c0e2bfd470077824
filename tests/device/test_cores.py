"""Which cores a word or a list means, on machines of every build."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebench.device.cores import Clusters, by_frequency
from edgebench.errors import UsageError

PHONE = Clusters(((7,), (4, 5, 6), (0, 1, 2, 3)))
BOARD = Clusters(((4, 5), (0, 1, 2, 3)))
PC = Clusters(((0, 1),))
SINGLE = Clusters(((0,),))


def test_cores_are_clustered_fastest_first_and_in_one_cluster_where_any_is_unknown():
    speeds = dict.fromkeys(range(4), 1_800_000) | dict.fromkeys(range(4, 7), 2_400_000) | {7: 2_900_000}
    assert by_frequency(speeds) == PHONE.clusters
    assert by_frequency({5: 2_400_000, 1: 1_800_000, 2: 1_800_000}) == ((5,), (1, 2))
    assert by_frequency({9: None, 1: 1_800_000}) == ((1, 9),)


def test_one_thread_goes_to_the_fastest_cluster_of_at_least_two_cores_and_not_to_core_0():
    assert PHONE.default(1) == (4,), "a prime core only by name"
    assert BOARD.default(1) == (4,)
    assert PC.default(1) == (1,)
    assert SINGLE.default(1) == (0,)


def test_more_threads_get_as_many_cores_of_one_cluster():
    assert PC.default(2) == (0, 1)
    with pytest.raises(UsageError, match="4 threads, but the fastest cluster has 3") as raised:
        PHONE.default(4)
    assert "--threads 3" in raised.value.hint


@pytest.mark.parametrize(
    ("machine", "text", "threads", "cores"),
    [
        (PHONE, "prime", 1, (7,)),
        (PHONE, "big", 2, (4, 5)),
        (PHONE, "little", 1, (1,)),
        (PHONE, "0-1", 1, (0, 1)),
        (PHONE, "4,6, 5", 3, (4, 5, 6)),
        (PC, "1", 1, (1,)),
        (PC, "big", 1, (1,)),
    ],
)
def test_cores_by_name_and_by_number(machine, text, threads, cores):
    assert machine.parse(text, threads) == cores


@pytest.mark.parametrize(
    ("machine", "text", "problem"),
    [
        (PC, "little", "there is no little cluster"),
        (PC, "prime", "there is no prime cluster"),
        (PC, "2", "no core 2 here"),
        (PC, "0-7", "no core 2,3,4,5,6,7 here"),
        (PC, "1-0", "cannot read"),
        (PC, "", "cannot read"),
        (PC, "-1", "cannot read"),
        (PC, "0-99999999999", "cannot read"),
        (PHONE, "everything", "cannot read"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(machine, text, problem):
    with pytest.raises(UsageError, match=problem) as raised:
        machine.parse(text, 1)
    assert "big (" in raised.value.hint and ",".join(map(str, machine.all)) in raised.value.hint


def test_more_threads_than_named_cores_are_refused():
    with pytest.raises(UsageError, match=r"2 threads on 1 core"):
        PC.parse("1", 2)
    with pytest.raises(UsageError, match=r"2 threads, but prime has 1"):
        PHONE.parse("prime", 2)


@given(st.text(max_size=12))
def test_any_text_is_cores_of_this_machine_or_a_usage_error(text):
    try:
        cores = PHONE.parse(text, 1)
    except UsageError:
        return
    assert cores and set(cores) <= set(PHONE.all)


@given(st.sets(st.integers(0, 7), min_size=1))
def test_a_list_of_existing_cores_is_taken_whole(cores):
    assert PHONE.parse(",".join(map(str, cores)), 1) == tuple(sorted(cores))
