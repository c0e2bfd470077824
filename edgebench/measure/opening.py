"""From a target to a device that is there, is nobody else's, and can be launched on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgebench.device.guard import Guard
from edgebench.device.host import HostDevice
from edgebench.device.lock import (
    leftover_launches,
    locked,
    sweep_script,
    wait_until_free,
)
from edgebench.errors import DeviceBusy, DeviceNotFound, DeviceRefused, UsageError
from edgebench.events import Emit, Note, StageFinished, StageStarted
from edgebench.measure.prepare import Bench
from edgebench.measure.reaching import ANDROID_PLACE, device_at, lock_folder, place_of, reached_alone
from edgebench.records import DeviceFacts, TargetSpec, ThermalState
from edgebench.runtime.abis import ABIS
from edgebench.runtime.launcher import HostLauncher
from edgebench.runtime.remote_agent import RemoteAgent
from edgebench.runtime.remote_agents import board_agents, native_agents
from edgebench.runtime.remote_launcher import GRACE_S, LONG_S, Place, RemoteLauncher
from edgebench.transport.local import LocalTransport
from edgebench.transport.patience import Patience, PatientShell
from edgebench.transport.remote import Remote
from edgebench.transport.this_machine import THIS_MACHINE

if TYPE_CHECKING:
    from edgebench.device.base import Device
    from edgebench.device.settings import Setting

# What to do where another phone is connected than the target asks for.
RIGHT_MODEL = (
    "plug in or name the right one by --serial, or use --target android for any phone, linux-board for any board"
)
_SWEEP_S = 30.0
# What a 64-bit kernel may run as well, or alone where its system is of 32 bits.
_OLDER = {"arm64-v8a": "armeabi-v7a"}
# The longest a run says nothing to the device: a launch at its deadline with its grace, and what is done between two.
_SILENCE_S = LONG_S + GRACE_S + 15.0


@dataclass(frozen=True)
class Access:
    """How a person wants a device to be opened.

    ``wait`` for another run to end; ``verify_files`` hashes them again on the device; ``settings`` are the device's that may be
    changed (a phone's *fixed_performance* and *stay_awake*, a Jetson's *power_mode=NAME* and *lock_clocks*), and are restored.
    """

    wait: bool = True
    verify_files: bool = False
    settings: tuple[str, ...] = ()


@contextmanager
def open_bench(target: TargetSpec, emit: Emit, access: Access = Access()) -> Iterator[Bench]:
    """The device that ``target`` asks for, held until the block ends.

    Raises DeviceNotFound, DeviceUnauthorized, DeviceRefused, DeviceBusy or DeviceLost, and UsageError for what this platform
    cannot do.
    """
    if target.platform != "host":
        with _open_remote(target, emit, access) as bench:
            yield bench
        return
    if access.settings or access.verify_files:
        raise UsageError(
            f"{target.name} is this machine", hint="those flags are for phones and boards: --target android"
        )
    device = HostDevice()
    yield Bench(device, device.facts(), HostLauncher(LocalTransport()), device.thermal_state, emit)


def on_serial(target: TargetSpec, serial: str | None) -> TargetSpec:
    """``target`` on the phone or board that ``serial`` names, where it names one. Raises UsageError where there can be none."""
    if serial is None:
        return target
    if target.platform == "host":
        raise UsageError(
            f"{target.name} is this machine: it has no serial",
            hint="name a phone or a board: --target android, --target linux-board",
        )
    if target.platform == "linux":
        return replace(target, address=serial)
    return replace(target, serial=serial, address=None)


def described_target(name: str, any_one: TargetSpec, address: str, facts: DeviceFacts) -> TargetSpec:
    """A target that means this very device, with the defaults of ``any_one``, by which it was reached at ``address``."""
    by_address = any_one.platform != "android" or ":" in address
    return replace(
        any_one,
        name=name,
        summary=f"{facts.model}, {facts.soc or 'unknown chip'}",
        serial=None if by_address else address,
        address=address if by_address else None,
        model=facts.model,
        abi=facts.abi if facts.abi in ABIS else None,
    )


@dataclass(frozen=True)
class _Ground:
    """Where edgebench stands on a device, and what it may change there. ``lock`` is a folder, ``shared_lock`` one that all who
    log in there share; ``agents`` are those that it can have, by its ABI."""

    place: Place
    lock: str
    shared_lock: bool
    settings: tuple[Setting, ...]
    launched_from: str
    agents: Callable[[str, Emit], Mapping[str, RemoteAgent]]


def _ground(target: TargetSpec, remote: Remote, device: Device, wanted: tuple[str, ...]) -> _Ground:
    if target.platform == "android":
        from edgebench.device.android.settings import settings_named

        return _Ground(
            ANDROID_PLACE, lock_folder(target.platform), False, settings_named(wanted), "adb shell", native_agents
        )
    place = place_of(target, remote)
    settings = _board_settings(device, wanted, place)
    agents = partial(board_agents, python=target.python, monitored=device.platform == "jetson")
    launched_from = "this machine" if target.address == THIS_MACHINE else "ssh"
    return _Ground(place, lock_folder(target.platform), True, settings, launched_from, agents)


def _board_settings(device: Device, wanted: tuple[str, ...], place: Place) -> tuple[Setting, ...]:
    if device.platform == "jetson":
        from edgebench.device.linux.jetson import settings_named

        return settings_named(wanted, place.folder)
    if wanted:
        flags = " or ".join(f"--{name.partition('=')[0].replace('_', '-')}" for name in wanted)
        raise UsageError(f"this board has no {flags}", hint="those flags are for phones and Jetsons")
    return ()


@contextmanager
def _open_remote(target: TargetSpec, emit: Emit, access: Access) -> Iterator[Bench]:
    from edgebench.device.settings import Changed, changed, restore_left_over

    with ExitStack() as stack:
        emit(StageStarted("device", target.name))
        remote = stack.enter_context(reached_alone(target, emit, wait=access.wait))
        patience = Patience(remote, emit)
        shell = PatientShell(remote, patience)
        # Another computer may be timing a launch there. The lock itself is taken once the harness is built: that takes minutes,
        # and what to build the device must be asked.
        wait_until_free(shell, lock_folder(target.platform), emit, wait=access.wait)
        device = device_at(target, shell, remote.address)
        facts = device.facts()
        abi = _check(target, facts)
        ground = _ground(target, remote, device, access.settings)
        emit(StageFinished("device", f"{facts.model}, {facts.os_build.split(',')[0]}, {abi}"))
        agents = ground.agents(abi, emit)
        for agent in dict.fromkeys(agents.values()):
            agent.made()
        lock = stack.enter_context(
            locked(remote, ground.lock, facts.id, emit, shared=ground.shared_lock, wait=access.wait)
        )
        left = leftover_launches(remote.run_script(sweep_script(ground.place.launches), timeout_s=_SWEEP_S).output)
        if left:
            emit(Note(f"an earlier run left {len(left)} launch(es) on the device: ended and removed"))
        guard = Guard(ground.place.folder)
        if restore_left_over(remote, guard):
            emit(Note("an earlier run left settings of the device changed: they are restored"))
        held: Changed | None = None

        @contextmanager
        def changes() -> Iterator[None]:
            nonlocal held
            with changed(remote, ground.settings, guard, emit) as held:
                for said in held.said:
                    emit(Note(f"changed for this run, restored at its end: {said}"))
                held.renew(_SILENCE_S)
                yield
            held = None

        def keep(silent_s: float = 0.0) -> None:
            if not patience.ask(partial(lock.renew, round(silent_s))):
                raise DeviceBusy(
                    "another run took the device: this one was not seen there for too long",
                    hint="finished launches are saved; go on with --resume last",
                )
            if held is not None:
                patience.ask(partial(held.renew, _SILENCE_S + silent_s))

        def thermometer() -> ThermalState:
            keep()
            return device.thermal_state()

        yield Bench(
            device=device,
            facts=facts,
            launcher=RemoteLauncher(
                remote, patience, ground.place, agents, emit, verify_files=access.verify_files, keep=keep
            ),
            thermometer=thermometer,
            keep=keep,
            emit=emit,
            launched_from=ground.launched_from,
            settings=access.settings,
            changes=changes,
        )


def wrong_model(target: TargetSpec, facts: DeviceFacts) -> str | None:
    """Why the device is not what ``target`` asks for, None where it is."""
    if target.model is None or target.model.casefold() in facts.model.casefold():
        return None
    return f"{target.name} asks for a {target.model}, the connected device is a {facts.model}"


def _check(target: TargetSpec, facts: DeviceFacts) -> str:
    """The ABI to launch in. Raises DeviceNotFound for another device than was asked for, DeviceRefused for an unknown ABI.

    Refused, too, is one that a board plainly cannot run, before a harness is built for it. Phones are not judged by what they
    tell: some translate others' programs.
    """
    if problem := wrong_model(target, facts):
        raise DeviceNotFound(problem, hint=RIGHT_MODEL)
    abi = target.abi or facts.abi
    if target.platform == "linux" and facts.abi is not None and abi not in (facts.abi, _OLDER.get(facts.abi)):
        raise DeviceRefused(
            f"{target.name} is for {abi}, this board is {facts.abi} ({facts.machine})",
            hint="use --target linux-board for any board, or correct `abi:` in the target's file",
        )
    if abi not in ABIS:
        told = f"its processor is {abi}" if abi else f"it does not tell its processor, its machine is {facts.machine}"
        raise DeviceRefused(
            f"edgebench has no program for {facts.model}: {told}",
            hint=f"there is one for {', '.join(ABIS)}; where the phone runs one of these, name it with `abi:` in a "
            "target's file",
        )
    return abi
