"""A whole virtual board: an sshd in a world of its own, with another machine's /etc, device tree, thermal zones and programs.

    with virtual_board(tmp_path / "board") as board:
        patch.setenv(CONFIGURATION, str(board.sshd.config))
        Remote(SshChannel.open(NAME))

It is a mount and a process namespace, as the virtual phone is; /etc, /usr/local, /sys/firmware, the thermal zones and
frequencies are its own, all else is this machine's: its processors, kernel and libraries. It is a Jetson Orin Nano by its files
(``samples``) and stand-ins for its programs (``jetson_programs``); no GPU is in it. It heats as it computes (``heated``).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from edgebench.measure.reaching import BOARD_LOCK
from tests.virtual_board.jetson_programs import PROGRAMS, lay_out_jetson
from tests.virtual_board.sshd import Sshd, find_sshd, sshd
from tests.virtual_phone import world
from tests.virtual_phone.clocked import CLOCK_VARIABLE
from tests.virtual_phone.heated import HeatedDevice
from tests.virtual_phone.live import Control, HeatFiles
from tests.virtual_phone.phone_files import lay_out_cores
from tests.virtual_phone.profiles import Core, HeatProfile, Zone
from tests.virtual_phone.thermal_sets import ORIN_NANO
from tests.virtual_phone.world import NoWorld, require_namespaces

MODEL = "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
COMPATIBLE = ("nvidia,p3768-0000+p3767-0005-super", "nvidia,p3767-0005", "nvidia,tegra234")
# The zones of the sample, of which three refuse to be read.
HEAT = HeatProfile(
    zones=tuple(
        Zone(kind, "" if kind.startswith("cv") else "soc")
        for kind in (
            "cpu-thermal",
            "gpu-thermal",
            "cv0-thermal",
            "cv1-thermal",
            "cv2-thermal",
            "soc0-thermal",
            "soc1-thermal",
            "soc2-thermal",
            "tj-thermal",
        )
    ),
    thermal=ORIN_NANO,
    cores=(Core(1_344_000, min_khz=729_600),) * 2,
)


# As a board's init does: sshd is started again when it ends.
_INIT = 'while :; do "$0" "$@"; sleep 1; done'


class VirtualBoard(HeatedDevice):
    """A board whose disk is ``folder``; its world lives as long as its sshd."""

    # Set as soon as it listens.
    sshd: Sshd

    def __init__(self, folder: Path, control: Control | None = None) -> None:
        super().__init__(folder, HEAT, control)
        self.binds = _lay_out(folder, self.files)

    @property
    def jetson(self) -> Path:
        """What its programs keep: mode, clocks, /etc's files of its own."""
        return self.folder / "local" / "jetson"

    @property
    def files(self) -> HeatFiles:
        """Those that thermald keeps up to date."""
        return HeatFiles(
            live=self.jetson / "live",
            clock=self.folder / "local" / "clock",
            cpu=self.folder / "cpu",
            thermal=self.folder / "thermal",
        )

    def processes(self) -> list[tuple[int, tuple[str, ...]]]:
        """What runs there: this machine's number, and the command line."""
        if self.sshd.world is None:
            return []
        # It may be starting, or have ended.
        with suppress(OSError, RuntimeError):
            return world.processes(world.pid_namespace(self.sshd.world))
        return []

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

    def within(self, command: Sequence[str]) -> list[str]:
        """The command, started by the world's first process."""
        order = world.WorldOrder(
            binds={place: str(what) for place, what in self.binds.items()},
            cgroups=self.join(),
            daemon=["/bin/sh", "-c", _INIT, *command],
            environment={"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"},
        )
        return world.command(self.folder, order)


@contextmanager
def virtual_board(folder: Path, *, faulty: bool = True, control: Control | None = None) -> Iterator[VirtualBoard]:
    """A running board; skips the test, with the reason, where this machine cannot have one."""
    if find_sshd() is None:
        pytest.skip("there is no sshd: apt-get install openssh-server")
    try:
        require_namespaces()
    except NoWorld as error:
        pytest.skip(str(error))
    folder.mkdir(parents=True)
    board = VirtualBoard(folder, control)
    environment = {CLOCK_VARIABLE: str(board.files.clock)}
    try:
        with sshd(folder / "ssh", faulty=faulty, within=board.within, environment=environment) as board.sshd:
            assert board.sshd.world is not None
            board.heat(board.files, world.pid_namespace(board.sshd.world))
            yield board
    finally:
        board.cool()


def _lay_out(folder: Path, files: HeatFiles) -> dict[str, Path]:
    """Writes the board's files; what lies where on it."""
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
    for number, zone in enumerate(HEAT.zones):
        place = files.thermal / f"thermal_zone{number}"
        place.mkdir(parents=True)
        (place / "type").write_text(f"{zone.type}\n")
    lay_out_cores(HEAT.cores, files.cpu)
    return {
        "/etc": etc,
        BOARD_LOCK: folder / "lock",
        "/usr/local": folder / "local",
        "/sys/firmware": folder / "firmware",
        "/sys/class/thermal": files.thermal,
        "/sys/devices/system/cpu": files.cpu,
    }
