"""What is connected, whether or not it can be measured on now."""

from __future__ import annotations

from dataclasses import dataclass

from edgebench.device.base import Device
from edgebench.device.host import HostDevice
from edgebench.errors import EdgebenchError, NotInstalled
from edgebench.events import Emit, Note, StageStarted
from edgebench.records import DeviceFacts, Reading


@dataclass(frozen=True)
class Found:
    """One device. ``serial`` is None for this machine; ``state`` is adb's word, *ready* where it answers, *in use* where
    somebody measures on it; ``mend`` says who, or what to do about one that does not answer."""

    serial: str | None
    state: str
    facts: DeviceFacts | None = None
    warmest: Reading | None = None
    battery_percent: float | None = None
    mend: str = ""


def inventory(emit: Emit) -> tuple[Found, ...]:
    """This machine, and every phone that adb lists. A phone that fails to answer is listed with what it said.

    Nothing is connected, waited for or tried again: what is looked at stays as it is.
    """
    from edgebench.device.android.device import AndroidDevice
    from edgebench.measure.reaching import user_of
    from edgebench.transport.adb import AdbChannel, list_devices, unusable
    from edgebench.transport.remote import Remote

    found = [_described(None, HostDevice())]
    try:
        listed = list_devices()
    except NotInstalled as error:
        emit(Note(f"{error.message}: phones are not listed ({error.hint})"))
        return tuple(found)
    for device in listed:
        emit(StageStarted("device", device.serial))
        try:
            if device.state != "device":
                raise unusable(device)
            remote = Remote(AdbChannel(device.serial))
            if user := user_of("android", remote):
                found.append(Found(device.serial, "in use", mend=f"it is not asked anything more: in use by {user}"))
                continue
            phone = AndroidDevice(remote, device.serial)
            found.append(_described(device.serial, phone))
        except EdgebenchError as error:
            state = error.code if device.state == "device" else device.state
            found.append(Found(device.serial, state, mend=f"{error.message}; {error.hint}"))
    return tuple(found)


def _described(serial: str | None, device: Device) -> Found:
    thermal, state = device.thermal_state(), device.state()
    warmest = thermal.hottest("skin", "battery") or thermal.hottest()
    return Found(serial, "ready", device.facts(), warmest, state.battery_percent)
