"""``edgebench harness build``: where the program is, what it is, and what cannot be built."""

from __future__ import annotations

import json
from pathlib import Path

from edgebench.files import sha256_file
from tests.cli.phone_desk import Edgebench, refused


def test_a_built_harness_is_told_with_its_hash_and_toolchain(edgebench: Edgebench) -> None:
    done = edgebench("harness", "build", "--json")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    assert set(told) == {"schema", "path", "abi", "sha256", "toolchain"}
    path = Path(told["path"])
    assert sha256_file(path) == told["sha256"] and path.name.endswith(told["abi"])
    text = edgebench("harness", "build").out.splitlines()
    assert text[0] == told["path"] and text[1].startswith(f"{told['abi']}, {told['toolchain']}, sha256 ")


def test_a_gpu_build_without_the_ndk_is_refused_with_the_mend(edgebench: Edgebench) -> None:
    error = refused(edgebench("harness", "build", "--vulkan", "--json"), 2, "usage")
    assert "--ndk DIR --vulkan" in error["hint"]
