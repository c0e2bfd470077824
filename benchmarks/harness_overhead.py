"""What does the native harness add to a bare loop over the same loaded ncnn network, and what does its telemetry add?

Each launch is a fresh process that runs short blocks of both in fours (ABBA or BAAB) and gives the median of its fours' ratios
of medians. Telemetry is sampled ten times as often as in a launch, so that every short block holds some of it: what it adds
here is the most that it can add there. The launch is the unit; goals: the 95 % t interval of the mean log ratio lies inside
[0.99, 1.01] for the loop and inside [0.995, 1.005] for telemetry on against off. The interval holds for a number of launches
fixed beforehand: looking and going on would choose the end.

Launches of the two are dealt in turn and appended to the record; goes on where it stands.

    python -m benchmarks.harness_overhead --launches 24
    python -m benchmarks.harness_overhead --report
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from scipy import stats
from tabulate import tabulate

from benchmarks.raw_rows import append_row, read_rows
from edgebench.catalog import resolve_model
from edgebench.device.host import HostDevice
from edgebench.export.pipeline import obtain
from edgebench.files import write_atomic
from edgebench.records import Plan
from edgebench.records.codec import encode
from edgebench.runtime import get_runtime
from edgebench.runtime.harness_build import build_aside
from edgebench.runtime.launcher import agent_environment, plan_artifact

CHECKOUT = Path(__file__).resolve().parents[1]
RECORD = CHECKOUT / "reports" / "benchmarks" / "harness_overhead.jsonl"
GOALS = {"loop": (0.99, 1.01), "telemetry": (0.995, 1.005)}
SAYS = {"loop": "harness / bare loop", "telemetry": "telemetry at 20 Hz / off"}
TIMEOUT_S = 120.0


def measure(model: str, launches: int, record: Path) -> None:
    """Appends a row a launch."""
    artifact, folder = obtain(resolve_model(model)[0], format="ncnn")
    device = HostDevice()
    with tempfile.TemporaryDirectory(prefix="edgebench-") as name:
        program = build_aside(Path(name, "build"), "overhead", "-DHARNESS_BENCH=ON")
        plan = Plan(
            plan_id="overhead",
            mode="measure",
            runtime="ncnn",
            artifacts=(plan_artifact(artifact, folder),),
            options=get_runtime("ncnn").options("fp32", 1),
            cores=device.default_cores(1),
            thermal_zones=device.thermal_zones(),
            work_dir=name,
            trace_path=str(Path(name, "trace.jsonl")),
        )
        Path(name, "plan.json").write_bytes(encode(plan))
        done = {(row["what"], row["launch"]) for row in read_rows(record)}
        for launch in range(launches):
            for what in GOALS:
                if (what, launch) in done:
                    continue
                command = [str(program), str(Path(name, "plan.json")), what, str(launch)]
                said = subprocess.run(
                    command, env=agent_environment(1), stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=True
                ).stdout
                ratios = [float(line) for line in said.split()]
                append_row(record, what=what, launch=launch, model=model, ratios=ratios)
                print(f"{what} launch {launch + 1}: {statistics.median(ratios):.4f}", file=sys.stderr)


def report(record: Path) -> tuple[str, bool]:
    """The table as Markdown, and whether both goals are reached."""
    lines, kept = [], True
    for what, (least, most) in GOALS.items():
        logs = [math.log(statistics.median(row["ratios"])) for row in read_rows(record) if row["what"] == what]
        mean = statistics.mean(logs)
        half = stats.t.ppf(0.975, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
        low, high = math.exp(mean - half), math.exp(mean + half)
        inside = least <= low and high <= most
        kept &= inside
        interval = f"{low:.4f} to {high:.4f}"
        lines.append(
            [SAYS[what], len(logs), f"{math.exp(mean):.4f}", interval, f"[{least}, {most}]", "yes" if inside else "NO"]
        )
    headers = ("", "launches", "mean ratio", "95 % interval", "goal", "inside")
    return tabulate(lines, headers=headers, tablefmt="github", disable_numparse=True), kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mobileone_s0")
    parser.add_argument("--launches", type=int, default=24)
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--report", action="store_true", help="only print what is recorded")
    flags = parser.parse_args()
    if not flags.report:
        measure(flags.model, flags.launches, flags.record)
    table, kept = report(flags.record)
    print(table)
    about = (
        "What the native harness and its telemetry add, here: each launch is the median of its fours' ratios."
        " Made by `python -m benchmarks.harness_overhead`; raw: the .jsonl beside."
    )
    write_atomic(flags.record.with_suffix(".md"), f"{about}\n\n{table}\n".encode())
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
