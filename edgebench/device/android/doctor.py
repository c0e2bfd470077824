"""What stands in the way of a good measurement on an Android device, and how to mend it."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from edgebench.device import kernel
from edgebench.device.android import FOLDER, parse, thermal
from edgebench.device.checks import Check, place_checks, place_questions, start_checks
from edgebench.device.cores import Clusters
from edgebench.device.guard import Guard
from edgebench.device.kernel import integer
from edgebench.device.shell import Shell, ask
from edgebench.records import DeviceFacts, DeviceState, GateLimits, ThermalState

ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64", "riscv64")
# Battery savers switch themselves on from 15 or 20 % down: this leaves a run of some minutes clear of them.
BATTERY_MIN_PERCENT = 30
# A judgement, not measured on phones: an app or an update at work takes a core, services that idle do not take half of one.
BUSY_MAX_CORES = 0.5
# A wrong clock only confuses whoever compares logs, so a zone or two off is fine.
CLOCK_MAX_S = 86_400.0
_SAMPLE_S = 1


class Examined(Protocol):
    """What examining needs of AndroidDevice."""

    def facts(self) -> DeviceFacts:
        """See Device.facts."""

    def state(self) -> DeviceState:
        """See Device.state."""

    def thermal_state(self) -> ThermalState:
        """See Device.thermal_state."""

    def thermal_zones(self) -> dict[str, str]:
        """See Device.thermal_zones."""


@dataclass(frozen=True)
class _Seen:
    """Everything that was read; ``said`` and ``pinned`` (by cluster) are raw answers."""

    facts: DeviceFacts
    state: DeviceState
    thermal: ThermalState
    zones: dict[str, str]
    said: dict[str, str]
    pinned: dict[tuple[int, ...], str]
    now_s: float


def examine(
    device: Examined,
    remote: Shell,
    *,
    gate: GateLimits | None = None,
    folder: str = FOLDER,
    now_s: float | None = None,
) -> tuple[Check, ...]:
    """Looks at everything once, in some seconds, and changes nothing but a script in ``folder`` that it removes.

    ``gate`` are the limits that a launch waits for; ``now_s`` is this computer's time, in seconds since 1970. Raises DeviceLost
    or DeviceUnauthorized where the device cannot be reached.
    """
    facts = device.facts()
    seen = _Seen(
        facts=facts,
        state=device.state(),
        thermal=device.thermal_state(),
        zones=device.thermal_zones(),
        said=ask(remote, _questions(folder)),
        pinned=_pinned(remote, facts.clusters),
        now_s=time.time() if now_s is None else now_s,
    )
    checks = (
        _who(seen),
        _place(seen, folder),
        _heat(seen),
        start_checks(seen.thermal, gate or GateLimits()),
        _power(seen),
        _work(seen),
    )
    return tuple(check for group in checks for check in group)


def _questions(folder: str) -> dict[str, str]:
    journal = shlex.quote(Guard(folder).journal)
    stat = "grep '^cpu ' /proc/stat"
    return {
        **place_questions(folder),
        "service": "dumpsys thermalservice",
        "battery": "dumpsys battery",
        "stay": "settings get global stay_on_while_plugged_in",
        "journal": f"[ ! -f {journal} ] || echo there",
        "clock": "date +%s",
        "load": f"{stat}; sleep {_SAMPLE_S}; {stat}",
    }


def _pinned(remote: Shell, clusters: Iterable[tuple[int, ...]]) -> dict[tuple[int, ...], str]:
    """What a process that taskset binds to each cluster says of its cores. toybox's and util-linux's both take a hex mask."""
    named = {f"{sum(1 << core for core in cluster):x}": cluster for cluster in clusters}
    commands = {mask: f"taskset {mask} grep Cpus_allowed_list /proc/self/status" for mask in named}
    return {named[mask]: said for mask, said in ask(remote, commands).items()}


def _who(seen: _Seen) -> Iterable[Check]:
    facts = seen.facts
    yield Check("device", True, f"{facts.model}, {facts.soc or 'unknown chip'}, {facts.os_build}")
    yield Check(
        "processor",
        None if facts.abi is None else facts.abi in ABIS,
        facts.abi or f"not told (machine {facts.machine})",
        f"edgebench has a harness for {', '.join(ABIS)}; name another one that it runs with `abi:` in the target's file",
    )
    yield Check(
        "own hardware",
        None if facts.virtual is None else not facts.virtual,
        {True: "an emulator", False: "yes", None: "not told"}[facts.virtual],
        "figures of an emulator are those of the computer beneath: measure on a phone",
    )
    yield _cores(seen)


def _cores(seen: _Seen) -> Check:
    named = Clusters(seen.facts.clusters).named()
    found = "; ".join(f"{name} {','.join(map(str, cores))}" for name, cores in named.items())
    answers = {cluster: kernel.allowed_cores(text) for cluster, text in seen.pinned.items()}
    refused = [cluster for cluster, allowed in answers.items() if allowed != cluster]
    if not any(answers.values()):
        mend = "the device has no taskset to try it with: each launch reads back on which cores it may run"
        return Check("cores", None, f"{found}; pinning not tried", mend)
    if refused:
        said = ", ".join(",".join(map(str, cluster)) for cluster in refused)
        mend = "end battery saving and games modes, which keep programs off some cores, or name other --cores"
        return Check("cores", False, f"{found}; pinning to {said} did not hold", mend)
    return Check("cores", True, f"{found}; pinning holds")


def _place(seen: _Seen, folder: str) -> Iterable[Check]:
    yield from place_checks(seen.said, folder, elsewhere="on a phone /data/local/tmp, not /sdcard")
    if seen.said["journal"].strip():
        mend = "the next run restores them; now: adb shell sh " + Guard(folder).journal
        yield Check("settings", False, "a session that runs or died has changed some", mend)
    date_s = integer(seen.said["clock"])
    off_s = None if date_s is None else date_s - seen.now_s
    yield Check(
        "clock",
        None if off_s is None else abs(off_s) <= CLOCK_MAX_S,
        "not told" if off_s is None else f"{off_s:+.0f} s from this computer's",
        "switch on automatic date and time in the device's settings",
    )


def _heat(seen: _Seen) -> Iterable[Check]:
    service = thermal.thermal_service(seen.said["service"])
    limits = {
        limit.name: next((each for each in limit.hot_c if each is not None), None) for limit in service.thresholds
    }
    over = [
        f"{each.name} {each.celsius:.1f} °C, limit {limit:.1f}"
        for each in service.readings
        if (limit := limits.get(each.name)) is not None and each.celsius >= limit
    ]
    hottest = [reading for place in ("soc", "skin", "battery") if (reading := seen.thermal.hottest(place)) is not None]
    told = ", ".join(f"{each.place} {each.celsius:.1f} °C" for each in hottest)
    status = seen.thermal.status
    found = f"status {'not told' if status is None else status}; {'; '.join([told or 'no sensor can be read', *over])}"
    mend = "let it cool: screen off, out of its case, off the charger if that is what warms it"
    if service.overridden:
        yield Check("temperature", False, f"{found}; the status is made up", "run: adb shell cmd thermalservice reset")
    elif status is None and not hottest:
        yield Check("temperature", None, found, "without sensors the canaries alone tell heat")
    else:
        yield Check("temperature", not over and not status, found, mend)
    yield Check(
        "zones",
        True if seen.zones else None,
        ", ".join(seen.zones) or "none may be read",
        "many phones keep them from the shell: temperatures are then read between launches, and canaries watch inside",
    )


def _power(seen: _Seen) -> Iterable[Check]:
    state = seen.state
    percent = state.battery_percent
    if parse.battery(seen.said["battery"]).overridden:
        yield Check("battery", False, "its values are made up", "run: adb shell dumpsys battery reset")
    else:
        yield Check(
            "battery",
            None if percent is None else percent >= BATTERY_MIN_PERCENT,
            "not told" if percent is None else f"{percent:.0f} %",
            f"charge it to {BATTERY_MIN_PERCENT} %: below, phones slow down on their own",
        )
    yield Check("charger", state.charging, seen.facts.power_source or "not told", "plug it in: a run takes minutes")
    yield Check(
        "power saving",
        None if state.power_saving is None else not state.power_saving,
        {True: "on", False: "off", None: "not told"}[state.power_saving],
        "run: adb shell settings put global low_power 0, and switch off the maker's own saving modes",
    )
    yield Check(
        "screen",
        state.screen_on,
        {True: "on", False: "off", None: "not told"}[state.screen_on],
        "switch it on, at its darkest: with the screen off many phones lower the clock (adb shell input keyevent WAKEUP)",
    )
    stay = seen.said["stay"].strip()
    known = stay == "null" or integer(stay) is not None
    yield Check(
        "stay awake",
        # A screen that goes dark is recorded, and stops nobody.
        True if known and stay not in ("null", "0") else None,
        {"0": "off", "null": "off"}.get(stay, "on while charging") if known else "not told",
        "use --stay-awake, which is undone after the run, or Stay awake in the developer options",
    )


def _work(seen: _Seen) -> Iterable[Check]:
    cores = sum(len(cluster) for cluster in seen.facts.clusters)
    share = _busy_share(seen.said["load"])
    yield Check(
        "load",
        None if share is None else share * cores <= BUSY_MAX_CORES,
        "not told" if share is None else f"{share * cores:.2f} of {cores} cores busy with other work",
        "close apps, and wait for updates and synchronising to end (adb shell top shows what runs)",
    )


def _busy_share(stat: str) -> float | None:
    """The busy share of all cores' time between two readings of /proc/stat (man 5 proc: columns 4 and 5 are idle)."""
    rows = [
        [int(each) for each in re.findall(r"[0-9]{1,18}", line)] for line in stat.splitlines() if line[:4] == "cpu "
    ]
    if len(rows) != 2 or min(map(len, rows)) < 5:
        return None
    spent = [after - before for before, after in zip(*rows, strict=False)][:8]
    total = sum(spent)
    return None if total <= 0 else min(1.0, max(0.0, 1 - (spent[3] + spent[4]) / total))
