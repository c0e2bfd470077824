"""AOSP's adbd for this machine: the phone's own end of ADB, so that nothing but a phone is left to imitate.

It is built from Debian's source package, whose files are pinned by hash, with two edits of one line, and kept in the cache.
The packages that it takes are in the Makefile's TEST_PACKAGES.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edgebench.files import cache_root, sha256_bytes, sha256_file
from edgebench.transport.local import run_to_end, tail
from tests.private_apt import private_apt

PACKAGE = "android-platform-tools"
VERSION = "29.0.6-28"
SOURCES = {
    f"{PACKAGE}_{VERSION}.dsc": "a322e569f5f4d57c4b7ef1486182431be787895f60dc00b6d3ff489f894f97e4",
    f"{PACKAGE}_29.0.6.orig.tar.gz": "dbd241642af17fe545a91c4b54d79867f94abfb64c1f4ed759aea5b85334a633",
    f"{PACKAGE}_{VERSION}.debian.tar.xz": "ae5d25152029cbdfc5c1b846a81d23ea30067a2638a94fa3cb9a8c867cf88bae",
}
# Where the folder of this module is imported, not where it is used: tests get a cache of their own.
CACHE = cache_root() / "tests" / "adbd"


@dataclass(frozen=True)
class Edit:
    """``old`` stands exactly once in ``file``, and becomes ``new``."""

    file: str
    old: str
    new: str


EDITS = (
    # Outside Android there are no properties to name the address by, and the default is every address of the machine.
    Edit(
        "system/core/adb/daemon/main.cpp",
        'std::string prop_addr = android::base::GetProperty("service.adb.listen_addrs", "");',
        'std::string prop_addr = getenv("ADBD_LISTEN_ADDRS") ? getenv("ADBD_LISTEN_ADDRS") : "";',
    ),
    # A socket that listens well may leave an old EINVAL in errno: the thread took that for its end.
    Edit(
        "system/core/adb/transport_local.cpp",
        "if (errno == EAFNOSUPPORT || errno == EINVAL || errno == EPROTONOSUPPORT) {",
        "if (serverfd < 0 && (errno == EAFNOSUPPORT || errno == EINVAL || errno == EPROTONOSUPPORT)) {",
    ),
)

_ADB = "system/core/adb"
FILES = (
    *(
        f"{_ADB}/{name}.cpp"
        for name in (
            *("adb", "adb_io", "adb_listeners", "adb_trace", "adb_unique_fd", "adb_utils", "services", "sockets"),
            *("shell_service_protocol", "socket_spec", "sysdeps_unix", "sysdeps/errno", "sysdeps/posix/network"),
            *("transport", "transport_fd", "transport_local", "transport_usb", "types"),
            *("fdevent/fdevent", "fdevent/fdevent_epoll", "fdevent/fdevent_poll", "adbconnection/adbconnection_server"),
            *("daemon/auth", "daemon/file_sync_service", "daemon/jdwp_service", "daemon/main", "daemon/services"),
            *("daemon/shell_service", "daemon/usb_dummy"),
        )
    ),
    "system/core/diagnose_usb/diagnose_usb.cpp",
    "frameworks/native/libs/adbd_auth/adbd_auth.cpp",
    "system/core/libcrypto_utils/android_pubkey.c",
)
FLAGS = (
    *(
        "-O2",
        "-fPIE",
        "-w",
        "-D_GNU_SOURCE",
        "-DADB_HOST=0",
        "-DALLOW_ADBD_ROOT=1",
        '-DPLATFORM_TOOLS_VERSION="29.0.6"',
    ),
    "-I/usr/include/android",
    *(f"-I{_ADB}{folder}" for folder in ("", "/daemon", "/daemon/include", "/adbconnection/include")),
    *(
        f"-Isystem/core/{folder}/include"
        for folder in ("base", "diagnose_usb", ".", "libcrypto_utils", "libcutils", "liblog", "libasyncio")
    ),
    "-Iframeworks/native/libs/adbd_auth/include",
)
# The sources count on headers that bring these along, which libstdc++'s do not.
CXX_FLAGS = ("-std=gnu++2a", "-include", "optional", "-include", "atomic")
LIBRARIES = ("base", "cutils", "log", "crypto", "cap", "resolv", "util", "pthread")

# Program or header, and the Debian package that brings it.
NEEDS = {
    "apt-get": "apt",
    "dpkg-source": "dpkg-dev",
    "clang++": "clang",
    "/usr/include/sys/capability.h": "libcap-dev",
    "/usr/include/android/openssl/rsa.h": "android-libboringssl-dev",
    "/usr/include/android/android-base/logging.h": "android-libbase-dev",
    "/usr/include/android/cutils/sockets.h": "android-libcutils-dev",
    "/usr/include/android/log/log.h": "android-liblog-dev",
}
_QUICK_TIMEOUT_S = 120.0
_DOWNLOAD_TIMEOUT_S = 600.0


class Unavailable(Exception):
    """This machine cannot build adbd, through no fault of the recipe: a package or the way to the source is missing."""


class BuildFailed(Exception):
    """The recipe is wrong: another source than the pinned one, an edit without its place, a compiler's error."""


def adbd() -> Path:
    """The program, from the cache where it was built before (30 s and 75 MB of download). Raises Unavailable or BuildFailed."""
    program = CACHE / recipe_key() / "adbd"
    if not program.is_file():
        _require_packages()
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=".build-") as scratch:
            folder = Path(scratch)
            build(unpack(download(folder), folder), folder / "adbd")
            program.parent.mkdir(exist_ok=True)
            (folder / "adbd").replace(program)
    return program


def recipe_key() -> str:
    """What the program is made of: other sources, edits or flags give another one."""
    recipe = (*SOURCES.values(), *map(repr, EDITS), *FILES, *FLAGS, *CXX_FLAGS, *LIBRARIES)
    return sha256_bytes("\0".join(recipe).encode())[:32]


def source_lists(folder: Path) -> Path:
    """The machine's own apt sources as ``folder``, asking for source packages instead of binary ones."""
    folder.mkdir()
    found = _said(["apt-config", "shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"])
    named = dict(re.findall(r"^(\w+)='(.*)'$", found, re.MULTILINE))
    originals = [Path(named["LIST"]), *sorted(Path(named["PARTS"]).iterdir())] if named else []
    for original in originals:
        # As apt does, by the ending alone: a switched-off list has another one.
        if original.suffix in (".list", ".sources") and original.is_file():
            (folder / original.name).write_text(ask_for_sources(original.read_text(encoding="utf-8")), encoding="utf-8")
    return folder


def ask_for_sources(text: str) -> str:
    """The one-line format and the deb822 one; lines that already ask for sources stay."""
    text = re.sub(r"^deb(?=[ \t])", "deb-src", text, flags=re.MULTILINE)
    return re.sub(r"^Types:.*$", "Types: deb-src", text, flags=re.MULTILINE)


def download(folder: Path) -> Path:
    """Fetches the source package into ``folder`` with lists and caches of its own; the machine's stay as they are.

    Returns the .dsc. Raises Unavailable where apt does not get it, BuildFailed where it gets something else.
    """
    sources = {"Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": source_lists(folder / "sources")}
    apt = private_apt(folder, sources)
    log = folder / "apt.log"
    # A list without sources, of a third party, makes the update fail and matters to nobody: the next command decides.
    run_to_end([*apt, "update"], log, _DOWNLOAD_TIMEOUT_S)
    wanted = f"{PACKAGE}={VERSION}"
    done = _logged([*apt, "source", "--download-only", "--only-source", wanted], log, folder, _DOWNLOAD_TIMEOUT_S)
    if not done:
        raise Unavailable(f"apt does not get the source of {wanted}: {tail(log, 400)}")
    for name, sha256 in SOURCES.items():
        if not (folder / name).is_file() or sha256_file(folder / name) != sha256:
            raise BuildFailed(f"{name} is not the file that this recipe was written for: its SHA-256 must be {sha256}")
    return folder / f"{PACKAGE}_{VERSION}.dsc"


def unpack(dsc: Path, folder: Path) -> Path:
    """The source with Debian's patches and the edits of this recipe."""
    tree, log = folder / "tree", folder / "unpack.log"
    # The hashes are pinned above: Debian's keyring would add nothing.
    if not _logged(["dpkg-source", "--no-check", "-x", str(dsc), str(tree)], log, folder, _QUICK_TIMEOUT_S):
        raise BuildFailed(f"cannot unpack {dsc.name}: {tail(log, 800)}")
    for edit in EDITS:
        apply(edit, tree)
    return tree


def apply(edit: Edit, tree: Path) -> None:
    """Raises BuildFailed where the place is not there, or there twice."""
    file = tree / edit.file
    text = file.read_text(encoding="utf-8")
    if (found := text.count(edit.old)) != 1:
        raise BuildFailed(f"{edit.file} holds the line to edit {found} times: {edit.old}")
    file.write_text(text.replace(edit.old, edit.new), encoding="utf-8")


def build(tree: Path, program: Path) -> None:
    """Compiles two files at a time, and links."""
    objects = tree / "objects"
    objects.mkdir()

    def compile_one(file: str) -> str:
        compiler = ["clang"] if file.endswith(".c") else ["clang++", *CXX_FLAGS]
        made = objects / f"{file.replace('/', '_')}.o"
        _must([*compiler, *FLAGS, "-c", file, "-o", str(made)], made.with_suffix(".log"), tree)
        return str(made)

    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(compile_one, FILES))
    libraries = f"/usr/lib/{_said(['dpkg-architecture', '-qDEB_HOST_MULTIARCH']).strip()}/android"
    linked = [f"-L{libraries}", f"-Wl,-rpath={libraries}", *(f"-l{name}" for name in LIBRARIES), "-pie"]
    _must(["clang++", "-o", str(program), *made, *linked], objects / "link.log", tree)


def _require_packages() -> None:
    missing = {
        package
        for need, package in NEEDS.items()
        if not (Path(need).is_file() if need.startswith("/") else shutil.which(need))
    }
    if missing:
        raise Unavailable(f"adbd is not built here, packages are missing: apt-get install {' '.join(sorted(missing))}")


def _logged(argv: Sequence[str], log: Path, folder: Path, timeout_s: float) -> bool:
    return run_to_end(["env", "-C", str(folder), *argv], log, timeout_s) == 0


def _must(argv: Sequence[str], log: Path, folder: Path) -> None:
    if not _logged(argv, log, folder, _QUICK_TIMEOUT_S):
        raise BuildFailed(f"{' '.join(argv)} failed:\n{tail(log, 2000)}")


def _said(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_QUICK_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise BuildFailed(f"{' '.join(argv)} failed: {done.stderr.strip()}")
    return done.stdout
