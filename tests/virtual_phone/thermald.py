"""Drives a virtual device: how busy it is becomes heat, heat becomes a frequency, and the device's files say so.

    python -m tests.virtual_phone.thermald ORDER.json

It runs on core 0 and ends when its standard input does. Between two looks (20 ms) the model is stepped by the real time
that passed times the acceleration.
"""

from __future__ import annotations

import os
import select
import sys
import time
from contextlib import suppress
from dataclasses import astuple, replace
from pathlib import Path

import msgspec

from tests.virtual_phone.clock_page import ClockPage
from tests.virtual_phone.live import (
    Control,
    HeatFiles,
    LogRow,
    Order,
    acknowledged_file,
    control_file,
    load_control,
    load_order,
    log_file,
)
from tests.virtual_phone.profiles import HeatProfile
from tests.virtual_phone.quota import Group
from tests.virtual_phone.thermal_model import ThermalState, cool, power, step

# A core that is busy for less is shown at its lowest frequency, as a governor has it at rest.
_BUSY = 0.1
_BURIAL_LOOKS = 500
_BURIAL_LOOK_S = 0.01
_BATTERY_SHARE = 0.8
# One core busy at full frequency, at 3.9 V; the rest of the phone is in the model's idle power.
_AMPERE_EACH = 0.64
_VOLTS = 4.06
_VOLTS_LESS_EACH = 0.05


class LiveFile:
    """A small file that is written in place: a reader sees the old text or the new one, at worst a blank line more."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._text = ""
        self._hidden = False

    def show(self, value: object) -> None:
        """Writes it where it has changed."""
        if self._hidden:
            self._path.rmdir()
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._hidden, self._text = False, ""
        text = str(value)
        if text != self._text:
            data = text.encode() + b"\n"
            os.pwrite(self._fd, data, 0)
            os.ftruncate(self._fd, len(data))
            self._text = text

    def hide(self) -> None:
        """Makes it unreadable, for root too: a folder lies in its place."""
        if not self._hidden:
            os.close(self._fd)
            self._path.unlink()
            self._path.mkdir()
            self._hidden = True


class Screen:
    """Every file of the device that shows something live."""

    def __init__(self, files: HeatFiles, profile: HeatProfile) -> None:
        self._profile = profile
        self._live = {
            name: LiveFile(files.live / name)
            for name in ("soc_c", "skin_c", "battery_c", "battery_dc", "hottest_soc_c", "hottest_skin_c", "status")
        }
        battery = ("current_now", "voltage_now", "temp") if files.battery else ()
        self._battery = {name: LiveFile(files.battery / name) for name in battery if files.battery}
        self._zones = [
            (zone, LiveFile(files.thermal / f"thermal_zone{index}" / "temp"))
            for index, zone in enumerate(profile.zones)
            if zone.shows in ("soc", "skin", "battery")
        ]
        self._frozen = [
            (zone, LiveFile(files.thermal / f"thermal_zone{index}" / "temp"))
            for index, zone in enumerate(profile.zones)
            if zone.shows not in ("soc", "skin", "battery")
        ]
        self._frequencies = [
            (core, LiveFile(cpufreq / "scaling_cur_freq"), LiveFile(cpufreq / "scaling_max_freq"))
            for core, cpufreq in ((core, files.cpu / f"cpu{n}" / "cpufreq") for n, core in enumerate(profile.cores))
        ]
        # Older than anything that is current, and hotter, as the block was that a real phone printed.
        self._hottest = {"soc": 62.0, "skin": 36.0}

    def show(self, state: ThermalState, utilisation: float, status: int, *, no_zones: bool) -> None:
        """The device's files say this."""
        battery_c = state.ambient_c + _BATTERY_SHARE * (state.skin_c - state.ambient_c)
        degrees_c = {"soc": state.soc_c, "skin": state.skin_c, "battery": battery_c}
        for name, value in degrees_c.items():
            self._live[f"{name}_c"].show(f"{value:.1f}")
        for name, value in self._hottest.items():
            self._hottest[name] = max(value, degrees_c[name])
            self._live[f"hottest_{name}_c"].show(f"{self._hottest[name]:.1f}")
        self._live["battery_dc"].show(round(battery_c * 10))
        self._live["status"].show(status)
        for zone, file in self._zones:
            file.hide() if no_zones else file.show(round(degrees_c[zone.shows] * zone.per_degree))
        for zone, file in self._frozen:
            file.hide() if no_zones or not zone.shows else file.show(zone.shows)
        ratio = self._profile.thermal.ratios[state.level]
        for core, current, highest in self._frequencies:
            limit_khz = round(core.max_khz * ratio)
            highest.show(limit_khz)
            current.show(limit_khz if utilisation >= _BUSY else core.min_khz)
        heat = power(self._profile.thermal, utilisation, state.level)
        battery = {
            "current_now": -round(heat * _AMPERE_EACH * 1e6),
            "voltage_now": round((_VOLTS - _VOLTS_LESS_EACH * heat) * 1e6),
            "temp": round(battery_c * 10),
        }
        for name, file in self._battery.items():
            file.show(battery[name])


class Driver:
    """The loop's state. ``look`` is one turn of it."""

    def __init__(self, order: Order, now_ns: int) -> None:
        self._profile = order.profile
        self._parameters = order.profile.thermal
        self._group = order.group
        self._account = order.account()
        self._control_file = control_file(order.folder)
        self._control_seen = 0
        self._control = Control()
        self._acknowledged = LiveFile(acknowledged_file(order.folder))
        self._fixed = order.files.fixed_performance
        self._page = ClockPage(order.files.clock)
        self._share: float | None = None
        self._screen = Screen(order.files, order.profile)
        self._state = cool(self._parameters)
        self._seen_ns, self._busy_ns = now_ns, self._account()

    def look(self, now_ns: int) -> LogRow:
        """The device after the time since the last look."""
        # What passed already passed at the rate that was in force: work done then must not heat by the new one.
        acceleration = self._control.acceleration
        self._obey()
        passed_ns = max(now_ns - self._seen_ns, 1)
        busy_ns = self._account()
        utilisation = max(busy_ns - self._busy_ns, 0) / passed_ns
        self._seen_ns, self._busy_ns = now_ns, busy_ns
        if self._share is not None:
            # A core that may run for 60 % of the time and does is as busy as one at 60 % of its frequency.
            utilisation /= self._share
        control = self._control
        fixed = self._fixed is not None and self._fixed.read_bytes().startswith(b"true")
        least = self._profile.fixed_performance_level if fixed else None
        state = replace(self._state, ambient_c=control.ambient_c, least_level=least or 0, held_level=control.level)
        state = step(self._parameters, state, utilisation, passed_ns / 1e9 * acceleration)
        self._state = replace(
            state,
            soc_c=state.soc_c if control.soc_c is None else control.soc_c,
            skin_c=state.skin_c if control.skin_c is None else control.skin_c,
        )
        self._throttle(self._parameters.ratios[self._state.level])
        status = 0 if control.status_stuck else status_of(self._profile, self._state.skin_c)
        self._screen.show(self._state, utilisation, status, no_zones=control.no_zones)
        # Last: who waits for it finds everything done.
        self._acknowledged.show(control.generation)
        return self._row(now_ns, utilisation, status)

    def _obey(self) -> None:
        changed = self._control_file.stat().st_mtime_ns
        if changed == self._control_seen:
            return
        control = load_control(self._control_file)
        if control.resets != self._control.resets:
            self._state = cool(self._parameters, control.ambient_c)
        self._control, self._control_seen = control, changed

    def _throttle(self, ratio: float) -> None:
        slowdown = self._control.base_slowdown / ratio if self._control.mode == "clock" else 1.0
        if slowdown != self._page.slowdown:
            self._page.set_slowdown(slowdown)
        share = ratio if self._control.mode == "quota" and ratio < 1 else None
        if share != self._share and self._group is not None:
            self._group.set_share(share, self._control.quota_period_us)
            self._share = share

    def _row(self, now_ns: int, utilisation: float, status: int) -> LogRow:
        state = self._state
        return LogRow(
            real_ns=now_ns,
            # A change of this look lies after now_ns; the microseconds do not matter to who reads the log.
            virtual_ns=self._page.virtual_ns(now_ns),
            simulated_s=round(state.time_s, 4),
            soc_c=round(state.soc_c, 4),
            skin_c=round(state.skin_c, 4),
            level=state.level,
            ratio=self._parameters.ratios[state.level],
            utilisation=round(utilisation, 4),
            status=status,
        )


def status_of(profile: HeatProfile, skin_c: float) -> int:
    """Android's thermal status, 0 to 6, at this temperature of the skin."""
    over = [index for index, limit in enumerate(profile.status_from_c, 1) if limit is not None and skin_c >= limit]
    return max(over, default=0)


def main(order_path: str) -> int:
    """Until standard input ends."""
    # The cores that are measured are left alone.
    with suppress(OSError):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    order = load_order(Path(order_path))
    driver = Driver(order, time.monotonic_ns())
    with log_file(order.folder).open("ab", buffering=0) as log:
        while not select.select([sys.stdin], [], [], order.poll_s)[0]:
            row = driver.look(time.monotonic_ns())
            log.write(msgspec.json.encode(astuple(row)) + b"\n")
    if order.group is not None:
        _bury(order.group)
    return 0


def _bury(group: Group) -> None:
    """The device ends with its owner too, and may take a moment; an owner that was killed removes nothing."""
    for _ in range(_BURIAL_LOOKS):
        try:
            return group.remove()
        except OSError:
            time.sleep(_BURIAL_LOOK_S)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
