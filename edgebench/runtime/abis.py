"""The processors that there can be a harness for, and what this machine needs to build one."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from edgebench.errors import UnknownName

# Debian's: headers alone, for every ABI.
JSON_HEADER = Path("/usr/include/nlohmann/json.hpp")
_TOOLS = (("cmake", "cmake"), ("ninja", "ninja-build"))


@dataclass(frozen=True)
class Abi:
    """One processor family: Android's name for it, ``uname -m``'s, and Debian's cross compiler."""

    name: str
    machine: str
    compiler: str
    package: str
    flags: tuple[str, ...] = ()


ABIS = {
    abi.name: abi
    for abi in (
        Abi("arm64-v8a", "aarch64", "aarch64-linux-gnu", "g++-aarch64-linux-gnu"),
        # Without these flags ncnn's int8 sources do not compile for 32-bit ARM.
        Abi(
            "armeabi-v7a",
            "armv7l",
            "arm-linux-gnueabihf",
            "g++-arm-linux-gnueabihf",
            ("-mfpu=neon-vfpv4", "-mfp16-format=ieee"),
        ),
        Abi("x86_64", "x86_64", "x86_64-linux-gnu", "g++"),
        # GCC 12 has no vector intrinsics for it: ncnn is scalar there.
        Abi("riscv64", "riscv64", "riscv64-linux-gnu", "g++-riscv64-linux-gnu"),
    )
}


def host_abi() -> str | None:
    """The ABI of this machine, None where there is none for it."""
    return next((abi.name for abi in ABIS.values() if abi.machine == platform.machine()), None)


def get_abi(name: str) -> Abi:
    """Raises UnknownName."""
    if name not in ABIS:
        raise UnknownName("ABI", name, list(ABIS), hint=f"ABIs: {', '.join(ABIS)}")
    return ABIS[name]


def compiler_of(abi: Abi) -> str | None:
    """The path of this machine's compiler for ``abi``, None where there is none."""
    cross = shutil.which(f"{abi.compiler}-g++")
    return cross or (shutil.which("g++") if abi.machine == platform.machine() else None)


def missing_packages(abi: Abi) -> tuple[str, ...]:
    """Debian's packages that building a harness for ``abi`` takes and that this machine lacks."""
    missing = [package for program, package in _TOOLS if shutil.which(program) is None]
    if compiler_of(abi) is None:
        missing.append(abi.package)
    if not JSON_HEADER.is_file():
        missing.append("nlohmann-json3-dev")
    return tuple(missing)
