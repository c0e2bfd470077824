"""The harness whose clock is the virtual phone's, for tests: built once, then from the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgebench.errors import EdgebenchError
from edgebench.events import Event, StageStarted
from edgebench.runtime.abis import host_abi
from edgebench.runtime.harness_build import Harness, build_with_clock

CLOCK_SOURCE = Path(__file__).with_name("virtual_clock.cpp")
# Names the page; without it the clocks are the machine's.
CLOCK_VARIABLE = "EDGEBENCH_VIRTUAL_CLOCK"


class _TakesMinutes(Exception):
    pass


def clocked_harness(abi: str | None = None) -> Harness:
    """For this machine's processor, or an ABI. Skips the test where there is no compiler, or ncnn itself is not built yet."""
    wanted = abi or host_abi()
    if wanted is None:
        pytest.skip("there is no harness for this processor")
    try:
        return build_with_clock(wanted, CLOCK_SOURCE, _not_ncnn)
    except _TakesMinutes:
        pytest.skip(f"ncnn for {wanted} is not built: run edgebench harness build --abi {wanted}")
    except EdgebenchError as error:
        pytest.skip(f"{error.message}: {error.hint}")


def _not_ncnn(event: Event) -> None:
    """A test run is not the place for building ncnn; said before it begins."""
    if isinstance(event, StageStarted) and event.stage.startswith("ncnn"):
        raise _TakesMinutes
