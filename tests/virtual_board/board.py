"""A whole virtual board: an sshd in a world of its own, with another machine's /etc, device tree, thermal zones and programs.

    with virtual_board(tmp_path / "board") as board:
        patch.setenv(CONFIGURATION, str(board.sshd.config))
        Remote(SshChannel.open(NAME))

It is a mount and a process namespace, as the virtual phone is; /etc, /usr/local, /sys/firmware and the thermal zones are its
own, all else is this machine's: its processors, kernel and libraries. It is a Jetson Orin Nano by its files (``samples``) and
stand-ins for its programs (``jetson_programs``); no GPU is in it.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgebench.measure.opening import BOARD_LOCK
from tests.virtual_board.jetson_programs import PROGRAMS, lay_out_jetson
from tests.virtual_board.sshd import Sshd, find_sshd, sshd
from tests.virtual_phone import host, live
from tests.virtual_phone.phone import NoPhone, namespaces, require_namespaces

MODEL = "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
COMPATIBLE = ("nvidia,p3768-0000+p3767-0005-super", "nvidia,p3767-0005", "nvidia,tegra234")
# The zones of the sample, of which three refuse to be read.
ZONES = {
    "cpu-thermal": "49468",
    "gpu-thermal": "50125",
    "cv0-thermal": "",
    "cv1-thermal": "",
    "cv2-thermal": "",
    "soc0-thermal": "50031",
    "soc1-thermal": "50531",
    "soc2-thermal": "48906",
    "tj-thermal": "50531",
}


@dataclass
class VirtualBoard:
    """Where its parts lie on this machine."""

    folder: Path
    sshd: Sshd

    @property
    def jetson(self) -> Path:
        """What its programs keep: mode, clocks, /etc's files of its own."""
        return self.folder / "local" / "jetson"

    def processes(self) -> list[tuple[int, tuple[str, ...]]]:
        """What runs there: this machine's number, and the command line."""
        world = self.sshd.world
        children = host.children(world) if world else []
        if not children:
            return []
        namespace = str(Path(f"/proc/{children[0]}/ns/pid").readlink())
        return [(pid, host.argv_of(pid)) for pid in live.pids_of_namespace(namespace)]

    def restart(self) -> None:
        """Ends everything there and boots it anew; what lies on its disk stays, its /tmp of locks does not."""
        self.sshd.stop()
        shutil.rmtree(self.folder / "lock")
        (self.folder / "lock").mkdir(mode=0o777)
        self.sshd.start()

    def read(self, name: str) -> str | None:
        """A state of its programs, such as ``mode``; None where there is none."""
        path = self.jetson / name
        return path.read_text().strip() if path.exists() else None


@contextmanager
def virtual_board(folder: Path, *, faulty: bool = True) -> Iterator[VirtualBoard]:
    """A running board; skips the test, with the reason, where this machine cannot have one."""
    if find_sshd() is None:
        pytest.skip("there is no sshd: apt-get install openssh-server")
    words = namespaces()
    try:
        require_namespaces(*words)
    except NoPhone as error:
        pytest.skip(str(error))
    folder.mkdir(parents=True)
    binds = _lay_out(folder)

    def within(command: Sequence[str]) -> list[str]:
        """Started by the world's first process."""
        boot = folder / "boot.json"
        (folder / "ready").unlink(missing_ok=True)
        config = {
            "root": str(folder / "root"),
            "binds": {place: str(what) for place, what in binds.items()},
            "cgroups": [],
            "aarch64_interpreter": None,
            "working_folder": str(host.CHECKOUT),
            "ready": str(folder / "ready"),
            "daemon": list(command),
            "environment": {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"},
        }
        boot.write_text(json.dumps(config), encoding="utf-8")
        return [*words, sys.executable, "-m", "tests.virtual_phone.phone_init", str(boot)]

    with sshd(folder / "ssh", faulty=faulty, within=within) as server:
        yield VirtualBoard(folder, server)


def _lay_out(folder: Path) -> dict[str, Path]:
    """Writes the board's files; what lies where on it."""
    (folder / "root").mkdir()
    # Bound over the one of this machine, which has to be there for that.
    Path(BOARD_LOCK).mkdir(mode=0o777, exist_ok=True)
    (folder / "lock").mkdir(mode=0o777)
    jetson = folder / "local" / "jetson"
    lay_out_jetson(jetson)
    programs = folder / "local" / "bin"
    programs.mkdir()
    for name, text in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\nexport JETSON=/usr/local/jetson\n{text}")
        (programs / name).chmod(0o755)
    etc = folder / "etc"
    # What root alone may read is not needed, and not every user of this machine is root.
    with suppress(shutil.Error):
        shutil.copytree("/etc", etc, symlinks=True, ignore=shutil.ignore_patterns("ssl", "alternatives-unused"))
    for file in (jetson / "etc").iterdir():
        shutil.copy(file, etc / file.name)
    (etc / "os-release").unlink(missing_ok=True)
    (etc / "os-release").write_text('NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n')
    tree = folder / "firmware" / "devicetree" / "base"
    tree.mkdir(parents=True)
    (tree / "model").write_text(f"{MODEL}\0")
    (tree / "compatible").write_text("".join(f"{each}\0" for each in COMPATIBLE))
    (tree / "serial-number").write_text("1421023012345\0")
    thermal = folder / "thermal"
    for number, (kind, temp) in enumerate(ZONES.items()):
        zone = thermal / f"thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "type").write_text(f"{kind}\n")
        if temp:
            (zone / "temp").write_text(f"{temp}\n")
    return {
        "/etc": etc,
        BOARD_LOCK: folder / "lock",
        "/usr/local": folder / "local",
        "/sys/firmware": folder / "firmware",
        "/sys/class/thermal": thermal,
    }
