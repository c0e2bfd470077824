"""``edgebench harness``: the native program that measures on phones and boards, and runs ncnn on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from edgebench.cli.context import json_option, print_json
from edgebench.cli.progress import progress
from edgebench.errors import UsageError

# As in runtime/harness_build.py; named here so that --help stays quick, and held equal by a test.
ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64", "riscv64")


@click.group("harness")
def command() -> None:
    """The native harness: one static program that loads ncnn networks, times them and watches the device.

    \b
    edgebench harness build                          for this machine
    edgebench harness build --abi arm64-v8a --json   its path and hash, for scripts
    """


@command.command("build")
@click.option("--abi", type=click.Choice(ABIS), help="The processor family. Default: this machine's.")
@click.option(
    "--ndk",
    "ndk_folder",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Build with Google's NDK instead of Debian's compilers (never tried by us).",
)
@click.option(
    "--vulkan", is_flag=True, help="With GPU support; needs --ndk (never tried by us; `run` cannot use it yet)."
)
@click.option(
    "--ncnn-source",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="ncnn's source distribution, where it cannot be downloaded.",
)
@json_option
def build(abi: str | None, ndk_folder: Path | None, vulkan: bool, ncnn_source: Path | None, as_json: bool) -> None:
    """Build the harness for an ABI, or say where the cached one is. The first build takes minutes.

    \b
    edgebench harness build                      for this machine
    edgebench harness build --abi arm64-v8a      for phones and 64-bit ARM boards
    edgebench harness build --json | jq -r .path

    \b
    Needs cmake, ninja-build, nlohmann-json3-dev and a compiler from Debian:
      arm64-v8a g++-aarch64-linux-gnu, armeabi-v7a g++-arm-linux-gnueabihf,
      riscv64 g++-riscv64-linux-gnu, x86_64 g++.
    """
    from edgebench.runtime.abis import host_abi
    from edgebench.runtime.harness_build import Ndk, build_harness

    wanted = abi or host_abi()
    if wanted is None:
        raise UsageError("there is no harness for this machine's processor", hint=f"choose --abi {'|'.join(ABIS)}")
    if vulkan and ndk_folder is None:
        raise UsageError(
            "a static program cannot load a GPU driver", hint="give Google's NDK as well: --ndk DIR --vulkan"
        )
    ndk = Ndk(ndk_folder, vulkan) if ndk_folder is not None else None
    with progress() as emit:
        harness = build_harness(wanted, emit, ndk=ndk, ncnn_source=ncnn_source)
    if as_json:
        print_json(
            {"path": str(harness.path), "abi": harness.abi, "sha256": harness.sha256, "toolchain": harness.toolchain}
        )
        return
    click.echo(f"{harness.path}\n{harness.abi}, {harness.toolchain}, sha256 {harness.sha256[:16]}…")
