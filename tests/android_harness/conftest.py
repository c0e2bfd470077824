"""The harness that tests start: as it ships, and once more with sanitizers, which a static program cannot have."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgebench.runtime import ncnn
from edgebench.runtime.abis import host_abi
from edgebench.runtime.harness_build import Harness, build_aside


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ends with a status of its own where it reads or frees what it must not, leaks, or does what is undefined."""
    # Not optimised: with sanitizers GCC 12 warns of what the standard library's own regular expressions may leave unset.
    options = ("-DHARNESS_SANITIZE=ON", "-DCMAKE_BUILD_TYPE=Debug")
    return build_aside(tmp_path_factory.mktemp("sanitized") / "build", "edgebench_harness", *options)


@pytest.fixture(params=["ships", "sanitized"])
def either_harness(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test that takes this runs with both."""
    if request.param == "sanitized":
        path = request.getfixturevalue("sanitized")
        monkeypatch.setattr(ncnn, "_harness", lambda emit: Harness(path, str(host_abi()), "", "with sanitizers"))
