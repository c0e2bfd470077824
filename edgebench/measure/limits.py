"""Limits beyond which a launch is doubted or not believed, and what they were read off."""

from __future__ import annotations

from dataclasses import dataclass

from edgebench.records import DeviceFacts


@dataclass(frozen=True)
class Limits:
    """Ratios are to the device's reference canaries; ``suspect`` and ``invalid`` are exclusive upper limits.

    Read off launches recorded on a virtual x86_64 machine with two cores (2026-11-22): 480 of ``benchmarks.intervals`` with
    other work on the other core, those of ``benchmarks.busy_sibling`` with and without a competing process, and for memory
    the 290 of 29 networks of a first table of backbones, 237 of them within 5 % of their network's calmest tenth. Quantiles
    there, undisturbed: clock 99 % 1.013, throughput 99 % 1.035, memory 95 % 1.52, off-CPU 95 % 0.5 %. A suspect limit lies
    above these; an invalid one where the launch is plainly another one (a competitor on the same core: off-CPU 11 to 60 %).
    Others' work, judged above one thread: 0.2 to 2.8 % of two cores in 10 quiet launches of two threads (ONNX Runtime, ncnn),
    43 to 50 % in 16 beside a busy loop on one of the two.
    The clock's suspect limit lies just above its quantile, and the invalid one below the smallest step by which any phone or
    board throttles whose frequencies are known (5 to 20 %): one step is a launch on another device, and a median that may be
    off by 5 % is worth nothing where runs shall agree within 3 % (benchmarks.phone_premise).
    Interruptions are a launch's mean, read off 77 quiet launches of an AMD core (2026-11-28, the time that the blocks lose on
    their own): 0.7 % at the median, 1.4 % at 95 %, 2.0 % at most; one stall of 4 ms among four readings (35 ms each) is 2.8 %.
    ``contended_suspect`` is a share of the canaries of a launch that holds the load, and judgement: undisturbed launches have
    a throughput that stands out in 1 % of them.
    Frequency, temperature and steal read nothing on that machine: theirs are judgement, to be measured on phones. The rise
    is of the body alone (skin, battery): a chip's junction rises by 20 °C within seconds of any load, and falls as fast.
    """

    clock_suspect: float = 1.02
    clock_invalid: float = 1.05
    throughput_suspect: float = 1.06
    throughput_invalid: float = 1.35
    memory_suspect: float = 1.55
    memory_invalid: float = 2.0
    interrupted_suspect: float = 0.03
    interrupted_invalid: float = 0.20
    frequency_drop_suspect: float = 0.05
    temperature_rise_suspect_c: float = 3.0
    steal_suspect: float = 0.01
    steal_invalid: float = 0.10
    off_cpu_suspect: float = 0.02
    off_cpu_invalid: float = 0.20
    others_suspect: float = 0.05
    others_invalid: float = 0.10
    suspend_invalid_ms: float = 5.0
    status_suspect: int = 2
    battery_suspect_percent: float = 20.0
    monitor_suspect: float = 0.01
    contended_suspect: float = 0.1


DEFAULT_LIMITS = Limits()
# A guest's clock is its host's, which other guests move by themselves: over 628 undisturbed launches on a virtual machine
# (twins of benchmarks.phone_throttling) it read 1.036 of its reference at 90 %, 1.062 at 99 %.
VIRTUAL_LIMITS = Limits(clock_suspect=1.04, clock_invalid=1.15)


def limits_of(facts: DeviceFacts) -> Limits:
    """Those that hold for a device."""
    return VIRTUAL_LIMITS if facts.virtual else DEFAULT_LIMITS
