"""Are disturbed launches recognised? Launches with and without a competing process, in random order.

The competitor is one of: matrix products or a memory stream on the sibling core, short bursts or steady work on the very core
that is measured. A launch counts as slowed when its median is 5 % or more above that of the undisturbed launches around it.

    python -m benchmarks.busy_sibling build/busy_sibling --launches 200
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median

from msgspec.structs import asdict

from benchmarks.bench import opened, prepared, surroundings
from edgebench.analyze.summary import launch_median_ms
from edgebench.measure.launching import launch
from edgebench.measure.validity import judge
from edgebench.records import CanaryReference, Plan, Schedule
from edgebench.records.codec import convert, decode, decode_trace

MODEL = "mobilenetv3_large"
SLOWED = 1.05
NEIGHBOURS = 5
BARS = {"slowed": 0.90, "undisturbed": 0.10}
COMPETITORS = {
    "matrix products on the sibling": "import numpy as np\na = np.ones((256, 256), np.float32) / 256\nwhile True: a @ a",
    "memory stream on the sibling": "import numpy as np\na = np.ones(1 << 26, np.float32)\nwhile True: a += 1.0",
    "light bursts on the same core": (
        "import time\nwhile True:\n    until = time.perf_counter() + 0.0004\n"
        "    while time.perf_counter() < until: pass\n    time.sleep(0.003)"
    ),
    "short bursts on the same core": (
        "import time\nwhile True:\n    until = time.perf_counter() + 0.001\n"
        "    while time.perf_counter() < until: pass\n    time.sleep(0.002)"
    ),
    "a process on the same core": "x = 0\nwhile True: x += 1",
}


def competitor(name: str, cores: tuple[int, ...], all_cores: tuple[int, ...]) -> subprocess.Popen[bytes]:
    """Starts it pinned beside, or on, the measured core."""
    same = "same core" in name
    core = cores[0] if same else next(core for core in all_cores if core not in cores)
    pin = f"import os; os.sched_setaffinity(0, {{{core}}})\n"
    environment = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", pin + COMPETITORS[name]], env=environment)


def measure(folder: Path, launches: int, only: str) -> None:
    """Appends a row a launch to ``launches.jsonl``; goes on where that file ends."""
    bench = opened()
    cores = bench.device.default_cores(1)
    ready = prepared(bench, (MODEL,), ("onnxruntime",), cores)
    at = surroundings(bench, folder, cores, gate=True)
    every = tuple(core for cluster in bench.facts.clusters for core in cluster)
    path = folder / "launches.jsonl"
    done = len(path.read_text().splitlines()) if path.exists() else 0
    names = [name for name in COMPETITORS if only in name]
    order = random.Random(0)  # noqa: S311  (an order that can be repeated)
    plan = []
    for block in range(0, launches, 8):
        mixed = [None] * 4 + [names[(block // 8 + k) % len(names)] for k in range(4)]
        order.shuffle(mixed)
        plan += mixed
    for index, name in list(enumerate(plan[:launches]))[done:]:
        # As in a run: the gate passes first. The competitor comes then, as another process does that nobody foresaw.
        at.gate.wait()
        process = competitor(name, cores, every) if name else None
        try:
            launched = launch(
                ready.subjects[0], replace(at, gate=None), Schedule(), kind="measure", lane="0", index=index, session=0
            )
        finally:
            if process is not None:
                process.kill()
                process.wait(timeout=10)
        with path.open("a") as file:
            row = {
                "competitor": name,
                "median_ms": launch_median_ms(launched.trace) if launched.trace else None,
                "reference": asdict(at.reference),
            }
            file.write(json.dumps(row) + "\n")


def report(folder: Path) -> int:
    rows = [json.loads(line) for line in (folder / "launches.jsonl").read_text().splitlines()]
    for index, row in enumerate(rows):
        # Judged anew from the trace, so that a change of limits is seen without measuring again.
        work = folder / "launches" / f"00-{index:03d}"
        plan = decode(Plan, (work / "plan.json").read_bytes(), path=str(work))
        trace = decode_trace((work / "trace.jsonl").read_bytes(), path=str(work))
        row["validity"] = judge(trace, plan, convert(CanaryReference, row["reference"], path="", hint="")).validity
    rows = [row for row in rows if row["median_ms"] is not None]
    for index, row in enumerate(rows):
        others = ((place, other) for place, other in enumerate(rows) if other["competitor"] is None and place != index)
        quiet = sorted((abs(place - index), other["median_ms"]) for place, other in others)
        row["slowdown"] = row["median_ms"] / median(value for _, value in quiet[:NEIGHBOURS])
    print("| competitor | launches | slowed by 5 % or more | median slow-down | of the slowed SUSPECT or INVALID |")
    print("|---|---|---|---|---|")
    for name in (*COMPETITORS, None):
        mine = [row for row in rows if row["competitor"] == name]
        slowed = [row for row in mine if row["slowdown"] >= SLOWED]
        flagged = sum(row["validity"] != "VALID" for row in slowed)
        middle = median(row["slowdown"] for row in mine) if mine else float("nan")
        print(f"| {name or 'none'} | {len(mine)} | {len(slowed)} | {middle:.3f} | {flagged} |")
    slowed = [row for row in rows if row["competitor"] and row["slowdown"] >= SLOWED]
    quiet = [row for row in rows if row["competitor"] is None]
    caught = sum(row["validity"] != "VALID" for row in slowed) / max(len(slowed), 1)
    false = sum(row["validity"] != "VALID" for row in quiet) / max(len(quiet), 1)
    print(f"slowed by 5 % or more: {len(slowed)} launches, {caught:.1%} SUSPECT or INVALID (bar {BARS['slowed']:.0%})")
    print(f"undisturbed: {len(quiet)} launches, {false:.1%} SUSPECT or INVALID (bar {BARS['undisturbed']:.0%})")
    medians = sorted(row["median_ms"] for row in quiet)
    calm_ms = medians[len(medians) // 10]
    calm = [row for row in quiet if row["median_ms"] < SLOWED * calm_ms]
    print(
        f"the machine itself meanwhile: undisturbed medians {medians[0]:.2f} to {medians[-1]:.2f} ms,"
        f" {len(quiet) - len(calm)} of them 5 % or more above its calmest tenth with no competitor of ours;"
        f" of the other {len(calm)}, {sum(row['validity'] != 'VALID' for row in calm)} are SUSPECT or INVALID"
    )
    return 0 if caught >= BARS["slowed"] and false <= BARS["undisturbed"] and len(slowed) >= 100 else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--launches", type=int, default=240)
    parser.add_argument("--only", default="", help="only competitors whose name holds this: sibling, same core")
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if not arguments.report:
        measure(arguments.folder, arguments.launches, arguments.only)
    return report(arguments.folder)


if __name__ == "__main__":
    raise SystemExit(main())
