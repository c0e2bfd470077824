"""What the agent asks of the kernel: where it may run, which clocks there are, how the device feels."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import signal
import sys
import threading
import time
from typing import Callable, Dict, List, Optional, Tuple

from .wire import AgentError, Json, TraceWriter

# Python's own watchdog thread needs the interpreter lock, which a hung C call may hold for ever: after this much more
# the kernel ends the process.
ALARM_AFTER_DEADLINE_S = 2.0
HEARTBEAT_LOOK_S = 0.5
# The controller's number, where this process is its own child.
CONTROLLER_VARIABLE = "EDGEBENCH_CONTROLLER"
PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Below and above, a thermal zone does not report a temperature (phones have zones of 125000 d°C, of -40, of -274). The
# controller's own readings and the native harness (readings.cpp) have the same limits.
PLAUSIBLE_C = (-20.0, 150.0)
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def pin(cores: List[int], threads: int) -> None:
    """Binds this process, and so every thread it starts later, to ``cores``. What became of it is read back, not raised.

    Must run before numpy or a runtime is imported: their worker threads inherit the affinity when they start.
    """
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    try:
        os.sched_setaffinity(0, cores)
    except OSError as error:
        print("cannot pin to cores {}: {}".format(cores, error), file=sys.stderr)  # noqa: T201


def allowed_cores() -> Tuple[int, ...]:
    """The cores that any thread of this process may run on, read back from the kernel."""
    cores = set()
    for task in os.listdir("/proc/self/task"):
        try:
            cores |= os.sched_getaffinity(int(task))
        except ProcessLookupError:  # the thread ended since the listing
            continue
    return tuple(sorted(cores))


def core_reader() -> Callable[[], int]:
    """A function that tells the core the caller runs on, -1 where libc cannot say."""
    try:
        function = ctypes.CDLL(None).sched_getcpu
    except (OSError, AttributeError):
        return lambda: -1
    function.argtypes = []
    function.restype = ctypes.c_int
    reader: Callable[[], int] = function
    return reader


def boot_minus_monotonic_ns() -> Optional[int]:
    """CLOCK_BOOTTIME - CLOCK_MONOTONIC: it grows by the time the device was suspended. None where there is no boot clock."""
    try:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    except (AttributeError, OSError):
        return None


def facts() -> Dict[str, str]:
    """The machine as the interpreter sees it."""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def telemetry(cores: List[int], thermal_zones: Dict[str, str]) -> Json:
    """The fields of a telemetry row: what cannot be read is absent from its map, or None."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    steal_ms, busy_ms = _core_times_ms(cores)
    return {
        "frequency_khz": _frequencies_khz(cores),
        "temperature_c": _temperatures_c(thermal_zones),
        "steal_ms": steal_ms,
        "cores_busy_ms": busy_ms,
        "involuntary_switches": usage.ru_nivcsw,
        "major_faults": usage.ru_majflt,
        "cpu_time_ns": time.process_time_ns(),
    }


def memory_peak_bytes() -> Optional[int]:
    """VmHWM. Not ru_maxrss: that survives exec and would report the peak of the process that started this one."""
    for line in (_read("/proc/self/status") or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def start_watchdog(deadline_s: float, trace: TraceWriter, heartbeat: Optional[Tuple[str, float]] = None) -> None:
    """Ends this process with an error row, whatever the main thread does: ``deadline`` once ``deadline_s`` are over,
    ``heartbeat`` once the file of ``heartbeat`` was not renewed for its so many seconds."""

    def watch() -> None:
        if heartbeat is None:
            time.sleep(deadline_s)
        elif not _outlives(deadline_s, *heartbeat):
            trace.error("heartbeat", "nobody has renewed the heartbeat for too long")
            os._exit(1)
        trace.error("deadline", "the plan's deadline of {:g} s passed".format(deadline_s))
        os._exit(1)

    threading.Thread(target=watch, name="watchdog", daemon=True).start()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, deadline_s + ALARM_AFTER_DEADLINE_S)


def _outlives(deadline_s: float, path: str, max_age_s: float) -> bool:
    """Waits for the deadline; False as soon as the file has not changed for so long, by the monotonic clock."""
    end_s = time.monotonic() + deadline_s
    seen, since_s = None, time.monotonic()
    while time.monotonic() < end_s:
        try:
            beat = os.stat(path).st_mtime_ns
        except OSError:
            return False
        now_s = time.monotonic()
        if beat != seen:
            seen, since_s = beat, now_s
        if now_s - since_s > max_age_s:
            return False
        time.sleep(min(HEARTBEAT_LOOK_S, max_age_s / 4.0))
    return True


def _frequencies_khz(cores: List[int]) -> Dict[str, int]:
    found = {}
    for core in cores:
        text = _read("/sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq".format(core))
        if text is not None and text.strip().isdigit():
            found[str(core)] = int(text)
    return found


def _temperatures_c(zones: Dict[str, str]) -> Dict[str, float]:
    found = {}
    for name, path in zones.items():
        try:
            value = float(_read(path) or "")
        except ValueError:
            continue
        degrees_c = celsius(value)
        # Of "nan" neither holds.
        if PLAUSIBLE_C[0] <= degrees_c <= PLAUSIBLE_C[1]:
            found[name] = degrees_c
    return found


def celsius(value: float) -> float:
    """A thermal zone's reading: the kernel promises m°C, phones also give d°C and °C (shown by their magnitude)."""
    if abs(value) >= 2000:
        return value / 1000
    return value / 10 if abs(value) >= 200 else value


# Columns of a core's line in /proc/stat, man 5 proc: user, nice, system, irq, softirq; and steal.
_BUSY = (1, 2, 3, 6, 7)
_STEAL = 8


def _core_times_ms(cores: List[int]) -> Tuple[Optional[float], Optional[float]]:
    """Time that a hypervisor gave to others, and time that anybody's work ran, summed over ``cores``."""
    names = {"cpu{}".format(core) for core in cores}
    lines = [f for f in map(str.split, (_read("/proc/stat") or "").splitlines()) if f and f[0] in names]
    lines = [f for f in lines if len(f) > _STEAL]
    if not lines:
        return None, None
    tick_ms = 1000.0 / os.sysconf("SC_CLK_TCK")
    return sum(int(f[_STEAL]) for f in lines) * tick_ms, sum(int(f[k]) for f in lines for k in _BUSY) * tick_ms


def _read(path: str) -> Optional[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def die_with_parent() -> None:
    """Has the kernel kill this process when its controller dies, however that happens: no orphan keeps the device hot.

    Raises AgentError where it has died already, while this process was still starting.
    """
    # Where there is no such call the deadline still ends the agent.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    controller = os.environ.get(CONTROLLER_VARIABLE)
    if controller is not None and str(os.getppid()) != controller:
        raise AgentError("orphaned", "the controller ended before the launch began")
