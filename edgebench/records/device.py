"""What a device says about itself, once (facts) and again before each launch (state, temperatures)."""

from __future__ import annotations

from typing import Literal

from edgebench.records.base import Record

Place = Literal["soc", "skin", "battery", "other"]


class DeviceFacts(Record, frozen=True, kw_only=True):
    """What the device said about itself.

    ``id`` is stable between runs; ``clusters`` are the cores by maximum frequency, fastest first. ``abi`` is Android's name of
    the processor family that programs are built for, which may be narrower than ``machine`` (uname -m).
    """

    id: str
    model: str
    soc: str | None
    os_build: str
    machine: str
    clusters: tuple[tuple[int, ...], ...]
    memory_bytes: int | None
    governor: str | None
    power_source: str | None
    virtual: bool | None
    abi: str | None = None


class Reading(Record, frozen=True, kw_only=True):
    """One temperature: the sensor's own ``name``, where it sits, and ``source``, the interface that was read."""

    name: str
    place: Place
    celsius: float
    source: str


class ThermalState(Record, frozen=True, kw_only=True):
    """Every plausible temperature that the device tells, and its own throttling status.

    ``status`` is Android's 0 (none) to 6 (shutdown), None where there is no such thing. 0 is no proof: it stays 0 on phones
    that are plainly throttling.
    """

    readings: tuple[Reading, ...] = ()
    status: int | None = None

    def hottest(self, *places: Place) -> Reading | None:
        """The hottest reading among ``places`` (all, where none is named); None where there is none."""
        chosen = [reading for reading in self.readings if not places or reading.place in places]
        return max(chosen, key=lambda reading: reading.celsius, default=None)


class DeviceState(Record, frozen=True, kw_only=True):
    """What may change from one launch to the next. None is what the device does not tell.

    ``battery_percent`` is 0 to 100; ``charging`` whether any charger is attached (its kind is ``DeviceFacts.power_source``).
    ``power_mode`` and ``clocks_locked`` are a Jetson's (nvpmodel, jetson_clocks).
    """

    battery_percent: float | None = None
    charging: bool | None = None
    power_saving: bool | None = None
    screen_on: bool | None = None
    power_mode: str | None = None
    clocks_locked: bool | None = None
