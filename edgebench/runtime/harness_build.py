"""Builds the native harness: ncnn from its pinned source, then one static binary an ABI, both cached by content."""

from __future__ import annotations

import platform
import re
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edgebench.errors import ConversionFailed, LaunchFailed, NotInstalled, UsageError
from edgebench.events import Emit, Progressed, StageFinished, StageStarted, ignore
from edgebench.files import cache_root, full_disk_is_said, prebuilt_file, sha256_bytes, sha256_file, shipped_folder
from edgebench.runtime.abis import JSON_HEADER, Abi, compiler_of, get_abi, host_abi, missing_packages
from edgebench.transport.local import run_to_end, tail

# ncnn's source is on PyPI as the sdist of its wheel; nothing else is downloaded.
NCNN_VERSION = "1.0.20261020"
NCNN_SHA256 = "ad8cdd63e9755cfa8e23b9b6d9ce46156077d80298a89e7c3ba325ffccfca200"
_NCNN_OPTIONS = (
    f"-DNCNN_VERSION={NCNN_VERSION.rpartition('.')[2]}",
    "-DNCNN_BENCHMARK=ON",
    "-DNCNN_OPENMP=ON",
    # It sleeps on mutexes: depthwise layers took 6 times as long at two threads.
    "-DNCNN_SIMPLEOMP=OFF",
    *(f"-DNCNN_BUILD_{part}=OFF" for part in ("TOOLS", "EXAMPLES", "TESTS", "BENCHMARK")),
    "-DNCNN_PYTHON=OFF",
)
_NINJA = re.compile(r"\[(\d+)/(\d+)\]")
# ncnn takes 1 to 12 minutes on two cores, by ABI.
_BUILD_TIMEOUT_S = 3600.0
_QUICK_TIMEOUT_S = 120.0
_AGENT = Path(__file__).resolve().parents[1] / "agent"


@dataclass(frozen=True)
class Harness:
    """A built harness. ``toolchain`` is the compiler's own words."""

    path: Path
    abi: str
    sha256: str
    toolchain: str


@dataclass(frozen=True)
class Ndk:
    """Google's NDK instead of Debian's compilers: a bionic build, with the GPU where ``vulkan``."""

    folder: Path
    vulkan: bool


def find_harness(abi: str) -> Harness | None:
    """The harness that is there without building: shipped in the wheel, or built before from these very sources."""
    shipped = prebuilt_file(f"edgebench_harness-{abi}")
    if shipped is not None:
        return Harness(shipped, abi, sha256_file(shipped), "prebuilt")
    try:
        built = _Build(get_abi(abi), None, cache_root()).target
    except NotInstalled:
        return None
    return _harness(built, abi) if built.is_file() else None


def needed_to_build(abi: str) -> tuple[str, ...]:
    """The commands that are to be run on this machine before a harness for ``abi`` can be built; none where nothing is missing.
    Raises UnknownName."""
    packages = missing_packages(get_abi(abi))
    mends = [f"apt-get install {' '.join(packages)}"] if packages else []
    # Where ncnn was built before, or its compiler is missing, nobody downloads it yet.
    built = not packages and _Build(get_abi(abi), None, cache_root()).has_ncnn
    if not built and find_spec("unearth") is None:
        mends.append("pip install unearth")
    return tuple(mends)


def build_harness(
    abi: str, emit: Emit, *, ndk: Ndk | None = None, ncnn_source: Path | None = None, cache: Path | None = None
) -> Harness:
    """The harness for ``abi``, from the cache where its sources, options and compiler are the same.

    Raises UnknownName, NotInstalled with the package to install, UsageError for an NDK or a source that is none,
    ConversionFailed with the end of the build's log.
    """
    build = _Build(get_abi(abi), ndk, cache or cache_root())
    if not build.target.is_file():
        build.make(emit, ncnn_source)
    return _harness(build.target, abi)


def build_aside(folder: Path, program: str, *options: str) -> Path:
    """A program of this machine's harness, built in ``folder`` with more options for CMake, and kept nowhere else: with
    sanitizers, or ``overhead``, which measures what the harness itself costs.

    Not in an installed wheel: some of the sources lie in the checkout alone.
    """
    abi = host_abi()
    if abi is None:
        raise UsageError("there is no harness for this processor", hint="run it on a machine of a known ABI")
    build_harness(abi, ignore)
    build = _Build(get_abi(abi), None, cache_root())
    build.compile(folder, [*build.options(folder.parent), *options], program, ignore)
    return folder / program


def build_with_clock(abi: str, clock_source: Path, emit: Emit, *, cache: Path | None = None) -> Harness:
    """A harness for tests, whose clock_gettime is the ``__wrap_clock_gettime`` of this C++ source; cached as the others are.

    The source may include headers that lie beside it. Raises as ``build_harness`` does.
    """
    build = _Build(get_abi(abi), None, cache or cache_root(), clock_source)
    if not build.target.is_file():
        build.make(emit, None)
    return _harness(build.target, abi)


def _harness(path: Path, abi: str) -> Harness:
    toolchain = path.with_suffix(".toolchain")
    return Harness(path, abi, sha256_file(path), toolchain.read_text(encoding="utf-8"))


class _Build:
    """One ABI's build: what goes into it, and where it is kept."""

    def __init__(self, abi: Abi, ndk: Ndk | None, cache: Path, clock_source: Path | None = None) -> None:
        self._abi = abi
        self._clock_source = clock_source
        self._ndk = ndk
        self._cache = cache
        self._sources = shipped_folder("android_harness")
        self._configure, self.toolchain = _toolchain(abi, ndk)
        vulkan = ndk is not None and ndk.vulkan
        ncnn_key = sha256_bytes(
            "\0".join((NCNN_SHA256, abi.name, self.toolchain, str(vulkan), *_NCNN_OPTIONS)).encode()
        )
        self._ncnn = cache / "ncnn" / ncnn_key[:32]
        sources = [*sorted(self._sources.glob("src/*")), self._sources / "CMakeLists.txt", _AGENT / "canary.c"]
        if clock_source is not None:
            sources += [clock_source, *sorted(clock_source.parent.glob("*.h"))]
        self._version = sha256_bytes(b"".join(path.read_bytes() for path in sources))[:12]
        key = sha256_bytes(f"{ncnn_key}\0{self._version}".encode())
        self.target = cache / "harness" / key[:32] / f"edgebench_harness-{abi.name}"

    @property
    def has_ncnn(self) -> bool:
        """Whether ncnn was built before."""
        return (self._ncnn / "lib").is_dir()

    def make(self, emit: Emit, ncnn_source: Path | None) -> None:
        """Builds what is missing, aside, and moves it into its place: a second process sees nothing or all of it."""
        if missing := missing_packages(self._abi):
            raise NotInstalled(
                f"to build the harness {', '.join(missing)} are missing",
                hint=f"run: apt-get install {' '.join(missing)}",
            )
        with full_disk_is_said(self.target):
            self._cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._cache, prefix=".build-") as scratch:
                folder = Path(scratch)
                if not self.has_ncnn:
                    self._make_ncnn(folder, emit, ncnn_source)
                self._make_harness(folder / "harness", emit)

    def _make_ncnn(self, folder: Path, emit: Emit, ncnn_source: Path | None) -> None:
        stage = f"ncnn {NCNN_VERSION} for {self._abi.name}"
        emit(StageStarted(stage, "(minutes, once)"))
        source = _unpack(ncnn_source or _download(folder), folder)
        prefix, build = folder / "prefix", folder / "ncnn-build"
        vulkan = "ON" if self._ndk is not None and self._ndk.vulkan else "OFF"
        self._cmake(
            source, build, [*_NCNN_OPTIONS, f"-DNCNN_VULKAN={vulkan}", f"-DCMAKE_INSTALL_PREFIX={prefix}"], stage, emit
        )
        _logged(["cmake", "--install", str(build)], build / "install.log", _QUICK_TIMEOUT_S)
        _move(prefix, self._ncnn)
        emit(StageFinished(stage))

    def _make_harness(self, build: Path, emit: Emit) -> None:
        stage = f"harness for {self._abi.name}"
        emit(StageStarted(stage))
        self.compile(build, self.options(build.parent), stage, emit)
        (build / self.target.with_suffix(".toolchain").name).write_text(self.toolchain, encoding="utf-8")
        self.target.parent.mkdir(parents=True, exist_ok=True)
        (build / self.target.with_suffix(".toolchain").name).replace(self.target.with_suffix(".toolchain"))
        (build / "edgebench_harness").replace(self.target)
        emit(StageFinished(stage, f"{self.target.stat().st_size / 1e6:.1f} MB"))

    def options(self, folder: Path) -> list[str]:
        """CMake's options for the harness beside those of the compiler; ``folder`` takes the link to JSON's headers."""
        clock = [] if self._clock_source is None else [f"-DHARNESS_CLOCK_OBJECT={self._clock_source}"]
        return [
            f"-Dncnn_DIR={self._ncnn / 'lib' / 'cmake' / 'ncnn'}",
            f"-DCANARY_SOURCE={_AGENT / 'canary.c'}",
            f"-DHARNESS_VERSION={self._version}",
            f"-DJSON_INCLUDE={_json_headers(folder)}",
            *clock,
        ]

    def compile(self, build: Path, options: Sequence[str], stage: str, emit: Emit) -> None:
        """Configures and builds the harness's own sources in ``build``."""
        self._cmake(self._sources, build, options, stage, emit)

    def _cmake(self, source: Path, build: Path, options: Sequence[str], stage: str, emit: Emit) -> None:
        build.mkdir()
        configure = ["cmake", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", *self._configure, *options]
        _logged([*configure, "-S", str(source), "-B", str(build)], build / "configure.log", _QUICK_TIMEOUT_S)

        def line(text: str) -> None:
            if found := _NINJA.match(text):
                emit(Progressed(stage, int(found[1]), int(found[2]), "files"))

        run = run_to_end(["cmake", "--build", str(build)], build / "build.log", _BUILD_TIMEOUT_S, on_line=line)
        _check(run, build / "build.log", stage)


def _toolchain(abi: Abi, ndk: Ndk | None) -> tuple[list[str], str]:
    """CMake's options for the ABI's compiler, and what the compiler calls itself. Raises NotInstalled or UsageError."""
    if ndk is not None:
        file = ndk.folder / "build" / "cmake" / "android.toolchain.cmake"
        if not file.is_file() or abi.name not in ("arm64-v8a", "armeabi-v7a", "x86_64"):
            raise UsageError(
                f"{ndk.folder} is no Android NDK for {abi.name}",
                hint="give --ndk the folder that holds build/cmake/android.toolchain.cmake, and an ABI of Android",
            )
        revision = (ndk.folder / "source.properties").read_text(encoding="utf-8").strip().splitlines()[-1]
        options = [
            f"-DCMAKE_TOOLCHAIN_FILE={file}",
            f"-DANDROID_ABI={abi.name}",
            "-DANDROID_PLATFORM=android-24",
        ]
        return options, f"NDK {revision}"
    compiler = compiler_of(abi)
    if compiler is None:
        raise NotInstalled(f"no compiler for {abi.name}", hint=f"run: apt-get install {abi.package}")
    flags = " ".join(abi.flags)
    options = [
        f"-DCMAKE_CXX_COMPILER={compiler}",
        f"-DCMAKE_C_COMPILER={compiler.removesuffix('g++')}gcc",
        f"-DCMAKE_C_FLAGS={flags}",
        f"-DCMAKE_CXX_FLAGS={flags}",
    ]
    if abi.machine != platform.machine():
        processor = "arm" if abi.machine == "armv7l" else abi.machine
        options += ["-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_SYSTEM_PROCESSOR={processor}"]
    log = _first_line([compiler, "--version"])
    return options, f"{log} {flags}".strip()


def _json_headers(folder: Path) -> Path:
    """A folder with nlohmann/json.hpp alone: a cross compiler must see nothing else of this machine's headers."""
    link = folder / "include"
    link.mkdir()
    (link / "nlohmann").symlink_to(JSON_HEADER.parent)
    return link


def _download(folder: Path) -> Path:
    """ncnn's source distribution. pip cannot fetch it alone: its metadata names the day it was built."""
    wanted = f"ncnn=={NCNN_VERSION}"
    log = folder / "download.log"
    try:
        _logged([sys.executable, "-m", "unearth", "--no-binary", "-d", str(folder), wanted], log, _QUICK_TIMEOUT_S)
    except ConversionFailed as error:
        raise NotInstalled(
            f"cannot download {wanted}: {error.message}",
            hint="pip install unearth, or give the source with --ncnn-source FILE (the sdist of ncnn on PyPI)",
        ) from error
    return folder / f"ncnn-{NCNN_VERSION}.tar.gz"


def _unpack(archive: Path, folder: Path) -> Path:
    """Raises UsageError where the archive is not the pinned one."""
    if not archive.is_file() or sha256_file(archive) != NCNN_SHA256:
        raise UsageError(
            f"{archive} is not the source of ncnn {NCNN_VERSION} that this harness was tested with",
            hint=f"its SHA-256 must be {NCNN_SHA256}",
        )
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder / f"ncnn-{NCNN_VERSION}"


def _move(made: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        made.rename(place)
    except OSError:
        # Another process was first: its build is the same.
        if not place.is_dir():
            raise


def _logged(argv: Sequence[str], log: Path, timeout_s: float) -> None:
    _check(run_to_end(argv, log, timeout_s), log, " ".join(argv[:2]))


def _check(status: int | None, log: Path, what: str) -> None:
    if status == 0:
        return
    how = "took too long" if status is None else f"ended with status {status}"
    raise ConversionFailed(f"{what} {how}:\n{tail(log, 1500)}", hint="mend what the log's end says, and build again")


def _first_line(argv: Sequence[str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        if run_to_end(argv, log, _QUICK_TIMEOUT_S) != 0:
            raise LaunchFailed(f"{argv[0]} does not run: {tail(log)}", hint="install it again")
        return tail(log).splitlines()[0]
