"""What a device is to measuring, whichever platform it has."""

from __future__ import annotations

from typing import Protocol

from edgebench.records import DeviceFacts, DeviceState, Place, Reading, ThermalState

__all__ = ["Device", "DeviceFacts", "DeviceState", "Place", "Reading", "ThermalState"]


class Device(Protocol):
    """One device. Everything that is read is read between launches, never while one runs."""

    platform: str

    def facts(self) -> DeviceFacts:
        """Who it is."""

    def default_cores(self, threads: int) -> tuple[int, ...]:
        """See Clusters.default. Raises UsageError."""

    def parse_cores(self, text: str, threads: int) -> tuple[int, ...]:
        """See Clusters.parse. Raises UsageError."""

    def thermal_zones(self) -> dict[str, str]:
        """Zones worth sampling while a launch runs: name to the absolute path of the file on the device."""

    def thermal_state(self) -> ThermalState:
        """Temperatures and throttling status now."""

    def state(self) -> DeviceState:
        """Battery, charger, power saving and screen now."""
