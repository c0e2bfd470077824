"""From a target to a device that is there, is nobody else's, and can be launched on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgebench.catalog import resolve_target
from edgebench.device.android import FOLDER
from edgebench.device.guard import Guard
from edgebench.device.host import HostDevice
from edgebench.device.lock import leftover_launches, locked, sweep_script
from edgebench.errors import DeviceBusy, DeviceNotFound, DeviceRefused, UsageError
from edgebench.events import Emit, Note, StageFinished, StageStarted
from edgebench.measure.prepare import Bench
from edgebench.records import DeviceFacts, TargetSpec, ThermalState
from edgebench.runtime.harness_build import ABIS
from edgebench.runtime.launcher import HostLauncher
from edgebench.runtime.remote_launcher import Place, RemoteLauncher
from edgebench.transport.local import LocalTransport

if TYPE_CHECKING:
    from edgebench.device.android.device import AndroidDevice
    from edgebench.transport.remote import Remote

ANDROID_PLACE = Place(FOLDER)
# What to do where another phone is connected than the target asks for.
RIGHT_MODEL = "plug in the right one, name it with --serial, or use --target android for any phone"
_SWEEP_S = 30.0
# The longest a run says nothing to the device: a launch at its deadline, and what is done between two.
_SILENCE_S = 120.0


@dataclass(frozen=True)
class Access:
    """How a person wants a device to be opened.

    ``wait`` for another run to end; ``verify_files`` hashes them again on the device; ``settings`` are the device's that may be
    changed (*fixed_performance*, *stay_awake*), and are restored.
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
    if target.platform == "android":
        with _open_android(target, emit, access) as bench:
            yield bench
        return
    if access.settings or access.verify_files:
        raise UsageError(f"{target.name} is this machine", hint="those flags are for phones: --target android")
    device = HostDevice()
    yield Bench(device, device.facts(), HostLauncher(LocalTransport()), device.thermal_state, emit)


def on_serial(target: TargetSpec, serial: str | None) -> TargetSpec:
    """``target`` on the phone that ``serial`` names, where it names one. Raises UsageError where there can be none."""
    if serial is None:
        return target
    if target.platform == "host":
        raise UsageError(f"{target.name} is this machine: it has no serial", hint="name a phone: --target android")
    return replace(target, serial=serial, address=None)


def described_target(name: str, serial: str, facts: DeviceFacts) -> TargetSpec:
    """A target that means this very phone, with the defaults of any phone."""
    any_phone = resolve_target("android")
    wireless = ":" in serial
    return replace(
        any_phone,
        name=name,
        summary=f"{facts.model}, {facts.soc or 'unknown chip'}",
        serial=None if wireless else serial,
        address=serial if wireless else None,
        model=facts.model,
        abi=facts.abi if facts.abi in ABIS else None,
    )


@contextmanager
def connected(target: TargetSpec, emit: Emit) -> Iterator[tuple[Remote, AndroidDevice]]:
    """The phone that ``target`` asks for, without taking it: for looking at it. Raises as ``open_bench`` does."""
    from edgebench.device.android.device import AndroidDevice
    from edgebench.transport.adb import open_channel
    from edgebench.transport.patience import Patience, PatientShell
    from edgebench.transport.remote import Remote

    channel = open_channel(target.serial or target.address)
    remote = Remote(channel)
    try:
        yield remote, AndroidDevice(PatientShell(remote, Patience(remote, emit)), channel.address)
    finally:
        remote.close()


@contextmanager
def _open_android(target: TargetSpec, emit: Emit, access: Access) -> Iterator[Bench]:
    from edgebench.device.android.settings import settings_named
    from edgebench.device.settings import Changed, changed, restore_left_over
    from edgebench.transport.patience import Patience

    with ExitStack() as stack:
        emit(StageStarted("device", target.name))
        remote, device = stack.enter_context(connected(target, emit))
        facts = device.facts()
        abi = _check(target, facts)
        emit(StageFinished("device", f"{facts.model}, {facts.os_build.split(',')[0]}, {abi}"))
        lock = stack.enter_context(locked(remote, ANDROID_PLACE.folder, facts.id, emit, wait=access.wait))
        left = leftover_launches(remote.run_script(sweep_script(ANDROID_PLACE.launches), timeout_s=_SWEEP_S).output)
        if left:
            emit(Note(f"an earlier run left {len(left)} launch(es) on the device: ended and removed"))
        guard = Guard(ANDROID_PLACE.folder)
        if restore_left_over(remote, guard):
            emit(Note("an earlier run left settings of the device changed: they are restored"))
        patience = Patience(remote, emit)
        held: Changed | None = None

        @contextmanager
        def changes() -> Iterator[None]:
            nonlocal held
            with changed(remote, settings_named(access.settings), guard, emit) as held:
                for said in held.said:
                    emit(Note(f"changed for this run, restored at its end: {said}"))
                held.renew(_SILENCE_S)
                yield
            held = None

        def keep() -> None:
            if not patience.ask(lock.renew):
                raise DeviceBusy(
                    "another run took the device: this one was not seen there for too long",
                    hint="finished launches are saved; go on with: edgebench run --resume last",
                )

        def thermometer() -> ThermalState:
            keep()
            if held is not None:
                patience.ask(partial(held.renew, _SILENCE_S))
            return device.thermal_state()

        yield Bench(
            device=device,
            facts=facts,
            launcher=RemoteLauncher(remote, patience, ANDROID_PLACE, abi, emit, verify_files=access.verify_files),
            thermometer=thermometer,
            keep=keep,
            emit=emit,
            launched_from="adb shell",
            settings=access.settings,
            changes=changes,
        )


def wrong_model(target: TargetSpec, facts: DeviceFacts) -> str | None:
    """Why the device is not what ``target`` asks for, None where it is."""
    if target.model is None or target.model.casefold() in facts.model.casefold():
        return None
    return f"{target.name} asks for a {target.model}, the connected device is a {facts.model}"


def _check(target: TargetSpec, facts: DeviceFacts) -> str:
    """The ABI to launch in. Raises DeviceNotFound for another phone than was asked for, DeviceRefused for an unknown ABI."""
    if problem := wrong_model(target, facts):
        raise DeviceNotFound(problem, hint=RIGHT_MODEL)
    abi = target.abi or facts.abi
    if abi not in ABIS:
        told = f"its processor is {abi}" if abi else f"it does not tell its processor, its machine is {facts.machine}"
        raise DeviceRefused(
            f"edgebench has no program for {facts.model}: {told}",
            hint=f"there is one for {', '.join(ABIS)}; where the phone runs one of these, name it with `abi:` in a "
            "target's file",
        )
    return abi
