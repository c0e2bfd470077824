"""An arm64 Linux on this machine, under qemu-user: Debian's own arm64 Python with the arm64 wheels of what is installed here.

    with arm64_board() as channel:
        remote = Remote(channel)

Its programs are real arm64 programs; kernel and disk are this machine's. Files of the processor are a Cortex-A72's, since what
asks them (ONNX Runtime does, when it is imported) believes to be on one. Nothing is timed here.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from edgebench.files import cache_root, sha256_bytes
from tests.private_apt import private_apt
from tests.transport.local_shell import LocalShellChannel
from tests.virtual_phone.world import QEMU, NoWorld, require_namespaces
from tests.virtual_phone.world_init import BINFMT, aarch64_rule

# Where the folder of this module is imported, not where it is used: tests get a cache of their own.
CACHE = cache_root() / "tests" / "arm64"
_CPU = "cortex-a72"
_PACKAGES = ("python3", "libstdc++6", "openssl")
_WHEELS = ("numpy", "onnxruntime")
_PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
_DOWNLOAD_S = 300


class Arm64Channel(LocalShellChannel):
    """Each script in a user and mount namespace of its own, in which the kernel starts arm64 programs."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._boot = root / "boot.sh"

    def stream(self, script: str, on_bytes, *, timeout_s: float) -> bool:
        words = ["unshare", "--user", "--map-root-user", "--mount", "/bin/sh", str(self._boot), script]
        return super().stream(f"exec {shlex.join(words)}", on_bytes, timeout_s=timeout_s)


def arm64_root() -> Path:
    """Its folder, made once; skips the test, with the reason, where it cannot be had."""
    try:
        require_namespaces(foreign=True)
    except NoWorld as error:
        pytest.skip(str(error))
    versions = [f"{name}=={metadata.version(name)}" for name in _WHEELS]
    key = sha256_bytes(" ".join((*_PACKAGES, *versions, *_PLATFORMS)).encode())[:16]
    root = CACHE / key
    if not root.is_dir():
        root.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=root.parent))
        try:
            _unpack_packages(new)
            _unpack_wheels(new, versions)
            new.rename(root)
        except subprocess.CalledProcessError as error:
            said = (error.stderr or error.stdout or b"").decode(errors="replace").strip().splitlines()[-1:]
            pytest.skip(f"no arm64 packages: {shlex.join(error.cmd[:4])} …: {' '.join(said)}")
        finally:
            shutil.rmtree(new, ignore_errors=True)
    # Written anew each time: it names this checkout's interpreter and the folder's present place.
    _write_boot(root)
    return root


def python_of(root: Path) -> str:
    """Debian's own, which finds its library beside itself."""
    return str(root / "usr" / "bin" / "python3.11")


def _unpack_packages(root: Path) -> None:
    """By apt, from where this machine's own packages come."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "status").touch()
        arm64 = {"APT::Architecture": "arm64", "APT::Architectures": "arm64", "Dir::State::status": folder / "status"}
        apt = private_apt(folder, arm64)
        # A list of a third party that has no arm64 makes the update fail and matters to nobody: the next command decides.
        subprocess.run([*apt, "update"], capture_output=True, timeout=_DOWNLOAD_S, check=False)
        _run([*apt, "install", "--yes", "--download-only", "--no-install-recommends", *_PACKAGES])
        for archive in sorted((folder / "cache" / "archives").glob("*.deb")):
            _run(["dpkg-deb", "--extract", str(archive), str(root)])


def _unpack_wheels(root: Path, versions: list[str]) -> None:
    site = root / "usr" / "local" / "lib" / "python3.11" / "dist-packages"
    site.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
        about = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--only-binary=:all:"]
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--dest",
            folder,
            *platforms,
            *about,
            *versions,
        ]
        _run(command)
        for wheel in Path(folder).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)


def _write_boot(root: Path) -> None:
    """What each script is started by: ``$1`` is the script."""
    cpu = root / "sys-cpu"
    for core in range(os.cpu_count() or 1):
        topology = cpu / f"cpu{core}" / "topology"
        topology.mkdir(parents=True, exist_ok=True)
        (topology / "physical_package_id").write_text("0\n")
        (topology / "core_id").write_text(f"{core}\n")
    cores = f"0-{(os.cpu_count() or 1) - 1}\n"
    for name in ("possible", "present", "online"):
        (cpu / name).write_text(cores)
    (root / "cpuinfo").write_text(
        "".join(
            f"processor\t: {core}\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid\nCPU implementer\t: 0x41\n"
            "CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n"
            for core in range(os.cpu_count() or 1)
        )
    )
    rule = aarch64_rule(str(shutil.which(QEMU)))
    (root / "boot.sh").write_text(
        "set -e\n"
        f"mount -t binfmt_misc binfmt_misc {BINFMT}\n"
        # printf would read the rule's backslashes, which are the kernel's to read.
        f"cat > {BINFMT}/register <<'E'\n{rule}\nE\n"
        f"mount --bind {shlex.quote(str(cpu))} /sys/devices/system/cpu\n"
        f"mount --bind {shlex.quote(str(root / 'cpuinfo'))} /proc/cpuinfo\n"
        f"export QEMU_CPU={_CPU} QEMU_LD_PREFIX={shlex.quote(str(root))}\n"
        'exec /bin/sh -c "$1"\n'
    )


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=_DOWNLOAD_S)
