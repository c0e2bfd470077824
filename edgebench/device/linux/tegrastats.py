"""What NVIDIA's ``tegrastats`` prints, a line a sample, on every Jetson and release: what cannot be read is None or absent.

A word counts only whole and with its unit; a thing that a line says twice and not alike is not known. A line counts only from
its head to its end, and in the shape that most lines of its file have: one that lost its middle says what no sensor told. What
nothing can tell is a number that lost digits and nothing else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeVar

from edgebench.device.linux.board_sample import BoardSample, CoreLoad
from edgebench.device.temperature import plausible

# All releases begin with it, newer ones after the time.
_HEAD = re.compile(r"(?:[0-9]{2}-[0-9]{2}-[0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} )?RAM [0-9]+/[0-9]+MB(?!\S)")
# What changes from line to line on one board: what stands in brackets, whether a core or engine is off, numbers, loads. Digits
# of names do not.
_CHANGES = re.compile(r"\([^()]*\)|(?<![\w.])(?:off\b|-?[0-9.]+(?:%(?:@[0-9]+)?)?)")
_RAM = re.compile(r"(?<!\S)(RAM|SWAP) ([0-9]{1,9})/([0-9]{1,9})MB(?!\S)")
_CPU = re.compile(r"(?<!\S)(?:CPU|cpu) \[([^\[\]]*)\](?:@[0-9]{1,6})?(?!\S)")
_CORE = re.compile(r"([0-9]{1,3})%(?:@([0-9]{1,6}))?")
_EMC = re.compile(r"(?<!\S)EMC(?:_FREQ)? ([0-9]{1,3})%(?:@([0-9]{1,6}))?(?!\S)")
_GPU = re.compile(r"(?<!\S)GR3D(?:_FREQ)? ([0-9]{1,3})%(?:@(?:([0-9]{1,6})|\[([0-9]{1,6}(?:,[0-9]{1,6})*)\]))?(?!\S)")
_TEMPERATURE = re.compile(
    r"(?<!\S)([A-Za-z][A-Za-z0-9_]*)@(-?[0-9]{1,4}(?:\.[0-9]{1,6})?)C(?:/-?[0-9]{1,4}(?:\.[0-9]{1,6})?C)?(?!\S)"
)
# Since L4T 34 with its unit. The first is of now, the others are averages.
_POWER = re.compile(r"(?<!\S)([A-Z][A-Z0-9_]*) ([0-9]{1,7})(mW|)/[0-9]{1,7}\3(?:/[0-9]{1,7}\3)?(?!\S)")
# The fixed trip point of the power chip, not a reading of it (50 or 100 on every sample).
_NO_TEMPERATURE = ("PMIC",)
# Not connected; and memory, whose unit may have got lost.
_NO_RAIL = ("NC", "RAM", "SWAP", "IRAM")

T = TypeVar("T")


def parse_tegrastats(text: str) -> tuple[BoardSample, ...]:
    """Every finished line that holds anything and has the shape of most of them, in order; of any shape where none has most."""
    # Whoever reads while it writes gets half a line, and half a number.
    lines = [line.strip() for line in text[: text.rfind("\n") + 1].splitlines()]
    lines = [line for line in lines if _HEAD.match(line)]
    shapes = [_CHANGES.sub("#", line[line.index("RAM ") :]) for line in lines]
    usual, count = next(iter(Counter(shapes).most_common(1)), ("", 0))
    samples = [
        parse_line(line) for line, shape in zip(lines, shapes, strict=True) if shape == usual or 2 * count <= len(lines)
    ]
    return tuple(sample for sample in samples if sample != BoardSample())


def parse_line(line: str) -> BoardSample:
    """One finished line; nothing of what has another head than all lines have."""
    if not _HEAD.match(line):
        return BoardSample()
    memory = {(found[2], found[3]) for found in _RAM.finditer(line) if found[1] == "RAM"}
    used, total = next(iter(memory)) if len(memory) == 1 else (None, None)
    used_mb, total_mb = _number(used), _number(total)
    sound = used_mb is not None and total_mb is not None and used_mb <= total_mb
    memory_percent, memory_mhz = _only(_load(found[1], found[2]) for found in _EMC.finditer(line)) or (None, None)
    gpu = _only(_load(found[1], _fastest(found[2], found[3])) for found in _GPU.finditer(line))
    gpu_percent, gpu_mhz = gpu or (None, None)
    return BoardSample(
        ram_used_mb=used_mb if sound else None,
        ram_total_mb=total_mb if sound else None,
        cores=_only(_cores(found[1]) for found in _CPU.finditer(line)),
        memory_percent=memory_percent,
        memory_mhz=memory_mhz,
        gpu_percent=gpu_percent,
        gpu_mhz=gpu_mhz,
        temperature_c=_unanimous(
            (found[1], degrees_c)
            for found in _TEMPERATURE.finditer(line)
            # A sensor that is off says -256.
            if found[1] not in _NO_TEMPERATURE and plausible(degrees_c := float(found[2]))
        ),
        power_mw=_unanimous((found[1], int(found[2])) for found in _POWER.finditer(line) if found[1] not in _NO_RAIL),
    )


def _cores(text: str) -> tuple[CoreLoad | None, ...] | None:
    cores: list[CoreLoad | None] = []
    for each in text.split(","):
        found = _CORE.fullmatch(each)
        if found and int(found[1]) <= 100:
            cores.append(CoreLoad(int(found[1]), _number(found[2])))
        elif each == "off":
            cores.append(None)
        else:
            return None
    # A clock stands beside every core, or beside none.
    return tuple(cores) if len({core.mhz is None for core in cores if core}) <= 1 else None


def _load(percent: str, mhz: str | None) -> tuple[int, int | None] | None:
    return (int(percent), _number(mhz)) if int(percent) <= 100 else None


def _fastest(one: str | None, several: str | None) -> str | None:
    return max(several.split(","), key=int) if several else one


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _only(found: Iterable[T | None]) -> T | None:
    """What all agree on."""
    values = list(found)
    return values[0] if values and all(value == values[0] for value in values) else None


def _unanimous(found: Iterator[tuple[str, T]]) -> dict[str, T]:
    """By name; without those that are told differently."""
    values: dict[str, list[T]] = {}
    for name, value in found:
        values.setdefault(name, []).append(value)
    return {name: each[0] for name, each in values.items() if all(value == each[0] for value in each)}
