"""Where the canary library comes from: shipped prebuilt, built on the spot, or nowhere (then numpy does the work)."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from edgebench.errors import ConversionFailed
from edgebench.files import cache_root, full_disk_is_said, prebuilt_file, sha256_bytes

SOURCE = Path(__file__).resolve().parents[1] / "agent" / "canary.c"
FLAGS = ("-O2", "-shared", "-fPIC")
_COMPILE_TIMEOUT_S = 60.0


def canary_library() -> Path | None:
    """The library for this machine, or None where it is neither shipped nor buildable.

    A built one is kept under the cache by the hash of its source, flags and compiler.
    """
    return _library(library_name(), "cc")


def canary_library_for(compiler: str, machine: str) -> Path | None:
    """The library for another machine than this, built by ``compiler``, where it is neither shipped nor buildable None."""
    return _library(f"libedgebench_canary-{machine}.so", compiler)


def _library(name: str, compiler_name: str) -> Path | None:
    shipped = prebuilt_file(name)
    if shipped is not None:
        return shipped
    compiler = shutil.which(compiler_name)
    version = _compiler_version(compiler) if compiler else None
    if compiler is None or version is None:
        return None
    key = sha256_bytes(SOURCE.read_bytes() + "\0".join((*FLAGS, version)).encode())
    built = cache_root() / "canary" / f"{key[:32]}.so"
    return built if built.is_file() or _compile(compiler, built) else None


def canary_work() -> str:
    """A hash of the work that the canaries do and of how their blocks are summed up: other work has another reference."""
    return sha256_bytes(SOURCE.read_bytes() + SOURCE.with_suffix(".py").read_bytes())


def build(folder: Path) -> Path:
    """Builds the library that a wheel ships into ``folder``. Raises ConversionFailed without a working compiler."""
    compiler = shutil.which("cc")
    target = folder / library_name()
    if compiler is None or not _compile(compiler, target):
        raise ConversionFailed(f"cannot build {target}", hint="install a C compiler: apt-get install gcc libc6-dev")
    return target


def library_name() -> str:
    """The file name that tells for which machine it was built."""
    return f"libedgebench_canary-{platform.machine()}.so"


def _compile(compiler: str, target: Path) -> bool:
    with full_disk_is_said(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        # Compiled aside and moved: a second process sees no library or a whole one.
        handle, aside = tempfile.mkstemp(dir=target.parent, prefix=".canary-", suffix=".so")
        os.close(handle)
        try:
            if _run([compiler, *FLAGS, str(SOURCE), "-o", aside]) is None:
                return False
            Path(aside).chmod(0o755)
            Path(aside).replace(target)
        finally:
            Path(aside).unlink(missing_ok=True)
    return True


def _compiler_version(compiler: str) -> str | None:
    return _run([compiler, "--version"])


def _run(argv: list[str]) -> str | None:
    """What it printed, or None where it failed."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_COMPILE_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


if __name__ == "__main__":
    sys.stdout.write(f"{build(Path(sys.argv[1]))}\n")
