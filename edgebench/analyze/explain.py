"""Why two results differ. Mechanisms share the log ratio among them, so that nothing is counted twice; causes only annotate.

In this order, each from what is left of the ratio by those before:

*clock*: a chain of one-cycle operations takes as much longer as the clock is slower, and so does a network that computes.
*core type*: on a core of another kind, what independent multiply-adds take beyond that.
*contention*: where the process was off its core, its multiply-adds slower than its clock, or its memory slower, something else
ran. How much of that reaches a network differs (the multiply-adds slow down by 58 % beside a busy sibling thread, a network by
13 %): it is credited with no more than is left, and with no more than the canaries lost.
*work*: what is left where something differs that is to be computed or by what. Where the processor's own counters were lent to
both (perf_event_open), other work is told by other instructions, and by nothing else.
*residual*: what nothing recorded accounts for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median

from msgspec.structs import replace

from edgebench.analyze.conditions import Conditions, Level
from edgebench.records import Identity, ProfileRecord
from edgebench.records.explain import Cause, Mechanism, MechanismName

# A mechanism is named where it moved the latency by this much, and by so many standard errors: those are of a handful of
# launches each, and sessions differ by more than launches of one.
NAMED_LEAST, NAMED_ERRORS = 0.03, 4.0
# What its own evidence proves is named where the latency lies as many standard errors on that side.
BORNE_OUT_ERRORS = 2.0
# A canary that moved less than this tells of no contention: undisturbed ones differ by as much (measure.limits.Limits).
CONTENTION_LEAST = {"throughput": 0.035, "memory": 0.15, "off the core": 0.01}
# Two runs of the same code differ by less in the instructions of an iteration.
OTHER_INSTRUCTIONS = 0.01
# A body or chip that is so much warmer is evidence of heat; a start temperature is read to about 1 °C.
WARMER_C = 3.0
# Other processes on the used cores, as a share of their time.
OTHERS_LEAST = 0.02
# Fields of the identity card that say what is computed, and by what.
WORK_FIELDS = {
    "artifact": "model",
    "format": "format",
    "precision_stored": "precision",
    "precision_computed": "precision",
    "runtime": "runtime",
    "runtime_version": "build",
    "runtime_options": "options",
    "inputs": "inputs",
    "threads": "thread count",
    "agent": "build",
}
_PLACE_WORDS = {"skin": "body", "battery": "battery", "soc": "chip", "other": "warmest sensor"}
_MODULES_SHOWN = 3
# How far something moved, and the squared standard error of that.
Moved = tuple[float, float]


def mechanisms_of(first: Conditions, second: Conditions, *, same_canaries: bool) -> tuple[Mechanism, ...]:
    """All five, ordered by size, the residual last; their factors multiply to the ratio of the two centres.

    ``same_canaries`` is false where the two ran canaries of different programs, which tell nothing of each other.
    """
    left = second.latency.mean - first.latency.mean
    error2 = first.latency.error2 + second.latency.error2

    other_cores = _other_cores(first, second)
    clock = _clock(first, second) if same_canaries else _by_frequency(first, second)
    share, own_error2, told = clock or (0.0, 0.0, "")
    found = [_mechanism("clock", share, own_error2, told=[told] if told else [], known=clock is not None)]
    left, error2 = left - share, error2 + own_error2

    moved = _moved(first.throughput, second.throughput) if same_canaries and clock is not None else None
    # What independent multiply-adds take beyond the clock: a core of another kind, or somebody else on the same one.
    beyond = (moved[0] - share, moved[1] + own_error2) if moved else None
    if other_cores is None:
        found.append(_mechanism("core type", 0.0, 0.0))
    else:
        core_share, core_error2 = beyond or (0.0, 0.0)
        found.append(_mechanism("core type", core_share, core_error2, told=[other_cores], known=beyond is not None))
        left, error2, beyond = left - core_share, error2 + core_error2, None

    memory = _moved(first.memory, second.memory) if same_canaries else None
    slower = (_beyond_clock(memory[0], share), memory[1] + own_error2) if memory else None
    lost = _lost(first, second, beyond, slower)
    contended = _no_more_than(left, sum(lost.values()))
    signs = [f"{name}: {math.exp(each):.2f} x" for name, each in lost.items()]
    known = _tells_contention(first, second)
    mechanism = _mechanism("contention", contended, error2 if contended else 0.0, told=signs, known=known)
    # That there was contention is proven by its signs, so that the latency has to bear it out, and not to prove it again.
    named = abs(contended) >= NAMED_LEAST and left * left >= BORNE_OUT_ERRORS**2 * error2
    found.append(replace(mechanism, named=named))
    left -= contended

    fields, counted = _work(first, second), _moved(first.instructions, second.instructions)
    # Where it was counted, that decides: a card can differ without effect, and a library be another one that no card tells of.
    other_work = bool(fields) if counted is None else abs(counted[0]) >= OTHER_INSTRUCTIONS
    worked = left if other_work and _is_named(left, error2) else 0.0
    grown = _grown(first.series.profile, second.series.profile) if worked else []
    grown = [*([f"instructions {math.exp(counted[0]):.3f} x"] if counted else []), *grown]
    found.append(_mechanism("work", worked, error2 if worked else 0.0, told=grown))
    each = _moved(first.cycles_each, second.cycles_each)
    stalled = [f"cycles per instruction {math.exp(each[0]):.3f} x"] if each else []
    found.append(_mechanism("residual", left - worked, error2, told=stalled))
    annotated = [_with_causes(each, first, second, fields, other_cores) for each in found]
    return tuple(sorted(annotated, key=lambda each: (each.name == "residual", -abs(math.log(each.factor)))))


def _mechanism(
    name: MechanismName, share: float, error2: float, *, told: Sequence[str] = (), known: bool = True
) -> Mechanism:
    return Mechanism(
        name=name,
        factor=math.exp(share),
        uncertainty=math.sqrt(error2) if math.isfinite(error2) else None,
        known=known,
        named=_is_named(share, error2),
        evidence=tuple(told),
    )


def _is_named(share: float, error2: float) -> bool:
    return abs(share) >= max(NAMED_LEAST, NAMED_ERRORS * math.sqrt(error2))


def _moved(first: Level | None, second: Level | None) -> Moved | None:
    """None where either does not tell it."""
    if first is None or second is None:
        return None
    return second.mean - first.mean, first.error2 + second.error2


def _clock(first: Conditions, second: Conditions) -> tuple[float, float, str] | None:
    moved = _moved(first.clock, second.clock)
    if moved is None:
        return _by_frequency(first, second)
    return *moved, f"clock canary {math.exp(moved[0]):.3f} x"


def _by_frequency(first: Conditions, second: Conditions) -> tuple[float, float, str] | None:
    if first.frequency_ghz is None or second.frequency_ghz is None or first.accelerated != second.accelerated:
        return _by_cycles(first, second)
    told = f"{first.frequency_ghz:.2f} and {second.frequency_ghz:.2f} GHz"
    # Read off, not estimated; yet what one launch met says little of the next.
    error2 = 0.0 if min(first.launches, second.launches) > 1 else math.inf
    return math.log(first.frequency_ghz / second.frequency_ghz), error2, told


def _by_cycles(first: Conditions, second: Conditions) -> tuple[float, float, str] | None:
    """Where the kernel shows no frequency of either, or of one: the processor's counters of both."""
    moved = _moved(first.counted_clock, second.counted_clock)
    if moved is None or first.counted_clock is None or second.counted_clock is None:
        return None
    one, other = math.exp(first.counted_clock.mean), math.exp(second.counted_clock.mean)
    return -moved[0], moved[1], f"{one:.2f} and {other:.2f} GHz by the processor's cycles"


def _other_cores(first: Conditions, second: Conditions) -> str | None:
    """Where the two ran on cores of different kinds, which; None where on the same, or nobody can tell."""
    one, other = first.series.identity, second.series.identity
    if (one.device_model, one.soc) != (other.device_model, other.soc):
        return f"{one.device_model} and {other.device_model}"
    if one.cores == other.cores or first.cluster is None or second.cluster is None or first.cluster == second.cluster:
        return None
    return f"cores {_list(one.cores)} and {_list(other.cores)}, of clusters {first.cluster} and {second.cluster}"


def _list(cores: Iterable[int]) -> str:
    return ",".join(map(str, cores))


def _beyond_clock(moved: float, clock: float) -> float:
    """What a canary of memory moved by itself: a part of it is as fast as the clock, nobody knows how large a part."""
    low, high = min(clock, 0.0), max(clock, 0.0)
    return moved - min(max(moved, low), high)


def _lost(first: Conditions, second: Conditions, throughput: Moved | None, memory: Moved | None) -> dict[str, float]:
    """What each sign of contention moved by, where that is more than undisturbed ones differ, and more than chance."""
    moved = {"throughput": throughput, "memory": memory, "off the core": _moved(first.off_cpu, second.off_cpu)}
    return {
        name: each[0]
        for name, each in moved.items()
        if each is not None and abs(each[0]) >= max(CONTENTION_LEAST[name], NAMED_ERRORS * math.sqrt(each[1]))
    }


def _tells_contention(first: Conditions, second: Conditions) -> bool:
    return any(None not in pair for pair in ((first.throughput, second.throughput), (first.off_cpu, second.off_cpu)))


def _no_more_than(left: float, bound: float) -> float:
    """As much of ``left`` as ``bound`` allows; nothing where they point different ways."""
    if left * bound <= 0.0:
        return 0.0
    return math.copysign(min(abs(left), abs(bound)), left)


def _work(first: Conditions, second: Conditions) -> list[str]:
    """What differs in what is computed, or by what: each named once."""
    one, other = first.series.identity, second.series.identity
    names = [name for field, name in WORK_FIELDS.items() if _value(one, field) != _value(other, field)]
    if one.threads != other.threads:
        # A number of threads is an option of every runtime.
        names = [name for name in names if name != "options"]
    return list(dict.fromkeys(names))


def _value(identity: Identity, field: str) -> object:
    value = getattr(identity, field)
    # Which cores it ran on is a matter of its own.
    return {key: each for key, each in value.items() if key != "cores"} if field == "runtime_options" else value


def _grown(first: ProfileRecord | None, second: ProfileRecord | None) -> list[str]:
    """The modules that take most of the difference, where both were profiled."""
    if first is None or second is None:
        return []
    times: dict[str, list[float]] = {}
    for side, profile in enumerate((first, second)):
        for row in profile.layers:
            times.setdefault(row.module, [0.0, 0.0])[side] += row.ms
    largest = sorted(times.items(), key=lambda item: -abs(item[1][1] - item[1][0]))[:_MODULES_SHOWN]
    least_ms = 0.01 * median((first.layer_sum_ms, second.layer_sum_ms))
    return [f"{name} {one:.3f} -> {other:.3f} ms" for name, (one, other) in largest if abs(other - one) >= least_ms]


def _with_causes(
    mechanism: Mechanism, first: Conditions, second: Conditions, fields: Sequence[str], other_cores: str | None
) -> Mechanism:
    """Causes are looked for only of what is named."""
    if not mechanism.named:
        return mechanism
    causes: list[Cause] = []
    if mechanism.name in ("clock", "core type") and other_cores is not None:
        # Cores of another kind have another clock as well.
        causes.append(Cause(name="core type", evidence=other_cores))
    if mechanism.name == "clock":
        causes += _behind_the_clock(first, second, slower=mechanism.factor > 1.0)
    elif mechanism.name == "contention":
        causes = list(_behind_contention(first, second))
    elif mechanism.name == "work":
        causes = [Cause(name=name, evidence="it differs between the identity cards") for name in fields]
        if not fields:
            causes = [Cause(name="other code", evidence="other instructions ran, though the identity cards are alike")]
    return replace(mechanism, causes=tuple(causes))


def _behind_the_clock(first: Conditions, second: Conditions, *, slower: bool) -> Iterable[Cause]:
    """What lowers a clock, on the side that had the lower one."""
    low, high = (second, first) if slower else (first, second)
    side = "the second" if slower else "the first"
    if (low.status or 0) > (high.status or 0):
        yield Cause(name="heat", evidence=f"{side} was at thermal status {low.status}")
    elif warmer := _warmer(low, high):
        when, place, warm, cool = warmer
        what = "when its launches began" if when == "start" else "while it ran"
        yield Cause(
            name="heat", evidence=f"the {place} of {side} was at up to {warm:.1f} °C {what}, the other's at {cool:.1f}"
        )
    if low.power_saving and not high.power_saving:
        yield Cause(name="power saving", evidence=f"it was on for {side}")
    one, other = first.series.identity, second.series.identity
    for field, name in (
        ("power_mode", "power cap"),
        ("governor", "governor"),
        ("clocks", "locked clocks"),
        ("charger", "charger"),
        ("power_source", "charger"),
        ("settings", "settings"),
    ):
        before, after = getattr(one, field), getattr(other, field)
        if before != after and None not in (before, after):
            yield Cause(name=name, evidence=f"{field}: {before} and {after}")


def _warmer(low: Conditions, high: Conditions) -> tuple[str, str, float, float] | None:
    """When and where the one was warmer than the other by what counts, and both readings. A body tells more than a chip, which
    cools and warms within seconds, and the start more than what the launch itself did."""
    both = sorted(low.hottest_c.keys() & high.hottest_c.keys())
    running = sorted(
        (each for each in both if each[0] == "running"), key=lambda each: high.hottest_c[each] - low.hottest_c[each]
    )
    for each in (*(("start", place) for place in _PLACE_WORDS if ("start", place) in both), *running):
        warm, cool = low.hottest_c[each], high.hottest_c[each]
        if warm - cool >= WARMER_C:
            return each[0], _PLACE_WORDS.get(each[1], f"sensor {each[1]}"), warm, cool
    return None


def _behind_contention(first: Conditions, second: Conditions) -> Iterable[Cause]:
    shares = first.others, second.others
    if None not in shares and abs((shares[1] or 0.0) - (shares[0] or 0.0)) >= OTHERS_LEAST:
        yield Cause(
            name="another process", evidence=f"others took {shares[0]:.1%} and {shares[1]:.1%} of the used cores"
        )
