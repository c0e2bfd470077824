"""Real checks on this machine, each a whole ``edgebench check`` in a process of its own: does it say what is so, and how soon?

The cases are dealt in turn, so that all see the same hours: the *same* network in other bytes; a candidate that takes 3 %
longer at a budget of 2 % (*plus3*) and at a budget of just what it takes (*budget*); one each that takes 5 %, 1 % and 2 %
longer at a budget of 2 % (*plus5*, *plus1*, *plus2*); and a *different* network at a budget of 1 % less than its ratio, the
first of ``OTHERS`` for which there is such a budget. How much longer a layer takes is known by launches in turns: the interval
of its ratio lies within 0.2 % of what it shall be. Those sizings are recorded, too, and count for the processor that they were
made on: another one computes layers in other proportions. On a processor that needs less than 6 ms for the network, larger
images give it the work of a 6 ms model (``--input-size``, with a record of its own).

A row is appended for every sizing and every check; goes on where the record stands.

    python -m benchmarks.statistics.checks --minutes 60
    python -m benchmarks.statistics.report
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.raw_rows import append_row, read_rows
from edgebench.analyze.pairs import pair_launches
from edgebench.analyze.ratios import LogRatio, ratio_of
from edgebench.analyze.summary import iteration_times_ns
from edgebench.cli.options import LEAST_PERCENTAGE, MOST_PERCENTAGE
from edgebench.device.kernel import cpuinfo
from edgebench.measure.store import RunStore

from .planted import BLOCK, exported, renamed, save, with_layer

CHECKOUT = Path(__file__).resolve().parents[2]
RECORD = CHECKOUT / "reports" / "benchmarks" / "checks.jsonl"
MODEL = "mobileone_s0"
# How much longer another network takes is the processor's: mobilenetv2_100 took 1.30 times as long on one, 1.54 on another.
OTHERS = ("mobilenetv2_100", "ghostnet_100")
# By how much its ratio lies above the budget.
ABOVE_BUDGET = 1.01
# How many checks of each case, and by how much its candidate is slower (None: by what it is).
CASES = {
    "same": (150, 0.0),
    "plus3": (60, 0.03),
    "budget": (60, 0.03),
    "plus5": (60, 0.05),
    "plus1": (20, 0.01),
    "plus2": (20, 0.02),
    "different": (30, None),
}
BUDGET = 0.02
# A layer is sized when the interval of its ratio lies within this much of what it shall be.
SIZED_WITHIN = 0.002
SIZING_LAUNCHES = 120
# So narrow an interval is hardly ever reached: all the launches are asked for, with few of each alone.
EVERY_LAUNCH = ("--ci", "0.1%")
# What is judged here is time: a layer more is larger, too.
TIME_ALONE = ("--memory-budget", "10000%", "--size-budget", "10000%")
TRIES = 8
# Rows of before processors were written down.
UNKNOWN = "unknown"
TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Sizing:
    """All launches of one size of layer on one processor: its ratio and interval, and whether that is as was wanted."""

    processor: str
    slower: float
    inner: int
    launches: int
    ratio: float
    interval: tuple[float, float]

    @property
    def taken(self) -> bool:
        """Whether the interval lies within ``SIZED_WITHIN`` of what was wanted."""
        low, high = self.interval
        return 1.0 + self.slower - SIZED_WITHIN <= low and high <= 1.0 + self.slower + SIZED_WITHIN


def sizings(rows: Sequence[dict[str, Any]]) -> list[Sizing]:
    """Those that are recorded, the launches of one size together."""
    sizes: dict[tuple[str, float, int], list[LogRatio]] = {}
    for row in rows:
        if row["what"] == "sizing":
            told = [LogRatio(log, bool(swapped)) for log, _, swapped in row["launches"]]
            sizes.setdefault((row.get("processor", UNKNOWN), row["slower"], row["inner"]), []).extend(told)
    found = []
    for (processor, slower, inner), told in sizes.items():
        ratio = ratio_of(told)
        found.append(Sizing(processor, slower, inner, len(told), ratio.ratio, ratio.ci or (0.0, math.inf)))
    return found


def this_processor() -> str:
    """Its name, family, model and stepping: virtual machines are alike in the name alone."""
    said = cpuinfo(Path("/proc/cpuinfo").read_text(encoding="ascii"))
    numbers = "-".join(said.get(name, "?") for name in ("cpu family", "model", "stepping"))
    return f"{said.get('model name', UNKNOWN)} {numbers}"


class Recorder:
    """Runs edgebench in a folder with the models, and appends what it says."""

    def __init__(self, folder: Path, record: Path, input_size: int | None) -> None:
        self._folder = folder
        self._record = record
        self._input_size = input_size
        # What sizings count for: layers are in other proportions to a network of larger images, too.
        self._made_on = this_processor() + ("" if input_size is None else f", {input_size} pixels")
        self._base = exported(MODEL, input_size)
        save(self._base, folder / "base.onnx")
        save(renamed(self._base), folder / "same.onnx")

    def sized(self, slower: float) -> Sizing:
        """A layer that makes the network that much slower. Raises SystemExit where none is found."""
        for _ in range(TRIES):
            known = [each for each in sizings(read_rows(self._record)) if each.processor == self._made_on]
            own = [each for each in known if each.slower == slower]
            if taken := [each for each in own if each.taken]:
                return taken[0]
            # What a block takes, by what was measured; a first guess by its share of the work.
            nearest = own or known
            blocks = sum(each.inner // BLOCK for each in nearest)
            block = sum(each.ratio - 1.0 for each in nearest) / blocks if blocks else 0.0015
            self._record_sizing(BLOCK * round(slower / block), slower)
        raise SystemExit(f"no layer is {slower:.1%} of {MODEL} here, see the sizings in {self._record}")

    def _record_sizing(self, inner: int, slower: float) -> None:
        """Records launches in turns of a candidate with so many channels more."""
        save(with_layer(self._base, inner), self._folder / "sizing.onnx")
        words = ("base.onnx", "sizing.onnx", "--launches", str(SIZING_LAUNCHES), *EVERY_LAUNCH)
        with self._run("compare", *words) as (_, _, store):
            self._append(what="sizing", slower=slower, inner=inner, launches=told_by(store))

    def check(self, case: str) -> None:
        """One check of a case, recorded."""
        budget, candidate = BUDGET, case
        if case == "budget":
            candidate, budget = "plus3", self.sized(CASES["plus3"][1] or 0.0).ratio - 1.0
        elif case == "different":
            candidate, budget = self._other()
        path = self._folder / f"{candidate}.onnx"
        if not path.exists():
            save(with_layer(self._base, self.sized(CASES[candidate][1] or 0.0).inner), path)
        start = time.monotonic()
        words = ("--baseline", "base.onnx", "--candidate", path.name, "--budget", f"{budget:.4%}", *TIME_ALONE)
        with self._run("check", *words) as (status, said, store):
            row = {"what": "check", "case": case, "candidate": candidate, "budget": budget, "status": status}
            row["seconds"] = round(time.monotonic() - start, 2)
            # One that ends with an error is a check, too, and was no verdict.
            check = said["checks"][0]["check"] if "checks" in said else {"verdict": "failed"}
            row |= {name: check.get(name) for name in ("verdict", "ratio", "bounds", "confirmation_ratio", "reasons")}
            row |= {"decided_at": check.get("launches"), "launches": told_by(store), "solo_us": solo_us(store)}
            self._append(**row)
        print(f"{case}: {row['verdict']} {row['ratio'] or math.nan:.4f} x, {row['seconds']:.0f} s", file=sys.stderr)

    def _other(self) -> tuple[str, float]:
        """The network that the case *different* compares with here, whose file is in the folder then, and the budget."""
        for model in OTHERS:
            file = self._folder / f"{model}.onnx"
            if not file.exists():
                save(exported(model, self._input_size), file)
            budget = self._ratio_of(model) / ABOVE_BUDGET - 1.0
            if LEAST_PERCENTAGE <= budget <= MOST_PERCENTAGE:
                return model, budget
        raise SystemExit(f"none of {OTHERS} takes a little longer than {MODEL} here, for a budget that check takes")

    def _ratio_of(self, model: str) -> float:
        """How much longer another network takes on this processor: as recorded, or recorded now."""
        for row in read_rows(self._record):
            if row["what"] == "other" and (row["model"], row.get("processor")) == (model, self._made_on):
                return float(row["ratio"])
        with self._run("compare", "base.onnx", f"{model}.onnx", "--launches", "60", *EVERY_LAUNCH) as (_, said, store):
            ratio = next(float(each["ratio"]) for each in said["results"] if each["ratio"] is not None)
            self._append(what="other", model=model, ratio=ratio, launches=told_by(store))
        return ratio

    def _append(self, **row: object) -> None:
        append_row(self._record, **row, processor=self._made_on)

    @contextmanager
    def _run(self, verb: str, *words: str) -> Iterator[tuple[int, dict[str, Any], RunStore]]:
        """The exit status, the document and the stored run of a verb."""
        with tempfile.TemporaryDirectory(dir=self._folder) as runs:
            command = [sys.executable, "-m", "edgebench", verb, *words, "--runtime", "onnxruntime", "--json"]
            environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
            done = subprocess.run(
                [*command, "--runs-dir", runs],
                cwd=self._folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
            if not done.stdout or done.returncode not in (0, 3, 4, 6):
                raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
            [stored] = Path(runs).glob("*/run.json")
            yield done.returncode, json.loads(done.stdout), RunStore(stored.parent)


def told_by(store: RunStore) -> list[list[float]]:
    """The launches in turns of a stored run: log ratio, that of the two alone, and 1 where the second was loaded first."""
    [pair] = store.load().pairs
    told = pair_launches(pair, store.traces(pair))
    return [[round(it.log_ratio, 6), round(it.solo_log_ratio, 6), int(it.swapped)] for it in told]


def solo_us(store: RunStore) -> list[list[int]]:
    """The iterations of one launch of each file by itself, the first whose latency counts; none where there is none."""
    found = []
    for series in store.load().series:
        traces = store.traces(series)
        used = [traces[launch.index] for launch in series.launches if launch.used and launch.index in traces]
        found.append([round(each / 1e3) for each in iteration_times_ns(used[0])] if used else [])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no check after that")
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--input-size", type=int, help="pixels a side; as the network has it without that")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="only these")
    flags = parser.parse_args()
    until = time.monotonic() + 60.0 * flags.minutes
    with tempfile.TemporaryDirectory(prefix="edgebench-") as folder:
        recorder = Recorder(Path(folder), flags.record, flags.input_size)
        while time.monotonic() < until:
            done = [row["case"] for row in read_rows(flags.record) if row["what"] == "check"]
            shares = {case: done.count(case) / CASES[case][0] for case in flags.cases}
            left = {case: share for case, share in shares.items() if share < 1.0}
            if not left:
                break
            recorder.check(min(left, key=left.__getitem__))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
