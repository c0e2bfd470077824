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

import functools
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pytest

from edgebench.runtime.harness_build import host_abi
from tests.virtual_phone import host, journal, live
from tests.virtual_phone.faults import Faults
from tests.virtual_phone.live import Control, LogRow, Mode
from tests.virtual_phone.phone_files import PhoneFiles, lay_out, write
from tests.virtual_phone.profiles import PROFILES, PhoneProfile
from tests.virtual_phone.quota import Group, GroupV1, GroupV2, NoGroups, make_group

_QEMU = "qemu-aarch64-static"
_number = itertools.count()


class NoPhone(Exception):
    """This machine or user cannot have a virtual phone; the message says why."""


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


class VirtualPhone:
    """One phone, from ``start`` to ``close``; ``folder`` is its disk and keeps what happened.

    ``start`` raises NoPhone. Faults of the ADB daemon are switched with ``set_faults``, the phone's own with ``set``.
    """

    def __init__(
        self,
        profile: PhoneProfile | str,
        folder: Path,
        *,
        abi: str | None = None,
        control: Control | None = None,
        daemon: DaemonCommand | None = None,
    ) -> None:
        self.profile = PROFILES[profile] if isinstance(profile, str) else profile
        self.folder = folder
        self.abi = abi or host_abi() or "x86_64"
        self.port = 0
        self.files = PhoneFiles(folder)
        self.state_dir = folder / "state"
        self.group: Group | None = None
        # Why there is no control group, and so no quota.
        self.no_group = ""
        self._control = control or Control()
        self._daemon = daemon or adb_daemon_command()
        self._world: subprocess.Popen[bytes] | None = None
        self._thermald: subprocess.Popen[bytes] | None = None
        self._namespace = ""

    @property
    def serial(self) -> str:
        """For ``adb connect`` and ``adb -s``."""
        return f"{host.ADDRESS}:{self.port}"

    # As fixtures.AdbDaemon calls it.
    address = serial

    @property
    def control(self) -> Control:
        """What is in force."""
        return self._control

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Boots the phone; it answers on ``port`` when this returns. Raises NoPhone, RuntimeError with the log's end."""
        require_namespaces(*self._namespaces())
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state_dir.mkdir(exist_ok=True)
        (self.folder / "root").mkdir(exist_ok=True)
        lay_out(self.profile, self.folder, self.abi)
        self.port = self.port or host.free_port()
        try:
            self.group = make_group(f"edgebench-phone-{os.getpid()}-{next(_number)}")
        except NoGroups as error:
            self.no_group = str(error)
        try:
            self._boot()
            self._start_thermald()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends everything that runs on the phone, and what drives it. May be called again."""
        self._power_off()
        if self._thermald is not None:
            host.end(self._thermald)
            self._thermald = None
        if self.group is not None:
            host.patiently(self._remove_group, "the phone's control group stays busy")

    def reboot(self) -> None:
        """Ends everything on the phone and boots it anew: /data, settings, port and temperature stay."""
        self._power_off()
        self._boot()

    def set(self, **changes: Any) -> None:
        """Changes fields of Control; in force when it returns. Raises NoGroups for a quota that cannot be."""
        if changes.get("mode") == "quota" and not (self.group and self.group.has_quota):
            raise NoGroups(self.no_group or "nobody lends the phone's control group the cpu controller")
        self._control = replace(self._control, **changes, generation=self._control.generation + 1)
        live.save(live.control_file(self.folder), self._control)
        self._wait_for_thermald()

    def reset(self) -> None:
        """As cool as after hours, whatever was held let go; mode, acceleration and ambient stay."""
        self.set(soc_c=None, skin_c=None, level=None, resets=self._control.resets + 1)

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

    def log(self) -> list[LogRow]:
        """The truth so far, one row each 20 ms."""
        return live.read_log(live.log_file(self.folder))

    def processes(self) -> list[PhoneProcess]:
        """What runs on the phone beside its init and its ADB daemon: what somebody started and left running."""
        found = []
        for pid in live.pids_of_namespace(self._namespace) if self._namespace else ():
            # 1 and 2: phone_init, and the daemon that it starts first.
            if host.inner_pid(pid) > _last_own_pid(self.folder) and (argv := host.argv_of(pid)):
                found.append(PhoneProcess(pid, argv))
        return found

    def _namespaces(self) -> list[str]:
        return namespaces(foreign=self._foreign)

    @property
    def _foreign(self) -> bool:
        return self.abi == "arm64-v8a" and host_abi() != self.abi

    def _boot(self) -> None:
        config = {
            "root": str(self.folder / "root"),
            "binds": {place: str(what) for place, what in self.files.binds().items()},
            "cgroups": [str(procs) for procs in self.group.procs()] if self.group else [],
            "aarch64_interpreter": shutil.which(_QEMU) if self._foreign else None,
            "working_folder": str(host.CHECKOUT),
            "ready": str(self.folder / "ready"),
            "daemon": list(self._daemon(self)),
            "environment": {
                "PATH": "/system/bin",
                "ANDROID_ROOT": "/system",
                "ANDROID_DATA": "/data",
                "HOME": "/",
                "TMPDIR": "/data/local/tmp",
                "EDGEBENCH_VIRTUAL_CLOCK": "/system/phone/clock",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        }
        (self.folder / "ready").unlink(missing_ok=True)
        (self.folder / "boot.json").write_text(json.dumps(config), encoding="utf-8")
        init = [sys.executable, "-m", "tests.virtual_phone.phone_init", str(self.folder / "boot.json")]
        self._world = host.start([*self._namespaces(), *init], self.folder / "phone.log")
        self._until(lambda: (self.folder / "ready").exists() and host.answers(self.port), "the phone does not boot")
        self._namespace = str(Path(f"/proc/{host.only_child(self._world.pid)}/ns/pid").readlink())

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

    def _start_thermald(self) -> None:
        live.save(live.control_file(self.folder), self._control)
        live.acknowledged_file(self.folder).unlink(missing_ok=True)
        order = live.Order(
            folder=self.folder,
            profile=self.profile,
            pid_namespace=self._namespace,
            group_v1=self.group if isinstance(self.group, GroupV1) else None,
            group_v2=self.group if isinstance(self.group, GroupV2) else None,
        )
        live.save(self.folder / "order.json", order)
        argv = [sys.executable, "-m", "tests.virtual_phone.thermald", str(self.folder / "order.json")]
        self._thermald = host.start(argv, self.folder / "thermald.out")
        self._wait_for_thermald()

    def _wait_for_thermald(self) -> None:
        wanted = str(self._control.generation)
        self._until(lambda: host.read_line(live.acknowledged_file(self.folder)) == wanted, "thermald does not obey")

    def _until(self, holds: Callable[[], bool], otherwise: str) -> None:
        def lives() -> bool:
            if holds():
                return True
            dead = [each for each in (self._world, self._thermald) if each is not None and each.poll() is not None]
            if dead:
                raise RuntimeError(f"{otherwise}: {self._said()}")
            return False

        host.patiently(lives, otherwise, self._said)

    def _said(self) -> str:
        logs = (self.folder / name for name in ("phone.log", "thermald.out"))
        return "\n".join(log.read_text(encoding="utf-8", errors="replace")[-1500:] for log in logs if log.exists())

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
    except (NoPhone, NoGroups) as error:
        phone.close()
        pytest.skip(str(error))
    try:
        yield phone
    finally:
        phone.close()


def namespaces(*, foreign: bool = False) -> list[str]:
    """What starts a program in a world of its own; ``foreign`` for one of another processor."""
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
    # A rule for aarch64 programs is set in a user namespace of the phone's own, and ends with it.
    if os.geteuid() != 0 or foreign:
        words[1:1] = ["--user", "--map-root-user"]
    return words


@functools.cache
def require_namespaces(*unshare: str) -> None:
    """Raises NoPhone where this machine or user cannot have one."""
    if shutil.which("unshare") is None:
        raise NoPhone("there is no unshare: apt-get install util-linux")
    tried = subprocess.run([*unshare, "true"], capture_output=True, text=True, timeout=host.PATIENCE_S, check=False)
    if tried.returncode != 0:
        raise NoPhone(f"a virtual phone needs namespaces of its own: {tried.stderr.strip()}")
    if "--user" in unshare and os.geteuid() == 0 and shutil.which(_QEMU) is None:
        raise NoPhone(f"an arm64 phone needs {_QEMU}: apt-get install qemu-user-static")


def _last_own_pid(folder: Path) -> int:
    return int((folder / "ready").read_text(encoding="ascii"))
