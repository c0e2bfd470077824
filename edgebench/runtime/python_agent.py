"""The Python agent on a board, sent as one reproducible file, and the Python there that runs it."""

from __future__ import annotations

import re
import shlex
import zipfile
from collections.abc import Mapping
from pathlib import Path

from edgebench.device.canary_build import canary_library_for
from edgebench.errors import DeviceRefused, NotInstalled
from edgebench.files import cache_root, full_disk_is_said, sha256_bytes, sha256_file, write_atomic
from edgebench.records import Plan, Trace
from edgebench.runtime.abis import get_abi
from edgebench.runtime.monitors import Monitor, monitored
from edgebench.runtime.onnxruntime import CPU
from edgebench.runtime.remote_agent import Asked, Site, There

_TRY_S = 30.0
_AGENT = Path(__file__).resolve().parents[1] / "agent"
_PACKAGE = "edgebench_agent"
# A zip file knows no earlier day; with the time of day in it no two would be equal.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_OLDEST_PYTHON = (3, 8)
# Newest first: a board may have several, and the plain name may be the oldest.
_PYTHONS = ("python3", *(f"python3.{minor}" for minor in range(14, 7, -1)))
# What a package is too old for us without: tensors by name, since 8.5.
_NEEDS = {"tensorrt": "p.IExecutionContext.execute_async_v3"}
_SAID = re.compile(r"^python ([0-9]+)\.([0-9]+) (\S+) (.+)$", re.MULTILINE)


class PythonAgent:
    """The Python agent as one zip file, for the device's Python ``python``, else the first that can import ``package``.

    The device's monitor runs beside it where that is ``monitored`` whatever computes, or where a GPU does.
    """

    builds = False

    def __init__(self, abi: str, package: str, python: str | None = None, *, monitored: bool = False) -> None:
        self._own = python
        self._abi = abi
        self._package = package
        self._python: str | None = None
        self._version = ""
        self._monitored = monitored
        self._monitor = Monitor()

    def made(self) -> None:
        """See RemoteAgent."""
        agent_zip()

    def identity(self, device: Asked) -> str:
        """See RemoteAgent."""
        self._find(device)
        return f"python agent {sha256_file(agent_zip())}, {self._package} {self._version}"

    def ready(self, there: There, device: Asked) -> str:
        """See RemoteAgent."""
        return f"{self._find(device)} {shlex.quote(there(agent_zip(), False))}"

    def version(self, device: Asked) -> str:
        """See RemoteAgent."""
        self._find(device)
        return self._version

    def planned(self, plan: Plan, site: Site) -> Plan:
        """See RemoteAgent."""
        on_gpu = plan.options.get("provider", CPU) != CPU
        return self._monitor.beside(plan, site) if self._monitored or on_gpu else plan

    def adapted(self, trace: Trace, plan: Plan) -> Trace:
        """See RemoteAgent."""
        del plan
        return monitored(trace)

    def canary_library(self) -> Path | None:
        """See RemoteAgent. Without a cross compiler numpy does the work, and the trace says so."""
        return canary_library_for(f"{get_abi(self._abi).compiler}-gcc", self._abi)

    def _find(self, device: Asked) -> str:
        """Raises as ``find_python``."""
        if self._python is None:
            self._python, self._version = find_python(device, self._package, self._own)
        return self._python


def find_python(device: Asked, package: str, own: str | None = None) -> tuple[str, str]:
    """The first Python there that is new enough and imports ``package``, quoted for a shell, and that one's version.

    Only ``own`` is asked where it is named. Raises NotInstalled, DeviceRefused.
    """
    candidates = (own,) if own else _PYTHONS
    # Importing it is the only way to know that it works there, and takes seconds on a small board.
    code = (
        "import sys\nv = sys.version_info\nfound = 'none'\n"
        f"try:\n import {package} as p\n {_NEEDS.get(package, 'pass')}\n found = p.__version__\n"
        "except Exception as e:\n sys.stderr.write('%s: %s\\n' % (sys.executable, e))\n"
        "print('python %d.%d %s %s' % (v[0], v[1], found, sys.executable))"
    )
    lines = [
        f"command -v {name} >/dev/null 2>&1 && {name} -c {shlex.quote(code)}" for name in map(shlex.quote, candidates)
    ]
    ran = device.run_script("\n".join([*lines, "true"]), timeout_s=_TRY_S * 4)
    found = [((int(each[1]), int(each[2])), each[4], each[3]) for each in _SAID.finditer(ran.output)]
    new = [each for each in found if each[0] >= _OLDEST_PYTHON]
    for _, path, version in new:
        if version != "none":
            return shlex.quote(path), version
    if not found:
        raise DeviceRefused(
            f"the device has no {candidates[0]}, which {package} needs",
            hint="install python3 there, or use --runtime ncnn, which needs nothing",
        )
    if not new:
        newest = ".".join(map(str, max(each[0] for each in found)))
        raise DeviceRefused(
            f"the device's Python is {newest}: {package} runs from {'.'.join(map(str, _OLDEST_PYTHON))} on here",
            hint="use --runtime ncnn, which needs no Python (a JetPack 4 board also has trtexec)",
        )
    raise NotInstalled(
        f"{package} cannot be imported on the device by {', '.join(each[1] for each in new)}",
        hint=f"log in there and run: {new[0][1]} -m pip install {package} (on a Jetson: NVIDIA's wheel); or name a "
        "Python that has it with `python:` in a target's file",
    )


def agent_zip() -> Path:
    """The Python agent as a zip file that ``python3`` runs; the same bytes wherever it is made. Kept under the cache."""
    sources = {path.relative_to(_AGENT).as_posix(): path.read_bytes() for path in sorted(_AGENT.rglob("*.py"))}
    entry = f"import sys\n\nfrom {_PACKAGE}.__main__ import main\n\nsys.exit(main())\n"
    files = {"__main__.py": entry.encode(), **{f"{_PACKAGE}/{name}": data for name, data in sources.items()}}
    key = sha256_bytes(b"\0".join(part for name, data in files.items() for part in (name.encode(), data)))
    path = cache_root() / "agent" / f"{key[:32]}.zip"
    if not path.is_file():
        with full_disk_is_said(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, _zipped(files))
    return path


def _zipped(files: Mapping[str, bytes]) -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    # Stored, not deflated: zlib's versions do not write the same bytes.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, data)
    return buffer.getvalue()
