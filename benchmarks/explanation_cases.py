"""What ``benchmarks.explanations`` does to the second of two results, and what is to be said of it then."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.simulated_phone import CORE
from benchmarks.throttling_cases import RATIOS
from edgebench.records.explain import MechanismName
from edgebench.records.plan import Option
from tests.virtual_phone.profiles import Core

# Two cores of unlike speed, of which everything that is not measured keeps to the first.
SLOW_CORE, CORES = 0, (Core(1_800_000), Core(2_800_000))

Group = Literal["single", "double", "decoy", "same"]


@dataclass(frozen=True)
class Change:
    """What is changed on the phone, or in how it is measured; None and empty are as the twin has it.

    ``busy`` is the share of its core's time for which another process computes there, ``options`` are ncnn's.
    """

    level: int = 0
    skin_c: float | None = None
    status_stuck: bool = False
    slow_core: bool = False
    threads: int = 1
    busy: float = 0.0
    options: dict[str, Option] = field(default_factory=dict)
    power_saving: bool = False
    governor: str | None = None
    unplugged: bool = False
    screen_off: bool = False
    setting: str | None = None
    renamed: bool = False
    os_build: str | None = None

    @property
    def slowdown(self) -> float:
        """By how much the virtual clock stretches the phone's time."""
        slow_core = CORES[CORE].max_khz / CORES[SLOW_CORE].max_khz if self.slow_core else 1.0
        return slow_core / RATIOS[self.level]

    def beside(self, other: Change) -> Change:
        """Both at once; raises ValueError where both change the same."""
        nothing = Change()
        fields: dict[str, Any] = {}
        for name in self.__dataclass_fields__:
            mine, theirs, unchanged = (getattr(each, name) for each in (self, other, nothing))
            if unchanged not in (mine, theirs):
                raise ValueError(f"both change {name}")
            fields[name] = theirs if mine == unchanged else mine
        return Change(**fields)


@dataclass(frozen=True)
class Expected:
    """What is to be named: one of ``mechanisms``, and ``cause`` behind it.

    ``on_card``: the cause stands on the identity card. One that does not cannot be told without telemetry; the mechanism can.
    """

    mechanisms: tuple[MechanismName, ...]
    cause: str
    on_card: bool = False


# The slow core's clock is all that is slow about it here: a canary's clock says it, not its multiply-adds.
EXPECTED = {
    "clock": Expected(("clock",), "power saving"),
    "core": Expected(("clock", "core type"), "core type", on_card=True),
    "heat": Expected(("clock",), "heat"),
    "build flag": Expected(("work",), "options", on_card=True),
    "thread count": Expected(("work",), "thread count", on_card=True),
    "other load": Expected(("contention",), "another process"),
}
DOUBLES = (
    ("heat", "build flag"),
    ("clock", "thread count"),
    ("other load", "build flag"),
    ("core", "build flag"),
    ("heat", "other load"),
    ("clock", "other load"),
    ("heat", "thread count"),
    ("core", "other load"),
    ("core", "heat"),
    ("clock", "build flag"),
)
DECOYS = ("governor", "charger", "screen", "setting", "artifact", "option", "os build")
NUMBERS: dict[Group, int] = {"single": 60, "double": 20, "decoy": 20, "same": 60}
# Of each planted cause, this many without telemetry: 20 of the 60 in all.
_UNTOLD = {"clock": 4, "core": 3, "heat": 4, "build flag": 3, "thread count": 3, "other load": 3}
# Levels of 1 %: from where the latency rises by 9 % to where it rises by two thirds.
_LEVELS = (8, 40)
_WARM_C = (38.0, 48.0)
_BUSY = (0.2, 0.6)


@dataclass(frozen=True)
class Case:
    """One pair of results. ``untold``: told without what the device says of heat, frequency, power and processor time."""

    number: int
    group: Group
    planted: tuple[str, ...]
    change: Change
    untold: bool = False


def cases() -> list[Case]:
    """All of them, in an order drawn once, so that what the machine beneath does falls on all alike."""
    every: list[tuple[Group, tuple[str, ...], bool]] = []
    singles = NUMBERS["single"] // len(EXPECTED)
    every += [("single", (name,), at < _UNTOLD[name]) for name in EXPECTED for at in range(singles)]
    every += [("double", DOUBLES[at % len(DOUBLES)], False) for at in range(NUMBERS["double"])]
    every += [("decoy", (DECOYS[at % len(DECOYS)],), False) for at in range(NUMBERS["decoy"])]
    every += [("same", (), False)] * NUMBERS["same"]
    order = random.Random(5)  # noqa: S311  (an order that can be repeated)
    order.shuffle(every)
    return [
        Case(number, group, planted, _changed(group, planted, random.Random(number)), untold)  # noqa: S311  (as above)
        for number, (group, planted, untold) in enumerate(every)
    ]


def _changed(group: Group, planted: Sequence[str], order: random.Random) -> Change:
    change = Change()
    for name in planted:
        change = change.beside(_decoy(name, order) if group == "decoy" else _cause(name, order))
    return change


def _cause(name: str, order: random.Random) -> Change:
    level = order.randint(*_LEVELS)
    if name == "clock":
        return Change(level=level, power_saving=True)
    if name == "heat":
        return Change(level=level, skin_c=order.uniform(*_WARM_C), status_stuck=order.random() < 0.5)
    if name == "core":
        return Change(slow_core=True)
    if name == "build flag":
        return Change(options={"use_winograd_convolution": False})
    if name == "thread count":
        return Change(threads=2)
    return Change(busy=order.uniform(*_BUSY))


def _decoy(name: str, order: random.Random) -> Change:
    if name == "governor":
        return Change(governor=order.choice(("schedutil", "walt", "performance")))
    if name == "charger":
        return Change(unplugged=True)
    if name == "screen":
        return Change(screen_off=True)
    if name == "setting":
        return Change(setting="stay awake while plugged in")
    if name == "artifact":
        return Change(renamed=True)
    if name == "option":
        return Change(options={"use_a53_a55_optimized_kernel": True})
    return Change(os_build="google/husky/husky:15/AP4A.250105.002/12701944:user/release-keys")
