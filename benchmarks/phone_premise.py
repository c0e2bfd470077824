"""The premise: does controlling heat make a phone's numbers agree? On simulated devices, never on a phone.

The same model is measured in twelve runs. Before each one the simulated device was used by somebody in the sun (half of the
runs, in an order drawn once) or lay on the desk; then the run starts on the desk, at once. This is done twice: with nothing
but a stop-watch, and with edgebench's gate and validity. Before each launch, and after it where validity is judged, an
unthrottled twin is launched on the same core, while the first one's time stands still. This machine's own clock moves by
several percent within seconds, which no phone's does: canaries are held against the twin's right beside. Other work on the
core would move either side of a ratio: a run waits until the core is steady, as does a twin whose canaries tell of other work,
and a launch between twins that are over 10 % apart does not count.

    without   the runs' medians spread (largest by smallest) by more than 1.4
    with      each run lies within 3 % of its twin: the run's median by that of all launches of its twin beside it (told with
              it: the median over launches of one by the mean of its two twins, which a drift of this machine does not enter)
    time      with: simulated seconds from ordering a run to the end of its last launch, over all runs, at most 1.3 times the
              least that the thermal model allows for as many launches of the same length below the same temperature

Seven parameter sets, one after the other; the two held-out ones come last, and all rows must come from the same settings.
Goes on where the recording stands.

    python -m benchmarks.phone_premise                     # about an hour; needs root or user namespaces
    python -m benchmarks.phone_premise --only pixel --out build/premise
    python -m benchmarks.phone_premise --report            # only prints
"""

from __future__ import annotations

import argparse
import json
import math
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.resident import ROOTS_INPUT_SIZE
from benchmarks.simulated_phone import CORE, DESK_C, EXPOSE, FAST, SCHEDULE, WORK, Pair, simulated_pair, truth
from benchmarks.steady_core import SteadyCore
from edgebench.analyze.summary import launch_median_ms
from edgebench.measure.gate import Gate
from edgebench.measure.launching import Launched, Subject
from edgebench.measure.validity import judge, judge_conditions
from edgebench.records import CanaryReference, CanaryRow, Plan, RunPolicy
from edgebench.records.codec import encode
from tests.virtual_phone.thermal_model import ThermalParameters, least_wall_s
from tests.virtual_phone.thermal_sets import BY_NAME, DEVELOPMENT, HELD_OUT

MODEL = "benchmarks.resident:roots"
# Launches as many as a run makes that is asked for nothing else.
RUNS, LAUNCHES = 12, RunPolicy().looks[-1]
# Launches and their replacements where one is not VALID, as a multiple of LAUNCHES; a twin's tries.
AT_MOST = 3
# How a user chooses it: five degrees above the room, a phone at rest being one or two above it. Lower where launches that
# pass the gate still end INVALID for their clock canary.
START_MAX_C = DESK_C + 5.0
# Of a look whether the core is steady: a second or two.
LOOK_LOOPS = 150
# In the sun or a closed box: one degree below the lowest trip, so that any work takes it to its deepest level.
BELOW_TRIP_C = 1.0
# In the skin's time constants: as hot as it gets.
USED_FOR = 3.0
AT_REST_S = 300.0
ARMS = ("without", "with")
# Other work on its core slows a twin's throughput canary, and hardly its clock's: it is calm within this of the calmest one.
# The launches of two calm twins lie up to 6 % apart.
CALM, TWINS_AGREE = 0.1, 0.1
SPREAD_BAR, AGREEMENT_BAR, WALL_BAR = 1.4, 0.03, 1.3
SETTINGS = {
    "model": MODEL,
    "runs": RUNS,
    "launches": LAUNCHES,
    "at_most": AT_MOST,
    "start_max_c": START_MAX_C,
    "desk_c": DESK_C,
    "below_trip_c": BELOW_TRIP_C,
    "used_for": USED_FOR,
    "at_rest_s": AT_REST_S,
    "rates": [WORK, FAST, EXPOSE],
    "schedule": json.loads(encode(SCHEDULE)),
    "calm": CALM,
    "twins_agree": TWINS_AGREE,
}
Row = dict[str, Any]


def hot_runs(name: str) -> list[bool]:
    """Which of a set's runs come after use in the sun: half of them, drawn by its name, never the first."""
    rest = [True] * (RUNS // 2) + [False] * (RUNS - RUNS // 2 - 1)
    random.Random(name).shuffle(rest)  # noqa: S311  (an order that can be repeated)
    return [False, *rest]


def measure(thermal: ThermalParameters, path: Path) -> None:
    """Appends a row a run to ``path``, where this set's rows are not complete."""
    core = SteadyCore(CORE, LOOK_LOOPS)
    for arm in ARMS:
        done = sum(row["set"] == thermal.name and row["arm"] == arm for row in rows_of(path))
        if done == RUNS:
            continue
        with (
            tempfile.TemporaryDirectory(prefix="edgebench-") as scratch,
            simulated_pair(thermal, Path(scratch)) as pair,
        ):
            twin = Twin(pair, pair.subject(MODEL, ROOTS_INPUT_SIZE), core)
            for run in range(done, RUNS):
                with pair.phone.clock.stopped():
                    core.wait()
                row = one_run(thermal, twin, arm, run)
                with path.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"{thermal.name} {arm} {run + 1}/{RUNS}: {told(row)}", flush=True)


class Twin:
    """The unthrottled twin's launches of ``subject`` on a core that is steady."""

    def __init__(self, pair: Pair, subject: Subject, core: SteadyCore) -> None:
        self.pair = pair
        self.subject = subject
        self._core = core
        self._calmest = math.inf

    def launch(self, index: int, *, waits: bool) -> tuple[Row, tuple[CanaryRow, ...]]:
        """One launch and its canaries; repeated a few times where it is not VALID, or not calm: where it ``waits``, after the
        core was steady again. No simulated time passes."""
        with self.pair.phone.clock.stopped():
            for _ in range(AT_MOST):
                launched = self.pair.twin.launch(self.subject, SCHEDULE, index=index)
                canaries = launched.trace.of(CanaryRow) if launched.trace is not None else ()
                row = judged(launched, canaries)
                if self._calm(canaries) and row["validity"] == "VALID":
                    break
                if waits:
                    self._core.wait()
        return row, canaries

    def _calm(self, canaries: Sequence[CanaryRow]) -> bool:
        if not canaries:
            return False
        told = median(row.throughput_ns / row.clock_ns for row in canaries)
        self._calmest = min(self._calmest, told)
        return told <= self._calmest * (1.0 + CALM)


def one_run(thermal: ThermalParameters, twin: Twin, arm: str, run: int) -> Row:
    """What happened to the device before, and the run's launches with their twins."""
    hot = hot_runs(thermal.name)[run]
    pair, phone = twin.pair, twin.pair.phone
    if hot:
        sun_c = min(thermal.soc.trip_c, thermal.skin.trip_c) - BELOW_TRIP_C
        phone.expose(sun_c, USED_FOR * thermal.tau_skin_s)
    else:
        phone.idle(AT_REST_S)
    state, ordered_s = phone.state(), phone.clock.now_s()
    gate = pair.gate(START_MAX_C) if arm == "with" else None
    launches = list(launches_of(twin, gate))
    wall_s = launches[-1]["phone"]["end_s"] - ordered_s
    length_s = median(launch["phone"]["end_s"] - launch["phone"]["start_s"] for launch in launches)
    return {
        "set": thermal.name,
        "arm": arm,
        "run": run,
        "hot": hot,
        "skin_c": state.skin_c,
        "level": state.level,
        "wall_s": round(wall_s, 2),
        "least_s": round(least_wall_s(thermal, LAUNCHES, length_s, START_MAX_C, state=state), 2),
        "launches": launches,
        "settings": SETTINGS,
    }


def launches_of(twin: Twin, gate: Gate | None) -> Iterator[Row]:
    """Launches between two of the twin, until enough of them count; without validity, just so many, each after a twin."""
    pair, counted = twin.pair, 0
    for index in range(LAUNCHES * (AT_MOST if gate else 1)):
        waited_s = gate.wait().waited_s if gate else 0.0
        before, beside_before = twin.launch(index, waits=True)
        start = truth(pair.phone.phone)
        start_s = pair.phone.clock.now_s()
        launched = pair.phone.launch(twin.subject, SCHEDULE, index=index)
        end_s = pair.phone.clock.now_s()
        after, beside_after = twin.launch(index, waits=False) if gate else (before, beside_before)
        where = {
            "waited_s": round(waited_s, 2),
            "start_s": round(start_s, 2),
            "end_s": round(end_s, 2),
            "skin_c": start.skin_c,
            "level": start.level,
        }
        phone = {**judged(launched, (*beside_before, *beside_after)), **where}
        launch = {"phone": phone, "twins": [before, after]}
        yield launch
        counted += counts(launch)
        if gate and counted == LAUNCHES:
            return


def judged(launched: Launched, beside: Sequence[CanaryRow]) -> Row:
    """A launch's median and its judgement as in a run, by the middle of these canaries."""
    record, trace = launched.record, launched.trace
    if trace is None or not beside:
        return {"median_ms": None, "validity": record.validity, "reasons": list(record.reasons)}
    reference = CanaryReference(
        clock_ns=round(median(row.clock_ns for row in beside)),
        throughput_ns=round(median(row.throughput_ns for row in beside)),
        memory_ns=round(median(row.memory_ns for row in beside)),
        probes=len(beside),
        source="library",
        new=True,
    )
    plan = Plan(plan_id="", mode="measure", runtime="ncnn", artifacts=(), cores=(CORE,), work_dir="", trace_path="")
    judgement = judge_conditions(judge(trace, plan, reference), record.state, record.thermal)
    return {
        "median_ms": launch_median_ms(trace),
        "validity": judgement.validity,
        "reasons": list(judgement.reasons),
    }


def counts(launch: Row) -> bool:
    """Whether it and its twins are VALID, and the twins agree: this machine disturbs twins as often, and one without the other
    says nothing."""
    if any(each["validity"] != "VALID" for each in (launch["phone"], *launch["twins"])):
        return False
    times_ms = [each["median_ms"] for each in launch["twins"]]
    return max(times_ms) <= min(times_ms) * (1.0 + TWINS_AGREE)


def run_median_ms(row: Row, *, twin: bool = False) -> float | None:
    """Of the launches that count where validity is judged, of all where it is not; None where there is none."""
    launches = [launch for launch in row["launches"] if row["arm"] == "without" or counts(launch)]
    every = [each for launch in launches for each in (launch["twins"] if twin else [launch["phone"]])]
    values = [each["median_ms"] for each in every if each["median_ms"] is not None]
    return median(values) if values else None


def agreement(row: Row) -> float | None:
    """The run's median by its twin's."""
    mine, twins = run_median_ms(row), run_median_ms(row, twin=True)
    return mine / twins if mine and twins else None


def paired(row: Row) -> float | None:
    """The median over launches of a launch by its twins: a drift of this machine falls on both alike."""
    ratios = [
        launch["phone"]["median_ms"] / mean(each["median_ms"] for each in launch["twins"])
        for launch in row["launches"]
        if counts(launch)
    ]
    return median(ratios) if ratios else None


def told(row: Row) -> str:
    ratio = agreement(row)
    valid = sum(launch["phone"]["validity"] == "VALID" for launch in row["launches"])
    return (
        f"{'after use in the sun' if row['hot'] else 'after rest'}, skin {row['skin_c']:.1f} °C, level {row['level']};"
        f" {valid} of {len(row['launches'])} launches VALID, {f'{ratio:.3f}' if ratio else 'n/a'} of the twin's,"
        f" {row['wall_s']:.0f} s (least {row['least_s']:.0f} s)"
    )


def rows_of(path: Path) -> list[Row]:
    """Raises SystemExit where rows come from other settings: they must not be mixed."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    if any(row["settings"] != SETTINGS for row in rows):
        raise SystemExit(f"{path} was recorded with other settings: move it away, and record anew")
    return rows


def summary_of(thermal: ThermalParameters, rows: Sequence[Row]) -> tuple[str, bool]:
    """A line of the table, and whether all three bars are held."""
    without = [row for row in rows if row["set"] == thermal.name and row["arm"] == "without"]
    gated = [row for row in rows if row["set"] == thermal.name and row["arm"] == "with"]
    medians = [value for row in without if (value := run_median_ms(row))]
    twins = [value for row in without if (value := run_median_ms(row, twin=True))]
    ratios = [ratio for row in gated if (ratio := agreement(row)) is not None]
    beside = [ratio for row in gated if (ratio := paired(row)) is not None]
    spread, twin_spread = max(medians) / min(medians), max(twins) / min(twins)
    wall = sum(row["wall_s"] for row in gated) / sum(row["least_s"] for row in gated)
    within = sum(abs(ratio - 1.0) <= AGREEMENT_BAR for ratio in ratios)
    launches = [launch["phone"] for row in gated for launch in row["launches"]]
    valid = sum(launch["validity"] == "VALID" for launch in launches)
    held = spread > SPREAD_BAR and within == RUNS and len(gated) == RUNS and wall <= WALL_BAR
    line = (
        f"| {thermal.name}{' (held out)' if thermal.held_out else ''} | {thermal.tau_soc_s:g}, {thermal.tau_skin_s:g} s |"
        f" {spread:.2f} | {twin_spread:.2f} | {within} of {RUNS} | {_worst(ratios)} | {_worst(beside)} |"
        f" {valid} of {len(launches)} | {sum(row['wall_s'] for row in gated):.0f} s | {wall:.2f} | {'yes' if held else 'no'} |"
    )
    return line, held


def _worst(ratios: Sequence[float]) -> str:
    return f"{max(ratios, key=lambda ratio: abs(ratio - 1.0)) - 1.0:+.1%}" if ratios else "n/a"


def report(path: Path) -> int:
    rows = rows_of(path)
    complete = [each for each in (*DEVELOPMENT, *HELD_OUT) if sum(row["set"] == each.name for row in rows) == 2 * RUNS]
    lines = [
        f"{RUNS} runs of {LAUNCHES} launches of {MODEL} (ncnn, 1 thread) on a **simulated device**, room {DESK_C:g} °C, gate at"
        f" {START_MAX_C:g} °C, once without and once with gate and validity:",
        "",
        "| simulated device | time constants (SoC, skin) | spread without | its twin's | with: runs within 3 % of their twins |"
        " worst | worst, launches paired with twins | launches VALID | simulated time | by the least | holds |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    held = []
    for each in complete:
        line, holds = summary_of(each, rows)
        lines.append(line)
        held.append((each, holds))
    good = [each for each, holds in held if holds]
    lines += [
        "",
        f"Bars: spread above {SPREAD_BAR}, every run within {AGREEMENT_BAR:.0%}, time at most {WALL_BAR} times the least:"
        f" held by {len(good)} of {len(held)} sets, {sum(each.held_out for each in good)} of them held out.",
    ]
    text = "\n".join(lines) + "\n"
    print(text, end="")
    path.with_suffix(".md").write_text(text)
    return 0 if len(good) >= 5 and sum(each.held_out for each in good) >= 2 else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("reports/benchmarks"))
    parser.add_argument("--only", choices=[each.name for each in DEVELOPMENT], help="one set, to try things out")
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "phone_premise.jsonl"
    if not arguments.report:
        # The held-out sets come last: nothing is changed any more once they are seen.
        for each in [BY_NAME[arguments.only]] if arguments.only else [*DEVELOPMENT, *HELD_OUT]:
            measure(each, path)
    return report(path)


if __name__ == "__main__":
    raise SystemExit(main())
