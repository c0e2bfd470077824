"""Do the intervals hold what they promise? Twelve runs of four models, their launches dealt round-robin over an hour.

A run's interval should hold the median of the other runs. Beside it, without a bar, the same launches regrouped as if each
run had been measured in one go. Resumable: it goes on where its folder stands.

    python -m benchmarks.intervals build/intervals            # at least an hour
    python -m benchmarks.intervals build/intervals --report   # only prints
    python -m benchmarks.intervals --recorded                 # prints what is said of the launches that are committed
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median

from msgspec.structs import replace

from benchmarks.bench import opened, prepared, record_of, surroundings
from edgebench.analyze.statistics import half_width, location_interval
from edgebench.analyze.summary import launch_median_ms
from edgebench.measure.session import Session
from edgebench.measure.store import RunStore
from edgebench.records import Plan, Trace
from edgebench.runtime.base import Launcher

MODELS = ("mobileone_s0", "mobilenetv3_large", "mobilenetv2", "shufflenetv2")
RUNS, LAUNCHES = 12, 10
COVERAGE_BAR, HALF_WIDTH_BAR = 0.90, 0.05
RECORDED = Path(__file__).with_name("recorded") / "intervals_launch_medians.json"

Launches = dict[str, list[list[tuple[str, float]]]]
"""Model by model and run by run: when each launch began, and its median in ms."""


class PacedLauncher:
    """Spreads launches evenly, so that a quick machine also takes the whole time."""

    def __init__(self, launcher: Launcher, spacing_s: float) -> None:
        self._launcher = launcher
        self._spacing_s = spacing_s
        self._next_s = time.monotonic()

    def build(self, plan: Plan) -> None:
        self._launcher.build(plan)

    def launch(self, plan: Plan) -> Trace:
        wait_s = self._next_s - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        self._next_s = time.monotonic() + self._spacing_s
        return self._launcher.launch(plan)


def measure(folder: Path, hours: float, core: int | None) -> None:
    bench = opened()
    cores = bench.device.default_cores(1) if core is None else (core,)
    ready = prepared(bench, MODELS, ("onnxruntime",), cores)
    series = [replace(each, label=f"{each.label}#{run}") for run in range(RUNS) for each in ready.series]
    paced = PacedLauncher(bench.launcher, hours * 3600.0 / (len(series) * LAUNCHES))
    at = surroundings(bench, folder, cores, gate=True, launcher=paced)
    store = RunStore(folder)
    record = record_of("intervals", store, series, LAUNCHES, bench, at)
    Session(record, ready.subjects * RUNS, at).run()


def launches_of(folder: Path) -> Launches:
    """Those that were measured, which are also written beside them: what is committed as RECORDED."""
    store = RunStore(folder)
    by_model: Launches = {}
    for series in store.load().series:
        traces = store.traces(series)
        launches = [
            (launch.started_utc, launch_median_ms(traces[launch.index])) for launch in series.launches if launch.used
        ]
        by_model.setdefault(series.model.name, []).append(launches)
    with (folder / "launch_medians.json").open("w") as file:
        json.dump(by_model, file)
    return by_model


def report(by_model: Launches) -> int:
    """Prints how often intervals hold the others' median; 1 where a bar is missed."""
    starts = sorted(start for runs in by_model.values() for run in runs for start, _ in run)
    print(f"{len(starts)} launches from {starts[0]} to {starts[-1]}")
    print("| model | dealing | covered | median half-width | launch CV |\n|---|---|---|---|---|")
    covered_all, widths_all = [], []
    for model, runs in by_model.items():
        dealt = [[value for _, value in sorted(run)] for run in runs]
        ordered = [value for _, value in sorted(tuple(launch) for run in runs for launch in run)]
        size = len(ordered) // RUNS
        consecutive = [ordered[start : start + size] for start in range(0, size * RUNS, size)]
        for name, groups in (("round-robin", dealt), ("consecutive", consecutive)):
            covered, widths = coverage(groups)
            if name == "round-robin":
                covered_all += covered
                widths_all += widths
            spread = (sum((v / median(ordered) - 1) ** 2 for v in ordered) / (len(ordered) - 1)) ** 0.5
            print(f"| {model} | {name} | {sum(covered)}/{len(covered)} | ±{median(widths):.1%} | {spread:.1%} |")
    share, width = sum(covered_all) / len(covered_all), median(widths_all)
    print(f"round-robin: {share:.1%} of {len(covered_all)} intervals hold the others' median (bar {COVERAGE_BAR:.0%});")
    print(f"median half-width ±{width:.1%} (bar ±{HALF_WIDTH_BAR:.0%})")
    return 0 if share >= COVERAGE_BAR and width <= HALF_WIDTH_BAR else 1


def coverage(groups: list[list[float]]) -> tuple[list[bool], list[float]]:
    """For each group whether its interval holds the median of the others' medians, and its half-width."""
    covered, widths = [], []
    for index, group in enumerate(groups):
        interval = location_interval(group)
        assert interval is not None
        others = median(median(other) for place, other in enumerate(groups) if place != index)
        covered.append(interval[0] <= others <= interval[1])
        widths.append(half_width(interval))
    return covered, widths


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("build/intervals"))
    parser.add_argument("--hours", type=float, default=1.02)
    parser.add_argument("--core", type=int, help="the core to measure on; default: as edgebench run")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--recorded", action="store_true", help="only prints, of the launches that are committed")
    arguments = parser.parse_args()
    if arguments.recorded:
        return report(json.loads(RECORDED.read_text(encoding="utf-8")))
    if not arguments.report:
        measure(arguments.folder, arguments.hours, arguments.core)
    return report(launches_of(arguments.folder))


if __name__ == "__main__":
    raise SystemExit(main())
