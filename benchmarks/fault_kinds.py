"""What can happen to a run on a phone, drawn at random, and how it is seen to have struck."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.virtual_phone.faults import (
    CorruptPush,
    DropCommand,
    DropPush,
    Faults,
    FullStorage,
    KillProcess,
    TruncatePull,
)

Event = Mapping[str, Any]
Kinds = Mapping[str, Callable[[random.Random], dict[str, Any]]]
"""By name: what is drawn of a case."""
# The harness, the largest file that is pushed, has 21 MB.
_PUSHED_BYTES = 21_000_000
# In the phone's store the harness is named by its hash, which is filled in when the case is played.
HARNESS = "{harness}"
# What every command that starts a harness contains.
WAITS = "wait $harness"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One fault and the run it is injected into.

    ``at`` is the moment, as a share of what an undisturbed run takes. ``faults`` are in force from then for ``for_s``, or to
    the run's end; ``signals`` go to the edgebench process, ``gap_s`` apart. With ``fresh_store`` the phone has none of
    the run's files, so that they are pushed. ``gated`` and ``verified`` are flags of the run. With ``guarded`` the next run
    comes only when the phone's own guard had its time. ``stay_on`` is what the user's setting was before.
    """

    kind: str
    at: float
    faults: Faults | None = None
    for_s: float | None = None
    signals: tuple[signal.Signals, ...] = ()
    gap_s: float = 0.0
    reboots: bool = False
    fresh_store: bool = False
    gated: bool = False
    verified: bool = False
    guarded: bool = False
    stay_on: str = "0"
    struck: Callable[[Iterable[Event]], bool] = field(default=lambda _events: True, repr=False)
    """Whether what the phone noted since the injection shows the fault; True where being in force is all there is."""

    @property
    def away_s(self) -> float:
        """How long the phone may be out of reach after the run's end."""
        return self.faults.stay_away_s if self.faults else 0.0


def draw(seed: int, number: int) -> Case:
    """The case of this number on a phone."""
    return drawn(KINDS, seed, number)


def drawn(kinds: Kinds, seed: int, number: int) -> Case:
    """The case of this number: the kinds take turns in an order drawn anew each round, so that each gets its share."""
    names = list(kinds)
    turn, place = divmod(number, len(names))
    random.Random(f"{seed}/{turn}").shuffle(names)  # noqa: S311  (not for secrets: repeatable)
    rng = random.Random(f"{seed}/{turn}/{place}")  # noqa: S311
    name = names[place]
    common = {
        "kind": name,
        "at": 0.85 * rng.random(),
        "gated": rng.random() < 0.15,
        "verified": rng.random() < 0.3,
        "guarded": rng.random() < 0.5,
        "stay_on": rng.choice(["0", "1", "3"]),
    }
    return Case(**{**common, **kinds[name](rng)})


def _unplugged(events: Iterable[Event]) -> bool:
    return any(event["event"] == "unplugged" for event in events)


def _away_s(rng: random.Random) -> float:
    """Mostly a cable that is pushed back in, now and then one that is not while the run waits."""
    return rng.choice([0.0, 0.0, 2.0, 6.0, 6.0, 20.0, 75.0])


def _drop_command(rng: random.Random) -> dict[str, Any]:
    # Most commands live for some ms, a launch for a second.
    after_ms = rng.randrange(rng.choice([5, 50, 1000]))
    where: dict[str, Any] = rng.choice([{"after_ms": after_ms}, {"after_bytes": rng.randrange(50)}])
    which = rng.choice(["", "", WAITS, WAITS, "plan.json", "trace.jsonl", "lease"])
    drop = DropCommand(**where, containing=which, nth=1, times=1)
    return {
        "at": 0.5 * rng.random(),
        "faults": Faults(drop_command=drop, stay_away_s=_away_s(rng)),
        "struck": _unplugged,
    }


def _drop_push(rng: random.Random) -> dict[str, Any]:
    after_bytes = rng.choice([rng.randrange(200), rng.randrange(_PUSHED_BYTES)])
    drop = DropPush(after_bytes=after_bytes, times=1, keeps_part=rng.random() < 0.5)
    faults = Faults(drop_push=drop, stay_away_s=_away_s(rng))
    return {"at": 0.1 * rng.random(), "faults": faults, "fresh_store": True, "struck": _unplugged}


def _truncate_pull(rng: random.Random) -> dict[str, Any]:
    fault = TruncatePull(to_bytes=rng.randrange(3000), times=rng.choice([1, None]))
    return {
        "at": 0.6 * rng.random(),
        "faults": Faults(truncate_pull=fault),
        "struck": lambda events: any(event.get("truncated") for event in events),
    }


def _kill_harness(rng: random.Random) -> dict[str, Any]:
    fault = KillProcess(containing=HARNESS, after_ms=rng.randrange(400), times=rng.choice([1, 1, None]))
    return {
        "at": 0.6 * rng.random(),
        "faults": Faults(kill_process=fault),
        "struck": lambda events: any(event["event"] == "killed" for event in events),
    }


def _full_storage(rng: random.Random) -> dict[str, Any]:
    after_bytes = rng.choice([0, rng.randrange(3000), rng.randrange(_PUSHED_BYTES)])
    fault = FullStorage(after_bytes=after_bytes, times=rng.choice([1, None]), keeps_part=rng.random() < 0.5)
    return {
        "at": 0.1 * rng.random(),
        "faults": Faults(full_storage=fault),
        "fresh_store": rng.random() < 0.7,
        "struck": lambda events: any(event["event"] == "push_failed" for event in events),
    }


def _corrupt_push(rng: random.Random) -> dict[str, Any]:
    at_byte = rng.choice([rng.randrange(200), rng.randrange(_PUSHED_BYTES)])
    return {
        "at": 0.1 * rng.random(),
        "faults": Faults(corrupt_push=CorruptPush(at_byte=at_byte, times=1)),
        "fresh_store": True,
        "struck": lambda events: any(e["event"] == "push" and e["received_bytes"] > at_byte for e in events),
    }


def _frozen(rng: random.Random) -> dict[str, Any]:
    return {"faults": Faults(frozen=True), "for_s": rng.choice([1.0, 4.0, 15.0, 50.0]) * (0.5 + rng.random())}


def _offline(rng: random.Random) -> dict[str, Any]:
    return {"faults": Faults(offline=True), "for_s": rng.choice([1.0, 5.0, 20.0]) * (0.5 + rng.random())}


def _unauthorized(rng: random.Random) -> dict[str, Any]:
    return {"faults": Faults(unauthorized=True), "for_s": rng.choice([2.0, 10.0, 80.0]) * (0.5 + rng.random())}


def _without_features(rng: random.Random) -> dict[str, Any]:
    return {"faults": Faults(without_features=("shell_v2",)), "for_s": 2.0 + 8.0 * rng.random()}


def _slow_link(rng: random.Random) -> dict[str, Any]:
    bytes_per_s = rng.choice([200, 5_000, 2_000_000])
    return {
        "faults": Faults(link_bytes_per_s=bytes_per_s),
        "for_s": 3.0 + 9.0 * rng.random(),
        "fresh_store": rng.random() < 0.3,
    }


def _reboot(_rng: random.Random) -> dict[str, Any]:
    return {"reboots": True}


def _ctrl_c(_rng: random.Random) -> dict[str, Any]:
    return {"signals": (signal.SIGINT,)}


def _ctrl_c_twice(rng: random.Random) -> dict[str, Any]:
    return {"signals": (signal.SIGINT, signal.SIGINT), "gap_s": 0.4 * rng.random()}


def _ctrl_c_unplugged(rng: random.Random) -> dict[str, Any]:
    """The impatient: the cable falls out, and the run is ended by hand."""
    drop = DropCommand(after_ms=0, times=1)
    return {
        "faults": Faults(drop_command=drop, stay_away_s=20.0),
        "signals": (signal.SIGINT,),
        "gap_s": 3 * rng.random(),
    }


def _terminated(_rng: random.Random) -> dict[str, Any]:
    return {"signals": (signal.SIGTERM,)}


def _killed(_rng: random.Random) -> dict[str, Any]:
    return {"signals": (signal.SIGKILL,)}


OF_THE_RUN: Kinds = {
    "Ctrl-C": _ctrl_c,
    "Ctrl-C twice": _ctrl_c_twice,
    "unplugged, then Ctrl-C": _ctrl_c_unplugged,
    "SIGTERM": _terminated,
    "SIGKILL": _killed,
}


def of_files() -> Kinds:
    """What happens to commands, to files on their way, and to the harness: the same on every device."""
    return {
        "connection dropped mid-command": _drop_command,
        "connection dropped mid-push": _drop_push,
        "truncated pull": _truncate_pull,
        "harness killed": _kill_harness,
        "storage full": _full_storage,
        "corrupt push": _corrupt_push,
    }


KINDS: Kinds = {
    **of_files(),
    "daemon frozen": _frozen,
    "device offline": _offline,
    "authorisation withdrawn": _unauthorized,
    "shell_v2 gone": _without_features,
    "link slow": _slow_link,
    "device rebooted": _reboot,
    **OF_THE_RUN,
}
