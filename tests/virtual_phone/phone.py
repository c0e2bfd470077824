"""A whole virtual phone: its own files, commands and processes around an ADB daemon, heating as it computes.

    with virtual_phone("pixel_8_pro", tmp_path / "phone", acceleration=20) as phone:
        server.connect(phone)                      # fixtures.adb_server; phone.serial is 127.0.0.1:PORT
        phone.set(mode="quota", ambient_c=35)
        ...
        assert not phone.processes()
        truth = phone.log()

The phone is a mount and a process namespace: /data, /system and parts of /sys are its own, PATH is /system/bin alone, and
whatever runs on it is gone with it. /proc/stat, the cores and root's rights are this machine's. Its processes are one
control group where this machine lets it have one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from edgebench.runtime.abis import host_abi
from tests.virtual_phone import host, journal, live, world
from tests.virtual_phone.faults import Faults
from tests.virtual_phone.heated import HeatedDevice
from tests.virtual_phone.live import Control, Mode
from tests.virtual_phone.phone_files import PhoneFiles, lay_out, write
from tests.virtual_phone.profiles import PROFILES, PhoneProfile
from tests.virtual_phone.quota import NoGroups
from tests.virtual_phone.world import NoWorld


@dataclass(frozen=True)
class PhoneProcess:
    """Something that runs on the phone. ``pid`` is this machine's number of it."""

    pid: int
    argv: tuple[str, ...]


DaemonCommand = Callable[["VirtualPhone"], Sequence[str]]
"""The command line of the phone's end of ADB, for a port and a state folder: see ``adb_daemon_command``."""


def adb_daemon_command(*flags: str) -> DaemonCommand:
    """``tests.virtual_phone.adbd`` with more of its flags, such as ``--keys FILE``."""

    def command(phone: VirtualPhone) -> list[str]:
        of = phone.profile.properties
        who = ["--product", of["ro.product.name"], "--model", of["ro.product.model"].replace(" ", "_")]
        where = ["--port", str(phone.port), "--state", str(phone.state_dir), "--shell", "/system/bin/sh"]
        return [sys.executable, "-m", "tests.virtual_phone.adbd", *where, *who, *flags]

    return command


class VirtualPhone(HeatedDevice):
    """One phone, from ``start`` to ``close``; ``folder`` is its disk and keeps what happened.

    ``start`` raises NoPhone. Faults of the ADB daemon are switched with ``set_faults``, the phone's own with ``set``.
    ``environment`` is what its shells have beside Android's own variables.
    """

    def __init__(
        self,
        profile: PhoneProfile | str,
        folder: Path,
        *,
        abi: str | None = None,
        control: Control | None = None,
        daemon: DaemonCommand | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.profile = PROFILES[profile] if isinstance(profile, str) else profile
        super().__init__(folder, self.profile, control)
        self.abi = abi or host_abi() or "x86_64"
        self.port = 0
        self.files = PhoneFiles(folder)
        self.state_dir = folder / "state"
        self._daemon = daemon or adb_daemon_command()
        self._environment = dict(environment or {})
        self._world: subprocess.Popen[bytes] | None = None
        self._namespace = ""

    @property
    def serial(self) -> str:
        """For ``adb connect`` and ``adb -s``."""
        return f"{host.ADDRESS}:{self.port}"

    # As fixtures.AdbDaemon calls it.
    address = serial

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Boots the phone; it answers on ``port`` when this returns. Raises NoWorld, RuntimeError with the log's end."""
        world.require_namespaces(foreign=self._foreign)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state_dir.mkdir(exist_ok=True)
        lay_out(self.profile, self.folder, self.abi)
        self.port = self.port or host.free_port()
        try:
            self._boot()
            self.heat(self.files.heat, self._namespace)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends everything that runs on the phone, and what drives it. May be called again."""
        self._power_off()
        self.cool()

    def reboot(self) -> None:
        """Ends everything on the phone and boots it anew: /data, settings, port and temperature stay."""
        self._power_off()
        self._boot()

    def set_faults(self, faults: Faults) -> None:
        """Faults of the ADB daemon, in force within 50 ms."""
        faults.write(self.state_dir)

    def events(self, event: str | None = None) -> list[dict[str, Any]]:
        """What the ADB daemon noted: see ``journal.py``."""
        return journal.read(self.state_dir, event)

    def put_state(self, name: str, value: str) -> None:
        """What the user does: ``screen`` on or off, ``usb_powered`` true or false, ``battery_level`` 0 to 100."""
        write(self.files.phone / "state" / name, value)

    def read_state(self, name: str) -> str | None:
        """As ``put_state``, and ``fixed_performance``, ``status_override``; None where the phone keeps no such state."""
        return host.read_line(self.files.phone / "state" / name)

    def setting(self, space: str, key: str) -> str | None:
        """What ``settings get`` would print, None for null."""
        return host.read_line(self.files.phone / "settings" / space / key)

    def put_setting(self, space: str, key: str, value: str) -> None:
        """As ``settings put``."""
        write(self.files.phone / "settings" / space / key, value)

    def processes(self) -> list[PhoneProcess]:
        """What runs on the phone beside its init and its ADB daemon: what somebody started and left running."""
        found = world.processes(self._namespace) if self._namespace else []
        # Its init, and the daemon that it starts first, are the phone's own.
        own = world.last_own_pid(self.folder)
        return [PhoneProcess(pid, argv) for pid, argv in found if host.inner_pid(pid) > own]

    def drivers(self) -> list[subprocess.Popen[bytes]]:
        """Its world, and what heats it."""
        return [*([self._world] if self._world is not None else []), *super().drivers()]

    @property
    def _foreign(self) -> bool:
        return self.abi == "arm64-v8a" and host_abi() != self.abi

    def _boot(self) -> None:
        order = world.WorldOrder(
            binds={place: str(what) for place, what in self.files.binds().items()},
            cgroups=self.join(),
            aarch64_interpreter=shutil.which(world.QEMU) if self._foreign else None,
            daemon=list(self._daemon(self)),
            environment={
                **self._environment,
                "PATH": "/system/bin",
                "ANDROID_ROOT": "/system",
                "ANDROID_DATA": "/data",
                "HOME": "/",
                "TMPDIR": "/data/local/tmp",
                "EDGEBENCH_VIRTUAL_CLOCK": "/system/phone/clock",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        )
        self._world = host.start(world.command(self.folder, order), self.folder / "phone.log")
        self._until(lambda: world.is_ready(self.folder) and host.answers(self.port), "the phone does not boot")
        self._namespace = world.pid_namespace(self._world.pid)

    def _power_off(self) -> None:
        if self._world is None:
            return
        for pid in host.children(self._world.pid):
            # Its init: the kernel ends the rest.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        host.end(self._world)
        self._world = None
        namespace, self._namespace = self._namespace, ""
        if namespace:
            host.patiently(lambda: not live.pids_of_namespace(namespace), "something survives on the phone")


@contextmanager
def virtual_phone(
    profile: PhoneProfile | str,
    folder: Path,
    *,
    abi: str | None = None,
    mode: Mode = "clock",
    acceleration: float = 1.0,
    ambient_c: float = 25.0,
    daemon: DaemonCommand | None = None,
) -> Iterator[VirtualPhone]:
    """A running phone; skips the test, with the reason, where this machine cannot have one (or not in this mode)."""
    phone = VirtualPhone(
        profile, folder, abi=abi, control=Control(acceleration=acceleration, ambient_c=ambient_c), daemon=daemon
    )
    try:
        phone.start()
        phone.set(mode=mode)
    except (NoWorld, NoGroups) as error:
        phone.close()
        pytest.skip(str(error))
    try:
        yield phone
    finally:
        phone.close()
