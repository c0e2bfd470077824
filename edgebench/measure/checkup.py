"""Whether a target's device is fit to be measured on, check by check."""

from __future__ import annotations

from collections.abc import Iterable

from edgebench.device.checks import Check, place_checks, place_questions, start_checks
from edgebench.device.host import HostDevice
from edgebench.device.linux.device import LinuxDevice
from edgebench.device.shell import ask
from edgebench.errors import DeviceBusy, DeviceRefused, NotInstalled
from edgebench.events import Emit
from edgebench.measure.opening import RIGHT_MODEL, wrong_model
from edgebench.measure.reaching import connected, place_of
from edgebench.records import DeviceFacts, GateLimits, TargetSpec
from edgebench.runtime.abis import ABIS
from edgebench.runtime.harness_build import find_harness, needed_to_build
from edgebench.transport.remote import Remote

# More runnable processes than this for each core means that something else is at work.
_LOAD_PER_CORE = 0.3


def checkup(target: TargetSpec, emit: Emit) -> tuple[Check, ...]:
    """Every check of the target's platform; of a device that somebody measures on, only who it is.

    Raises DeviceNotFound or DeviceUnauthorized where there is no device to look at.
    """
    if target.platform == "host":
        return machine_checks(HostDevice(), target.gate)
    try:
        return _remote_checks(target, emit)
    except DeviceBusy as busy:
        return (Check("use", False, busy.message, busy.hint),)


def _remote_checks(target: TargetSpec, emit: Emit) -> tuple[Check, ...]:
    with connected(target, emit) as (remote, device):
        if isinstance(device, LinuxDevice):
            place = place_of(target, remote).folder
            said = ask(remote, place_questions(place))
            there = place_checks(said, place, elsewhere="set XDG_CACHE_HOME there for the user that logs in")
            gpu = _gpu_checks(remote, target.python) if "tensorrt" in target.runtimes else ()
            checks = (*machine_checks(device, target.gate), *there, *_jetson_checks(device), *gpu)
        else:
            from edgebench.device.android.doctor import examine

            checks = examine(device, remote, gate=target.gate)
        facts = device.facts()
        checks = (*checks, *_harness_checks(target, facts))
        problem = wrong_model(target, facts)
    return (Check("target", False, problem, RIGHT_MODEL), *checks) if problem else checks


def _harness_checks(target: TargetSpec, facts: DeviceFacts) -> Iterable[Check]:
    """Whether the program for its processor is here, or can be built here, which is not done. Nothing for an unknown one."""
    abi = target.abi or facts.abi
    if abi not in ABIS:
        return
    if harness := find_harness(abi):
        yield Check("harness", True, f"{abi}, {harness.toolchain}")
    elif needed := needed_to_build(abi):
        yield Check(
            "harness",
            False,
            f"not here for {abi}, and cannot be built: something is missing on this machine",
            f"run: {'; '.join(needed)}",
        )
    else:
        yield Check(
            "harness", True, f"for {abi} is built by the first run, in minutes (edgebench harness build --abi {abi})"
        )


def _jetson_checks(device: LinuxDevice) -> tuple[Check, ...]:
    state = device.state()
    if device.platform != "jetson":
        return ()
    locked = {True: "locked", False: "free to move", None: "not told: sudo -n jetson_clocks may not be run there"}
    return (
        Check(
            "power mode",
            None if state.power_mode is None else True,
            state.power_mode or "not told",
            "run nvpmodel -q there",
        ),
        Check(
            "clocks",
            None if state.clocks_locked is None else True,
            locked[state.clocks_locked],
            "for --lock-clocks allow `sudo -n jetson_clocks` there without a password (visudo)",
        ),
    )


def _gpu_checks(remote: Remote, python: str | None) -> tuple[Check, ...]:
    """What measuring on an NVIDIA GPU needs beside the machine."""
    from edgebench.runtime.monitors import find_monitor
    from edgebench.runtime.python_agent import find_python
    from edgebench.runtime.tensorrt.agent import TENSORRT
    from edgebench.runtime.tensorrt.trtexec import find_trtexec

    try:
        trtexec = find_trtexec(remote)
        engine = Check("TensorRT", True, f"{trtexec.version_text}, {trtexec.path}")
    except NotInstalled as missing:
        try:
            path, version = find_python(remote, TENSORRT, python)
            engine = Check("TensorRT", True, f"{version}, the Python package of {path}; there is no trtexec")
        except (NotInstalled, DeviceRefused):
            engine = Check("TensorRT", False, missing.message, missing.hint)
    monitor = find_monitor(remote)
    seen = Check(
        "GPU monitor",
        None if monitor is None else True,
        monitor or "neither tegrastats nor nvidia-smi",
        "without one no launch is better than SUSPECT: nothing tells the GPU's clock",
    )
    return (engine, seen)


def machine_checks(device: LinuxDevice, gate: GateLimits) -> tuple[Check, ...]:
    """What a measurement on a Linux machine needs; ``gate`` are the limits that a launch waits for."""
    facts, thermal, state, load = device.facts(), device.thermal_state(), device.state(), device.load_average()
    cores = sum(len(cluster) for cluster in facts.clusters)
    warmest = thermal.hottest()
    governor = facts.governor
    return (
        Check("device", True, f"{facts.model}, {facts.soc or facts.machine}, {facts.os_build}"),
        Check("cores", True, f"{cores} may be used, in {len(facts.clusters)} cluster(s)"),
        Check(
            "load",
            None if load is None else load <= _LOAD_PER_CORE * cores,
            "not told" if load is None else f"{load:.2f} processes ran at once in the last minute",
            "stop what else runs (top shows it), or wait until it is over",
        ),
        Check(
            "governor",
            None if governor is None else "powersave" not in governor,
            governor or "not told",
            "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
            if governor
            else "the machine does not tell: the canaries watch the clock",
        ),
        Check(
            "power",
            None if state.charging is None else state.charging,
            facts.power_source or "not told",
            "the machine does not tell, as boards and servers do not"
            if state.charging is None
            else "plug the charger in: a machine on its battery slows itself down",
        ),
        Check(
            "temperature",
            None if warmest is None else True,
            f"{warmest.name} at {warmest.celsius:.1f} °C" if warmest else "no sensor can be read",
            "without sensors the canaries alone tell heat",
        ),
        *start_checks(thermal, gate),
        Check(
            "own hardware",
            # Nobody can mend that: it is told.
            None if facts.virtual is not False else True,
            {True: "a virtual machine", False: "yes", None: "not told"}[facts.virtual],
            "others share this machine's cache and memory: look at every verdict, and measure again at another hour",
        ),
    )
