"""What heats and throttles a device of tests: its processes are a control group, and thermald keeps its files up to date."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.virtual_phone import host, live
from tests.virtual_phone.live import Control, HeatFiles, LogRow
from tests.virtual_phone.profiles import HeatProfile
from tests.virtual_phone.quota import Group, GroupV1, GroupV2, NoGroups, make_group

_number = itertools.count()


class HeatedDevice:
    """A device whose disk is ``folder``. Whoever has its world calls ``join`` before it, ``heat`` in it, ``cool`` after it."""

    def __init__(self, folder: Path, profile: HeatProfile, control: Control | None = None) -> None:
        self.folder = folder
        self.group: Group | None = None
        # Why there is no control group, and so no quota.
        self.no_group = ""
        self._heat_profile = profile
        self._control = control or Control()
        self._thermald: subprocess.Popen[bytes] | None = None

    @property
    def control(self) -> Control:
        """What is in force."""
        return self._control

    def set(self, **changes: Any) -> None:
        """Changes fields of Control; in force when it returns. Raises NoGroups for a quota that cannot be."""
        if changes.get("mode") == "quota" and not (self.group and self.group.has_quota):
            raise NoGroups(self.no_group or "nobody lends the device's control group the cpu controller")
        self._control = replace(self._control, **changes, generation=self._control.generation + 1)
        live.save(live.control_file(self.folder), self._control)
        self._wait_for_thermald()

    def reset(self) -> None:
        """As cool as after hours, whatever was held let go; mode, acceleration and ambient stay."""
        self.set(soc_c=None, skin_c=None, level=None, resets=self._control.resets + 1)

    def log(self) -> list[LogRow]:
        """The truth so far, one row each 20 ms."""
        return live.read_log(live.log_file(self.folder))

    def join(self) -> list[str]:
        """Makes the control group, where this machine lets it have one; the files by which a process enters it."""
        try:
            self.group = self.group or make_group(f"edgebench-{os.getpid()}-{next(_number)}")
        except NoGroups as error:
            self.no_group = str(error)
        return [str(procs) for procs in self.group.procs()] if self.group else []

    def heat(self, files: HeatFiles, pid_namespace: str) -> None:
        """Starts thermald; ``files`` are up to date when this returns. Raises RuntimeError with its log's end."""
        live.save(live.control_file(self.folder), self._control)
        live.acknowledged_file(self.folder).unlink(missing_ok=True)
        order = live.Order(
            folder=self.folder,
            files=files,
            profile=self._heat_profile,
            pid_namespace=pid_namespace,
            group_v1=self.group if isinstance(self.group, GroupV1) else None,
            group_v2=self.group if isinstance(self.group, GroupV2) else None,
        )
        live.save(self.folder / "order.json", order)
        argv = [sys.executable, "-m", "tests.virtual_phone.thermald", str(self.folder / "order.json")]
        self._thermald = host.start(argv, self.folder / "thermald.out")
        self._wait_for_thermald()

    def cool(self) -> None:
        """Ends thermald and takes the group away, when all in it has ended. May be called again."""
        if self._thermald is not None:
            host.end(self._thermald)
            self._thermald = None
        if self.group is not None:
            host.patiently(self._remove_group, "the device's control group stays busy")

    def drivers(self) -> list[subprocess.Popen[bytes]]:
        """What has to live for the device to go on."""
        return [self._thermald] if self._thermald is not None else []

    def _wait_for_thermald(self) -> None:
        wanted = str(self._control.generation)
        self._until(lambda: host.read_line(live.acknowledged_file(self.folder)) == wanted, "thermald does not obey")

    def _until(self, holds: Callable[[], bool], otherwise: str) -> None:
        def lives() -> bool:
            if holds():
                return True
            if any(driver.poll() is not None for driver in self.drivers()):
                raise RuntimeError(f"{otherwise}: {self._said()}")
            return False

        host.patiently(lives, otherwise, self._said)

    def _said(self) -> str:
        logs = sorted(path for path in self.folder.iterdir() if path.suffix in (".log", ".out"))
        texts = (
            log.read_text(encoding="utf-8", errors="replace")[-1500:] for log in logs if log.name != "thermald.log"
        )
        return "\n".join(texts)

    def _remove_group(self) -> bool:
        if self.group is None:
            return True
        try:
            self.group.remove()
        except OSError:
            # Its last processes are still being buried.
            return False
        self.group = None
        return True
