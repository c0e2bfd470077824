"""Does a sustained run tell burst, steady state and time to throttle as they are? On simulated devices, never on a phone.

A cool simulated phone holds the load until it is at rest, as ``edgebench run --sustained`` has it do. Launches of a twin that
no heat slows down, on the same core before and after, say what the network takes at full clock. What the thermal model
prescribed is read from its log, which shares the phone's clock with the trace.

    burst, steady      as a ratio to the twin's, within 5 % of what the model's clock makes of it
    time to throttle   within 1 s of when the clock first slowed work down by 3 % against the burst, for half a second or more

    python -m benchmarks.sustained_phone                   # 20 minutes; needs root or user namespaces
    python -m benchmarks.sustained_phone --only pixel
    python -m benchmarks.sustained_phone --report          # only prints

Each parameter set has a rate of simulated time of its own, at which it throttles some ten seconds after its start.

What else runs on this machine would be taken for the thermal model's doing. So the network is one that a busy hyperthread
beside hardly moves (``resident.roots``), and a set is held again until its twins before and after it agree within 2 %: nothing
looks at the latency of what is judged. All that was held stays in the recording, with the share of its canaries that neighbours
slowed; the first of a set whose twins agree counts. Goes on where it stands.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

from msgspec.structs import asdict
from msgspec.structs import replace as replaced
from tabulate import tabulate

from benchmarks.raw_rows import append_row, read_rows
from benchmarks.resident import ROOTS_INPUT_SIZE
from benchmarks.simulated_phone import SCHEDULE, Pair, SimulatedPhone, simulated_pair
from edgebench.analyze.summary import launch_median_ms
from edgebench.analyze.sustained import BURST_S, THROTTLED_BY, sustained_of
from edgebench.files import write_atomic
from edgebench.measure.launching import Subject, launch
from edgebench.measure.session import SUSTAINED_CANARY_MS, SUSTAINED_ITERATIONS_MAX
from edgebench.measure.validity import contended
from edgebench.records import CanaryRow, IterationsRow, Schedule, Trace
from tests.virtual_phone import live
from tests.virtual_phone.live import LogRow
from tests.virtual_phone.thermal_model import ThermalParameters, cool, step
from tests.virtual_phone.thermal_sets import BY_NAME

MODEL = "benchmarks.resident:roots"
RECORD = Path("reports/benchmarks/sustained_phone.jsonl")
TWINS = 6
TWIN_SCHEDULE = replaced(SCHEDULE, measure_ms=800, canary_every_ms=400)
# Later than the burst's end, so that there is a burst; held for as long as its body takes to come to rest.
THROTTLES_AFTER_S = 12.0
REST_IN_SKIN_CONSTANTS = 5.0
HELD_S = (60.0, 240.0)
RATIO_BAR, TIME_BAR_S = 0.05, 1.0
# Undisturbed: the middle of the twins after, by that of those before. Half of it bounds what the base may be off.
TWINS_AGREE = 0.02
# Of the clock, between looks at it.
GRID_S = 0.02
# A machine on which twins never agree must not be measured for ever.
ATTEMPTS = 20


def throttles_after_s(thermal: ThermalParameters) -> float:
    """Simulated seconds until one busy core throttles a phone that was cool. Raises ValueError where it never does."""
    state = cool(thermal)
    while state.level == 0:
        state = step(thermal, state, 1.0, 0.1)
        if state.time_s > 3600.0:
            raise ValueError(f"{thermal.name} never throttles")
    return state.time_s


def measure(name: str, record: Path) -> None:
    """Appends a row for each time that the load was held, until one was undisturbed. Raises SystemExit where none was."""
    thermal = BY_NAME[name]
    rate = throttles_after_s(thermal) / THROTTLES_AFTER_S
    held_s = min(max(REST_IN_SKIN_CONSTANTS * thermal.tau_skin_s / rate, HELD_S[0]), HELD_S[1])
    what = {"device": "simulated device", "set": name, "held_out": thermal.held_out, "model": MODEL, "rate": rate}
    with (
        tempfile.TemporaryDirectory(prefix="edgebench-") as scratch,
        simulated_pair(thermal, Path(scratch), rate=rate) as pair,
    ):
        subject = pair.subject(MODEL, ROOTS_INPUT_SIZE)
        for _ in range(ATTEMPTS):
            row = what | hold(pair, subject, held_s)
            append_row(record, **row)
            print(f"{name}: held, twins moved by {moved(row):+.1%}{'' if undisturbed(row) else ': again'}", flush=True)
            if undisturbed(row):
                return
    raise SystemExit(f"{name}: twins moved {ATTEMPTS} times: go on when this machine is quiet")


def hold(pair: Pair, subject: Subject, seconds: float) -> dict[str, Any]:
    """One sustained launch of a phone that was cool, its twins, and what the thermal model says of it."""
    before = _twins(pair, subject, 0)
    log = live.log_file(pair.phone.phone.folder)
    pair.phone.phone.reset()
    seen = log.stat().st_size
    trace = _sustained(pair.phone, subject, seconds)
    looks = live.read_log(log, seen)
    after = _twins(pair, subject, TWINS)
    return {
        "twins_ms": [*before, *after],
        "contended": contended(trace.of(CanaryRow), pair.phone.reference),
        "sustained": asdict(sustained_of(trace)),
        "clock": clock_of(trace, looks),
    }


def moved(row: dict[str, Any]) -> float:
    """The middle of the twins after what was held, by that of those before, less one."""
    before, after = row["twins_ms"][:TWINS], row["twins_ms"][TWINS:]
    return median(after) / median(before) - 1.0


def undisturbed(row: dict[str, Any]) -> bool:
    """Whether what was held tells of the thermal model alone."""
    return abs(moved(row)) <= TWINS_AGREE


def _twins(pair: Pair, subject: Subject, first: int) -> list[float]:
    """Medians of the twin's launches, in ms, while the phone's time stands still."""
    found = []
    with pair.phone.clock.stopped():
        for index in range(first, first + TWINS):
            trace = pair.twin.launch(subject, TWIN_SCHEDULE, index=index).trace
            if trace is None:
                raise RuntimeError(f"launch {index} of the twin failed")
            found.append(launch_median_ms(trace))
    return found


def _sustained(on: SimulatedPhone, subject: Subject, seconds: float) -> Trace:
    """As measure.session has it held."""
    schedule = replaced(
        Schedule(),
        measure_ms=round(seconds * 1e3),
        canary_every_ms=SUSTAINED_CANARY_MS,
        iterations_max=SUSTAINED_ITERATIONS_MAX,
        iterations_min=1,
    )
    at = replace(on.at, gate=None)
    launched = launch(subject, at, schedule, kind="sustained", lane="1", index=0, session=0)
    if launched.trace is None or not launched.record.used:
        raise RuntimeError(f"the sustained launch failed: {launched.record.reasons}")
    return launched.trace


def clock_of(trace: Trace, looks: Sequence[LogRow]) -> list[tuple[float, float]]:
    """By the model's log, how much slower work was, and since when (seconds after the first iteration), where it changed."""
    start_ns = trace.of(IterationsRow)[0].t_ns
    told = [((look.virtual_ns - start_ns) / 1e9, 1.0 / look.ratio) for look in looks]
    at_start = [slower for second, slower in told if second <= 0.0][-1:] or [1.0]
    found = [(0.0, at_start[0])]
    for second, slower in told:
        if second > 0.0 and slower != found[-1][1]:
            found.append((round(second, 3), slower))
    return found


def truth_of(clock: Sequence[tuple[float, float]], found: Mapping[str, Any]) -> dict[str, float | None]:
    """By the ``clock_of`` the model: how much slower work was in the burst and in the steady state that was ``found``, and when
    it first was slower than the burst by what counts as throttled, for half a second or more: governors try it for less."""
    grid = [place * GRID_S for place in range(int(found["duration_s"] / GRID_S))]
    starts = [second for second, _ in clock]
    slower = [clock[bisect_right(starts, second) - 1][1] for second in grid]
    burst = median(slower[: round(BURST_S / GRID_S)])
    late = [each > burst * (1.0 + THROTTLED_BY) for each in slower]
    points = round(1.0 / GRID_S)
    first = next(
        (grid[at] for at, is_late in enumerate(late) if is_late and sum(late[at : at + points]) >= points / 2), None
    )
    since = found["steady_from_s"]
    rest = [math.log(each) for second, each in zip(grid, slower, strict=True) if since is not None and second >= since]
    return {"burst": burst, "steady": math.exp(fmean(rest)) if rest else None, "throttled_after_s": first}


def report(record: Path) -> int:
    """Prints and keeps the table; 1 where a bar is missed or a set is lacking."""
    rows = read_rows(record)
    counted = {row["set"]: row for row in reversed(rows) if undisturbed(row)}
    table, kept = [], set(counted) == set(BY_NAME)
    for row in (counted[name] for name in BY_NAME if name in counted):
        found = row["sustained"]
        truth = truth_of(row["clock"], found)
        twin_ms = median(row["twins_ms"])
        burst = found["burst_ms"] / twin_ms / truth["burst"] - 1.0
        steady = found["steady_ms"] / twin_ms / truth["steady"] - 1.0 if found["steady_ms"] else None
        late_s = (
            found["throttled_after_s"] - truth["throttled_after_s"]
            if None not in (found["throttled_after_s"], truth["throttled_after_s"])
            else None
        )
        fine = abs(burst) <= RATIO_BAR and steady is not None and abs(steady) <= RATIO_BAR
        fine = fine and late_s is not None and abs(late_s) <= TIME_BAR_S
        kept = kept and fine
        table.append(
            [
                row["set"] + (" (held out)" if row["held_out"] else ""),
                f"{found['duration_s']:.0f} s",
                f"{truth['burst']:.3f}",
                f"{burst:+.1%}",
                "n/a" if truth["steady"] is None else f"{truth['steady']:.3f}",
                "none found" if steady is None else f"{steady:+.1%}",
                "n/a" if truth["throttled_after_s"] is None else f"{truth['throttled_after_s']:.1f} s",
                "none found" if late_s is None else f"{late_s:+.2f} s",
                f"{moved(row):+.1%}",
                f"{row['contended']:.0%}",
                "yes" if fine else "NO",
            ]
        )
    headers = (
        "parameter set",
        "held for",
        "burst, prescribed",
        "found",
        "steady, prescribed",
        "found",
        "throttled after",
        "found",
        "twins moved by",
        "canaries that neighbours slowed",
        "within the bars",
    )
    text = "\n\n".join(
        (
            "What a sustained run says on a **simulated device**, against what its thermal model prescribed, as a ratio to an"
            " unthrottled twin, by `python -m benchmarks.sustained_phone`; raw: the .jsonl beside."
            f" The bars: ratios within {RATIO_BAR:.0%}, times within {TIME_BAR_S:.0f} s. Held {len(rows)} times; the first of a"
            f" set counts whose twins, before and after, agree within {TWINS_AGREE:.0%}. The network is one that neighbours on"
            " the same core hardly move, unlike the canaries.",
            tabulate(table, headers=headers, tablefmt="github", disable_numparse=True),
        )
    )
    print(text)
    write_atomic(record.with_suffix(".md"), (text + "\n").encode())
    return 0 if kept else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--only", choices=list(BY_NAME), help="one parameter set")
    parser.add_argument("--report", action="store_true", help="only prints")
    arguments = parser.parse_args()
    done = {row["set"] for row in read_rows(arguments.record) if undisturbed(row)}
    for name in [] if arguments.report else [arguments.only] if arguments.only else BY_NAME:
        if name not in done:
            measure(name, arguments.record)
    return report(arguments.record)


if __name__ == "__main__":
    raise SystemExit(main())
