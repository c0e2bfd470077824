"""The device's undisturbed canaries, kept per device, core set and OS build: what every later launch is held against."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgebench.errors import LaunchFailed
from edgebench.files import sha256_bytes, write_atomic
from edgebench.measure.clock import Clock
from edgebench.measure.probe import Probe, Probed
from edgebench.records import CanaryReference, CanaryRow, DeviceFacts
from edgebench.records.codec import decode, encode

# The best of this many idle probes, with pauses, so that a neighbour's burst does not become the reference.
PROBES = 8
PAUSE_S = 0.5
# A probe that beats the stored reference by more than this shows that the reference was taken on a busy device. The memory
# canary varies more: it depends on what the last process left in the shared cache.
BETTER_RATIO = 0.95
MEMORY_BETTER_RATIO = 0.85


def reference_path(
    root: Path, device: DeviceFacts, cores: tuple[int, ...], canary_work: str, conditions: Sequence[str] = ()
) -> Path:
    """The file of one device, core set, OS build and canaries (``canary_work`` says which work they do).

    ``conditions`` are what sets the clock there on purpose: a power mode, settings that were changed for the run.
    """
    parts = (device.id, device.model, device.os_build, ",".join(map(str, cores)), canary_work, *conditions)
    return root / "references" / f"{sha256_bytes('|'.join(parts).encode())[:24]}.json"


def establish(path: Path, probe: Probe, clock: Clock) -> CanaryReference:
    """The stored reference, or a new one from idle probes; a stored one that a probe beats clearly is taken anew."""
    stored = _load(path)
    first = _probed(probe)
    if stored is not None and stored.source == first.source and not _beats(first.row, stored):
        return stored
    rows = [first.row]
    for _ in range(PROBES - 1):
        clock.sleep_s(PAUSE_S)
        rows.append(_probed(probe).row)
    reference = CanaryReference(
        clock_ns=min(row.clock_ns for row in rows),
        throughput_ns=min(row.throughput_ns for row in rows),
        memory_ns=min(row.memory_ns for row in rows),
        probes=len(rows),
        source=first.source,
        new=True,
    )
    write_atomic(path, encode(reference))
    return reference


def _probed(probe: Probe) -> Probed:
    """One probe, or a second one where it failed: a cable that was pushed back in ends no run. Raises LaunchFailed."""
    try:
        return probe()
    except LaunchFailed:
        return probe()


def _load(path: Path) -> CanaryReference | None:
    """The stored reference, not new any more; an unreadable one raises InvalidFile with its path."""
    if not path.is_file():
        return None
    stored = decode(CanaryReference, path.read_bytes(), path=str(path), hint=f"remove {path}: it will be made again")
    return msgspec.structs.replace(stored, new=False)


def _beats(row: CanaryRow, stored: CanaryReference) -> bool:
    return (
        row.clock_ns < BETTER_RATIO * stored.clock_ns
        or row.throughput_ns < BETTER_RATIO * stored.throughput_ns
        or row.memory_ns < MEMORY_BETTER_RATIO * stored.memory_ns
    )
